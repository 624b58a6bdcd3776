"""Runs one job and writes down how it went: done, put back for another try, or failed for good."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django_tasks.base import TaskResultStatus
from django_tasks.utils import normalize_json
from django_tasks_db.models import DBTaskResult
from structlog.contextvars import bound_contextvars

from kvadmin.jobs.api import retries_of
from kvadmin.logs import class_path, describe

Row = DBTaskResult[Any, Any]
logger = logging.getLogger(__name__)

FIRST_PAUSE = 5.0  # seconds
LONGEST_PAUSE = 600.0


def run(row: Row) -> None:
    """Runs a job that this worker has claimed, and writes its outcome into the row.

    An exit that is forced in the middle leaves the row RUNNING, for another worker to recover. Every line that is
    logged meanwhile names the job.
    """
    with bound_contextvars(job=str(row.pk), task=row.task_path):
        _run(row)


def _run(row: Row) -> None:
    try:
        result = _call(row)
    except Exception as error:  # noqa: BLE001 - whatever a job raises is its outcome
        outcome = _after(error, row)
    else:
        outcome = {"status": TaskResultStatus.SUCCESSFUL, "finished_at": timezone.now(), "return_value": result}
    if close(row, **outcome):
        logger.info("job %s %s: %s", row.task_path, row.pk, outcome["status"].lower())


def _call(row: Row) -> Any:
    """What the job returned, as JSON: nothing else can be stored."""
    result = row.task_result
    return normalize_json(result.task.call(*result.args, **result.kwargs))


def _after(error: Exception, row: Row) -> dict[str, Any]:
    """The columns of a job that raised."""
    tries = len(row.worker_ids)
    text = describe(error)
    logger.error("job %s %s failed (try %d): %s", row.task_path, row.pk, tries, text.splitlines()[0])
    columns = {"exception_class_path": class_path(error), "traceback": text}
    if tries > retries_of(row.task_path):
        return columns | {"status": TaskResultStatus.FAILED, "finished_at": timezone.now(), "return_value": None}
    seconds = max(pause(tries), getattr(error, "retry_after", None) or 0)
    return columns | {"status": TaskResultStatus.READY, "run_after": timezone.now() + timedelta(seconds=seconds)}


def close(row: Row, **columns: Any) -> bool:
    """Writes the outcome; False when the job has been given to another worker since `row` was read."""
    mine = DBTaskResult.objects.filter(pk=row.pk, status=TaskResultStatus.RUNNING, started_at=row.started_at)
    return bool(mine.update(**columns))


def pause(tries: int) -> float:
    """Seconds before the next try: doubled each time up to ten minutes, and spread, so that a herd disperses."""
    longest: float = min(FIRST_PAUSE * 2 ** (tries - 1), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
