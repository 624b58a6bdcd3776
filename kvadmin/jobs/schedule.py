"""What runs by the clock. Any number of workers tick at once; each due run is queued exactly once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_tasks_db.models import DBTaskResult

from kvadmin.jobs.models import Schedule

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job without arguments, and how often it runs."""

    name: str
    task_path: str
    every: timedelta


def periodic_jobs() -> tuple[Periodic, ...]:
    """The table of everything that runs by the clock."""
    return (
        Periodic("sync", "vaults.tasks.sync_inventory", timedelta(minutes=settings.KVADMIN_SYNC_MINUTES)),
        Periodic("ingest", "vaults.tasks.ingest_audit", timedelta(minutes=settings.KVADMIN_INGEST_MINUTES)),
        Periodic("settle", "vaults.tasks.settle_requests", timedelta(minutes=1)),
        Periodic("digest", "vaults.tasks.send_digest", timedelta(days=1)),
        Periodic("forget-absent", "vaults.tasks.forget_absent", timedelta(days=1)),
        Periodic("checkpoint", "audit.tasks.checkpoint_ledger", timedelta(hours=1)),
        Periodic("prune-events", "audit.tasks.prune_events", timedelta(days=1)),
        Periodic("prune-archives", "vaults.tasks.prune_archives", timedelta(hours=1)),
        Periodic("prune-sessions", "kvadmin.jobs.tasks.prune_sessions", timedelta(hours=1)),
        Periodic("prune", "kvadmin.jobs.tasks.prune_results", timedelta(days=1)),
    )


def register(jobs: tuple[Periodic, ...] | None = None) -> None:
    """Makes the schedules agree with the table: a new one is due at once, a shortened one no later than it says."""
    jobs = periodic_jobs() if jobs is None else jobs
    now = timezone.now()
    for job in jobs:
        seconds = int(job.every.total_seconds())
        columns = {"task_path": job.task_path, "every_seconds": seconds}
        Schedule.objects.update_or_create(name=job.name, defaults=columns, create_defaults={**columns, "next_at": now})
        Schedule.objects.filter(name=job.name, next_at__gt=now + job.every).update(next_at=now + job.every)
    Schedule.objects.exclude(name__in=[job.name for job in jobs]).delete()


def tick(now: datetime | None = None) -> list[str]:
    """Queues every run that is due and returns their names. Runs missed while no worker was up are made up once."""
    now = now or timezone.now()
    due = Schedule.objects.filter(paused=False, next_at__lte=now).order_by("id")  # as the table has them
    return [schedule.name for schedule in due if _enqueue(schedule, now)]


@transaction.atomic
def _enqueue(schedule: Schedule, now: datetime) -> bool:
    """Moves the clock on and queues the run, both or neither; False when another worker did, or the last one runs."""
    mine = Schedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at)
    if not mine.update(next_at=_next(schedule, now), last_at=now) or _open(schedule.task_path):
        return False
    try:
        import_string(schedule.task_path).enqueue()
    except ImportError:
        logger.error("schedule %s: there is no task %s", schedule.name, schedule.task_path)
        return False
    return True


def _next(schedule: Schedule, now: datetime) -> datetime:
    """The first time after now in step with the schedule, so that a late tick does not shift the ones that follow."""
    every = timedelta(seconds=schedule.every_seconds)
    return schedule.next_at + every * ((now - schedule.next_at) // every + 1)


def _open(task_path: str) -> bool:
    """Whether an earlier run still waits or works: a slow job never piles up behind itself."""
    return DBTaskResult.objects.filter(task_path=task_path, status__in=("READY", "RUNNING")).exists()
