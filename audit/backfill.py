"""Older rows than the first look at a log went back for: backwards from where the log is complete, newest first.

Rows and watermark are committed together, window by window. A run that is killed loses nothing, and the next one, for
the same number of days or for more, goes on from where it stood.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from audit import match
from audit.ingest import Counts, catch_up, each_log, first_moment, take_in, watermarks_of
from audit.models import Backfill, Watermark
from audit.windows import steps_back
from kvadmin.gateway import logs
from kvadmin.gateway.paging import Patience

State = Backfill.State
SILENT = timedelta(minutes=15)  # a running one that reports nothing for so long has lost its worker
MOST_DAYS = 4383  # twelve years: longer than any workspace keeps rows
BUSY = "Another back-fill is already running."
LOST = "Its worker stopped in the middle. Start it again to go on."
STOPPED = "The back-fill stopped because of an error in kvadmin; its log has the details. Start it again to go on."


class Busy(Exception):
    """Another back-fill is running."""

    def __str__(self) -> str:
        return BUSY


def backfill_audit(
    run: Backfill, workspaces: Iterable[str], vaults: Iterable[str] = (), *, patience: Patience = logs.INGEST
) -> Backfill:
    """Take in `run.days` days of these logs, as far as they are kept, and report in `run` how far it is.

    Requires the right to read each log. Raises Busy, and a DatabaseError once all logs have been tried.
    """
    marks = list(watermarks_of(workspaces, vaults))
    _claim(run, len(marks))
    try:
        _take_all(run, marks, patience)
    except BaseException:
        _finish(run, State.FAILED, STOPPED)
        raise
    return _finish(run, State.DONE, run.note)


def running() -> Backfill | None:
    """The back-fill that waits or runs, if there is one that has not lost its worker."""
    since = timezone.now() - SILENT
    alive = Q(state=State.RUNNING, progressed_at__gte=since) | Q(state=State.QUEUED, queued_at__gte=since)
    return Backfill.objects.filter(alive).order_by("-state", "id").first()


def _claim(run: Backfill, logs_total: int) -> None:
    """Make this run the running one; the database allows only one."""
    now = timezone.now()
    silent = Backfill.objects.filter(state=State.RUNNING, progressed_at__lt=now - SILENT).exclude(pk=run.pk)
    silent.update(state=State.FAILED, finished_at=now, note=LOST)
    run.state, run.started_at, run.progressed_at, run.logs_total = State.RUNNING, now, now, logs_total
    run.logs_done = run.logs_failed = run.rows = run.new = 0
    try:
        with transaction.atomic():
            run.save()
    except IntegrityError:
        _finish(run, State.FAILED, BUSY)
        raise Busy from None


def _take_all(run: Backfill, marks: list[Watermark], patience: Patience) -> None:
    now, counts = timezone.now(), Counts()

    def backward(mark: Watermark) -> None:
        _take_back(run, mark, now, counts, patience)

    broken = each_log(marks, counts, now, backward)
    match.rematch(now - timedelta(days=run.days))
    if counts.failed:
        run.note = f"{counts.failed} of {len(marks)} logs could not be read to the end. The coverage page says why."
    run.logs_failed, run.logs_done = counts.failed, counts.logs - counts.failed
    if broken:
        raise broken


def _take_back(run: Backfill, mark: Watermark, now: datetime, counts: Counts, patience: Patience) -> None:
    """One log, from where it is complete back to the first day that was asked for; reports after every query."""
    if mark.complete_from is None:
        catch_up(mark, now, counts, patience=patience)
        mark.refresh_from_db()
    todo = list(steps_back(first_moment(now, run.days, mark), mark.complete_from or now))[::-1]
    while todo:
        run.reached = todo[-1].end
        _report(run, counts)
        todo = take_in(mark, todo, now, counts, most_queries=1, patience=patience, newest_first=True)
    run.logs_done = counts.logs
    _report(run, counts)


def _report(run: Backfill, counts: Counts) -> None:
    run.rows, run.new, run.logs_failed, run.progressed_at = counts.rows, counts.new, counts.failed, timezone.now()
    run.save(update_fields=["rows", "new", "logs_done", "logs_failed", "reached", "progressed_at"])


def _finish(run: Backfill, state: Backfill.State, note: str) -> Backfill:
    run.state, run.finished_at, run.note = state, timezone.now(), note
    run.save()
    return run
