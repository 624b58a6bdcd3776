"""Gives a job to another worker when its own has died: power cut, kill -9, out of memory."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from kvadmin.jobs.models import WorkerBeat
from kvadmin.jobs.runs import Row, close

logger = logging.getLogger(__name__)

SILENCE = timedelta(seconds=60)
MOST_TRIES = 4  # the first, and three more


class WorkerDied(Exception):
    """A job was given up because each worker that took it died; it may well be what kills them."""


def beat(worker_id: str) -> None:
    """This worker lives. The database's clock is used throughout, so that hosts need not agree on the time."""
    WorkerBeat.objects.update_or_create(worker_id=worker_id, defaults={"seen_at": Now()})


def sign_off(worker_id: str) -> None:
    """This worker has left in good order, or under this name at least."""
    WorkerBeat.objects.filter(worker_id=worker_id).delete()


def host_part(host: str) -> str:
    """What the names of all workers on this host begin with."""
    return f"{host[:40]}-"


def alive_on(host: str) -> str:
    """The worker of this host that was heard of last, or "" when that was too long ago."""
    here = WorkerBeat.objects.filter(worker_id__startswith=host_part(host), seen_at__gte=Now() - SILENCE)
    return here.order_by("-seen_at").values_list("worker_id", flat=True).first() or ""


def recover() -> int:
    """Puts back the jobs of workers that fell silent, and returns how many. Safe to call in every worker at once."""
    silent_since = Now() - SILENCE
    alive = set(WorkerBeat.objects.filter(seen_at__gte=silent_since).values_list("worker_id", flat=True))
    # A job that began a moment ago may belong to a worker whose first beat is not visible yet.
    running = DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING, started_at__lt=silent_since)
    orphans = [row for row in running if not row.worker_ids or row.worker_ids[-1] not in alive]
    return sum(_put_back(row) for row in orphans)


def _put_back(row: Row) -> bool:
    if len(row.worker_ids) < MOST_TRIES:
        logger.warning("job %s %s: its worker died, it is put back", row.task_path, row.pk)
        return close(row, status=TaskResultStatus.READY, run_after=timezone.now())
    logger.error("job %s %s: given up, its worker died each time", row.task_path, row.pk)
    return close(
        row,
        status=TaskResultStatus.FAILED,
        finished_at=timezone.now(),
        exception_class_path=f"{WorkerDied.__module__}.{WorkerDied.__qualname__}",
        traceback=f"{len(row.worker_ids)} workers died while they ran this job.",
    )
