"""Azure's log -> AccessEvent: from the watermark, safe to repeat, safe to run twice at once, safe to kill anywhere."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import match, parse
from audit.batches import batched
from audit.models import AccessEvent, Watermark
from kvadmin.gateway import logs
from kvadmin.gateway.errors import GatewayError

logger = logging.getLogger(__name__)

MARGIN = timedelta(minutes=15)  # Key Vault may take ten minutes to deliver a row, and Log Analytics some to show it
STEP = timedelta(days=7)  # the widest window asked for at once; the gateway caps the rows of one answer
FLOOR = timedelta(seconds=10)  # a window this narrow is not halved again: its gap is put on record
MOST_QUERIES = 500
MORE = "There is more in the log than one run takes in. The next run goes on from here."
REMATCH = timedelta(days=1)  # how far back reads are sorted again, at least
BATCH = 500


@dataclass(slots=True)
class Counts:
    """What one run did."""

    workspaces: int = 0
    failed: int = 0
    rows: int = 0
    new: int = 0
    unreadable: int = 0
    moved: match.Sorted = field(default_factory=match.Sorted)


@dataclass(frozen=True, slots=True)
class Window:
    start: datetime
    end: datetime

    def halves(self) -> tuple[Window, Window]:
        middle = self.start + (self.end - self.start) / 2
        return Window(self.start, middle), Window(middle, self.end)

    @property
    def is_narrow(self) -> bool:
        return self.end - self.start <= FLOOR


def ingest_audit(workspaces: Iterable[str], *, most_queries: int = MOST_QUERIES) -> Counts:
    """Take in what these workspaces (their GUIDs) have shown since the last time, then sort all recent reads again.

    One workspace's failure is put on record in its watermark and stops no other. A failure of the database is raised
    once all have been tried, so that the job is run again. What `most_queries` per workspace leave is for the next run.
    """
    now, counts = timezone.now(), Counts()
    since, broken = now - REMATCH, None
    for workspace_id in sorted({name.strip().lower() for name in workspaces if name.strip()}):
        counts.workspaces += 1
        mark, _ = Watermark.objects.get_or_create(workspace_id=workspace_id)
        since = min(since, _start(mark, now))
        try:
            _ingest_workspace(mark, now, counts, most_queries)
        except GatewayError as error:
            counts.failed += 1
            _note(mark, now, error.code, error.lasting)
        except DatabaseError as error:
            counts.failed += 1
            broken = error
            logger.warning("The rows of workspace %s could not be stored: %s", workspace_id, type(error).__name__)
    counts.moved = match.rematch(since)
    if broken:
        raise broken
    return counts


def ingest_rows(rows: Iterable[Mapping[str, Any]]) -> Counts:
    """Take in rows from elsewhere, such as a storage account's files. No watermark moves: coverage is not known."""
    counts, since = Counts(), timezone.now()
    for some in batched(rows, BATCH):
        events = list(_parsed(some, counts))
        counts.new += _insert(events)
        since = min([since, *(event.at for event in events)])
    counts.moved = match.rematch(since)
    return counts


def _ingest_workspace(mark: Watermark, now: datetime, counts: Counts, most_queries: int) -> None:
    """Window by window, oldest first, so that the watermark always stands behind a closed stretch."""
    todo = [*_steps(_start(mark, now), now)][::-1]
    for _ in range(most_queries):
        if not todo:
            break
        window = todo.pop()
        page = logs.query_audit(mark.workspace_id, window.start, window.end)
        if page.partial and not window.is_narrow:
            todo += window.halves()[::-1]
            continue
        _store(mark, window, page, now, counts)
    _note(mark, now, "behind" if todo else "", MORE if todo else "")


def _start(mark: Watermark, now: datetime) -> datetime:
    return mark.resume_from or now - timedelta(days=settings.KVADMIN_INGEST_FIRST_DAYS)


def _resume(window: Window, now: datetime) -> datetime:
    """Rows show up late and out of order: what is younger than the overlap will be asked for again, and only that."""
    return min(window.end, now - max(MARGIN, timedelta(minutes=settings.KVADMIN_INGEST_OVERLAP_MINUTES)))


def _steps(start: datetime, end: datetime) -> Iterator[Window]:
    while start < end:
        yield Window(start, min(start + STEP, end))
        start += STEP


@transaction.atomic
def _store(mark: Watermark, window: Window, page: logs.LogPage, now: datetime, counts: Counts) -> None:
    """Rows and watermark are committed together. The watermark's lock lets one writer per workspace in at a time."""
    locked = Watermark.objects.select_for_update().get(pk=mark.pk)
    new = _insert(list(_parsed(page.rows, counts)))
    locked.complete_from = min(locked.complete_from or window.start, window.start)
    locked.complete_up_to = max(locked.complete_up_to or window.start, min(window.end, now - MARGIN))
    locked.resume_from = max(locked.resume_from or window.start, _resume(window, now))
    locked.gaps = without(locked.gaps, window) + ([_gap(window)] if page.partial else [])
    locked.save(update_fields=["complete_from", "complete_up_to", "resume_from", "gaps"])
    counts.new += new


def _parsed(rows: Iterable[Mapping[str, Any]], counts: Counts) -> Iterator[parse.Event]:
    for row in rows:
        counts.rows += 1
        try:
            yield parse.parse(row)
        except parse.Unreadable as error:
            counts.unreadable += 1
            logger.warning("A row of Azure's log was left out. %s", error)


def _insert(events: list[parse.Event]) -> int:
    """Add what is not there yet; how many were added. One order for all writers, so that two never wait crosswise."""
    fresh = {event.fingerprint: event for event in events}
    added = 0
    for some in batched(sorted(fresh), BATCH):
        known = set(AccessEvent.objects.filter(fingerprint__in=some).values_list("fingerprint", flat=True))
        missing = [_model(fresh[key]) for key in some if key not in known]
        AccessEvent.objects.bulk_create(missing, ignore_conflicts=True)
        added += len(missing)
    return added


def _model(event: parse.Event) -> AccessEvent:
    return AccessEvent(**{name: getattr(event, name) for name in event.__slots__})


def _note(mark: Watermark, now: datetime, code: str, note: str) -> None:
    Watermark.objects.filter(pk=mark.pk).update(tried_at=now, code=code[:40], note=note[:300])


# --- Gaps ------------------------------------------------------------------------------------------------------------
def _gap(window: Window) -> list[str]:
    return [window.start.isoformat(), window.end.isoformat()]


def without(gaps: Iterable[list[str]], window: Window) -> list[list[str]]:
    """The gaps as far as they lie outside the window: it has now been answered in full, or is about to be noted."""
    left: list[list[str]] = []
    for start, end in ((datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in gaps):
        if start < window.start:
            left.append(_gap(Window(start, min(end, window.start))))
        if end > window.end:
            left.append(_gap(Window(max(start, window.end), end)))
    return left
