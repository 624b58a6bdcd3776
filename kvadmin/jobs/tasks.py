"""The queue's own housekeeping."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from kvadmin.jobs.api import task
from kvadmin.jobs.models import WorkerBeat

DONE_DAYS = 2
FAILED_DAYS = 30
# Where version 0.1 keeps sessions. It may run beside this one while an upgrade goes on, so the table is there until the
# version after this one drops it; a new database has none.
OLD_SESSIONS = "django_session"


@task
def prune_results() -> None:
    """Forgets what ended long ago: jobs that worked after two days, jobs that failed after thirty, and workers."""
    call_command(
        "prune_db_task_results", queue_name="*", min_age_days=DONE_DAYS, failed_min_age_days=FAILED_DAYS, verbosity=0
    )
    WorkerBeat.objects.filter(seen_at__lt=timezone.now() - timedelta(days=DONE_DAYS)).delete()


@task
def prune_sessions() -> None:
    """Forgets sessions that are over. Often, for whoever opens the sign-in page leaves one."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
    _forget_old_sessions()


def _forget_old_sessions() -> None:
    with connection.cursor() as cursor:
        if OLD_SESSIONS in connection.introspection.table_names(cursor):
            cursor.execute(f"DELETE FROM {OLD_SESSIONS} WHERE expire_date < %s", [timezone.now()])  # noqa: S608 - a constant
