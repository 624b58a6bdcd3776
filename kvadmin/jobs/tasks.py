"""The queue's own housekeeping."""

from __future__ import annotations

from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone

from kvadmin.jobs.api import task
from kvadmin.jobs.models import WorkerBeat

DONE_DAYS = 2
FAILED_DAYS = 30


@task
def prune_results() -> None:
    """Forgets what ended long ago: jobs that worked after two days, jobs that failed after thirty, and sessions."""
    call_command(
        "prune_db_task_results", queue_name="*", min_age_days=DONE_DAYS, failed_min_age_days=FAILED_DAYS, verbosity=0
    )
    call_command("clearsessions", verbosity=0)
    WorkerBeat.objects.filter(seen_at__lt=timezone.now() - timedelta(days=DONE_DAYS)).delete()
