"""Azure's log -> AccessEvent: from the watermark, safe to repeat, safe to run twice at once, safe to kill anywhere.

A log is a workspace's, or that of one vault whose workspace is not known or cannot be read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import match, parse, rows
from audit.batches import batched
from audit.models import Watermark
from audit.windows import Window, gap, steps, without
from kvadmin.gateway import logs
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.paging import Patience

logger = logging.getLogger(__name__)

MARGIN = timedelta(minutes=15)  # Key Vault may take ten minutes to deliver a row, and Log Analytics some to show it
UNTOLD_DAYS = 30  # for how long a workspace keeps rows where Azure has not told: Log Analytics' default
MOST_QUERIES = 500
MORE = "There is more in the log than one run takes in. The next run goes on from here."
REMATCH = timedelta(days=1)  # how far back reads are sorted again, at least
BATCH = 500
PIECE = 2_000  # rows that are stored under one lock
# What a row must hold to tell who did what from where. One that no row of a table ever held is shown as absent.
COLUMNS = ("Status", "CorrelationId", "CallerIp", "ClientInfo", "RequestUri", "ObjectUrl", "Claims")


@dataclass(slots=True)
class Counts:
    """What one run did."""

    logs: int = 0
    failed: int = 0
    rows: int = 0
    new: int = 0
    unreadable: int = 0
    moved: match.Sorted = field(default_factory=match.Sorted)


def ingest_audit(
    workspaces: Iterable[str],
    vaults: Iterable[str] = (),
    *,
    most_queries: int = MOST_QUERIES,
    patience: Patience = logs.INGEST,
) -> Counts:
    """Take in what these logs have shown since the last time, then sort all recent reads again.

    `workspaces` are GUIDs, `vaults` the ARM ids of vaults that are asked for their own log. One log's failure is put on
    record in its watermark and stops no other. A failure of the database is raised once all have been tried, so that
    the job is run again. What `most_queries` per log leave is for the next run.
    """
    now, counts = timezone.now(), Counts()
    since = now - REMATCH

    def forward(mark: Watermark) -> None:
        nonlocal since
        since = min(since, _start(mark, now))
        catch_up(mark, now, counts, most_queries=most_queries, patience=patience)

    broken = each_log(watermarks_of(workspaces, vaults), counts, now, forward)
    counts.moved = match.rematch(since)
    if broken:
        raise broken
    return counts


def watermarks_of(workspaces: Iterable[str], vaults: Iterable[str]) -> Iterator[Watermark]:
    """One for each log, made where there is none yet; names are told apart without regard to case."""
    for workspace_id in _names(workspaces):
        yield Watermark.objects.get_or_create(workspace_id=workspace_id, resource_id="")[0]
    for resource_id in _names(vaults):
        yield Watermark.objects.get_or_create(workspace_id="", resource_id=resource_id)[0]


def _names(words: Iterable[str]) -> list[str]:
    return sorted({word.strip().lower() for word in words if word.strip()})


def each_log(
    marks: Iterable[Watermark], counts: Counts, now: datetime, work: Callable[[Watermark], None]
) -> DatabaseError | None:
    """Do the work for each log. What fails is counted and put on record; the database's last failure is returned."""
    broken = None
    for mark in marks:
        counts.logs += 1
        try:
            work(mark)
        except GatewayError as error:
            counts.failed += 1
            note(mark, now, error.code, error.lasting)
        except DatabaseError as error:
            counts.failed += 1
            broken = error
            logger.warning("The rows of %s could not be stored: %s", mark, type(error).__name__)
    return broken


def ingest_rows(found: Iterable[Mapping[str, Any]]) -> Counts:
    """Take in rows from elsewhere, such as a storage account's files. No watermark moves: coverage is not known."""
    counts, since = Counts(), timezone.now()
    for some in batched(found, BATCH):
        events = list(_parsed(some, counts))
        counts.new += rows.insert(events)
        since = min([since, *(event.at for event in events)])
    counts.moved = match.rematch(since)
    return counts


def catch_up(
    mark: Watermark,
    now: datetime,
    counts: Counts,
    *,
    most_queries: int = MOST_QUERIES,
    patience: Patience = logs.INGEST,
) -> None:
    """Take in one log from its watermark up to now, and put on record how that went."""
    todo = list(steps(_start(mark, now), now))[::-1]
    todo = take_in(mark, todo, now, counts, most_queries=most_queries, patience=patience)
    note(mark, now, "behind" if todo else "", MORE if todo else "")


def take_in(
    mark: Watermark,
    todo: list[Window],
    now: datetime,
    counts: Counts,
    *,
    most_queries: int = MOST_QUERIES,
    patience: Patience = logs.INGEST,
    newest_first: bool = False,
) -> list[Window]:
    """Ask for the windows on this stack, its last one first; what is left of them when `most_queries` are used up.

    What is taken in is one closed stretch at any moment: an answer that was cut is asked for again in pieces.
    """
    for _ in range(most_queries):
        if not todo:
            break
        window = todo.pop()
        page = patience.call(lambda: _ask(mark, window))  # noqa: B023 - called at once
        head = None if newest_first else _head(window, page)
        if head:
            todo.append(Window(head.end, window.end))
            whole = [row for row in page.rows if row["TimeGenerated"] < head.end]
            _store(mark, head, logs.LogPage(whole), now, counts)
        elif page.partial and not window.is_narrow:
            pieces = _pieces(window, page)
            todo += pieces if newest_first else pieces[::-1]
        else:
            _store(mark, window, page, now, counts)
    return todo


def _ask(mark: Watermark, window: Window) -> logs.LogPage:
    if mark.workspace_id:
        return logs.query_audit(mark.workspace_id, window.start, window.end)
    return logs.query_audit_of_vault(mark.resource_id, window.start, window.end)


def _head(window: Window, page: logs.LogPage) -> Window | None:
    """The beginning of the window in which nothing is missing, where the answer tells it."""
    until = page.complete_until
    return Window(window.start, until) if until and window.start < until < window.end else None


def _pieces(window: Window, page: logs.LogPage) -> list[Window]:
    """As small as the rows that came say that they must be; halves where they say nothing."""
    head = _head(window, page)
    return window.pieces((head.end - head.start) * 0.8) if head else window.halves()


def first_moment(now: datetime, days: int, mark: Watermark) -> datetime:
    """`days` ago; or later, where the workspace, or kvadmin itself, does not keep rows for so long."""
    kept = [days, settings.KVADMIN_AUDIT_DAYS, *([mark.retention_days] if mark.retention_days else [])]
    return now - timedelta(days=min(kept))


def _start(mark: Watermark, now: datetime) -> datetime:
    return mark.resume_from or first_moment(now, settings.KVADMIN_INGEST_FIRST_DAYS, mark)


def _resume(window: Window, now: datetime) -> datetime:
    """Rows show up late and out of order: what is younger than the overlap will be asked for again, and only that."""
    return min(window.end, now - max(MARGIN, timedelta(minutes=settings.KVADMIN_INGEST_OVERLAP_MINUTES)))


def _store(mark: Watermark, window: Window, page: logs.LogPage, now: datetime, counts: Counts) -> None:
    """The rows in pieces, and then the watermark: a run that dies in between leaves rows that the next one knows.

    Each piece is parsed before its lock is taken, so that on SQLite no other writer waits for long.
    """
    for some in batched(page.rows, PIECE):
        events = list(_parsed(some, counts))
        with transaction.atomic():
            _locked(mark)
            counts.new += rows.insert(events)
    _move(mark, window, page, now)


def _locked(mark: Watermark) -> Watermark:
    """The watermark's lock lets one writer per log in at a time; audit/findings.py waits for it, too."""
    return Watermark.objects.select_for_update().get(pk=mark.pk)


@transaction.atomic
def _move(mark: Watermark, window: Window, page: logs.LogPage, now: datetime) -> None:
    locked = _locked(mark)
    locked.gaps = without(locked.gaps, window) + ([gap(window)] if page.partial else [])
    _begin(locked, window, _told_from(locked, window, page, now))
    locked.complete_up_to = max(locked.complete_up_to or window.start, min(window.end, now - MARGIN))
    locked.resume_from = max(locked.resume_from or window.start, _resume(window, now))
    locked.columns = _columns(locked.columns, page.rows)
    locked.save(update_fields=["complete_from", "complete_up_to", "resume_from", "gaps", "columns"])


def _told_from(mark: Watermark, window: Window, page: logs.LogPage, now: datetime) -> datetime:
    """From when on the answer tells all. What a workspace keeps no longer is left out of it without a word.

    Where it is not known for how long it keeps rows, a row proves that those after it are still there.
    """
    since = now - timedelta(days=mark.retention_days or UNTOLD_DAYS)
    if mark.retention_days is None:
        since = min([since, *(row["TimeGenerated"] for row in page.rows)])
    return min(max(window.start, since), window.end)


def _begin(mark: Watermark, window: Window, told_from: datetime) -> None:
    """Where the log is complete from, now that this window is taken in; what was lost in the middle is a gap."""
    if mark.complete_from is None or mark.complete_from == mark.complete_up_to:
        mark.complete_from = told_from
    elif window.start < mark.complete_from:
        if told_from < window.end:
            mark.complete_from = min(mark.complete_from, told_from)
    elif mark.complete_up_to and (lost := Window(max(window.start, mark.complete_up_to), told_from)).is_some:
        mark.gaps.append(gap(lost))


def _columns(known: dict[str, list[str]], page: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Which of COLUMNS have ever held something, by table, now that these rows are known as well."""
    found = {table: set(columns) for table, columns in known.items()}
    for row in page:
        seen = found.setdefault(str(row["Source"]), set())
        if len(seen) < len(COLUMNS):
            seen.update(name for name in COLUMNS if row.get(name) not in (None, "", {}))
    return {table: sorted(seen) for table, seen in found.items()}


def _parsed(page: Iterable[Mapping[str, Any]], counts: Counts) -> Iterator[parse.Event]:
    for row in page:
        counts.rows += 1
        try:
            yield parse.parse(row)
        except parse.Unreadable as error:
            counts.unreadable += 1
            logger.warning("A row of Azure's log was left out. %s", error)


def note(mark: Watermark, now: datetime, code: str, text: str) -> None:
    """Put on record how the last try went."""
    Watermark.objects.filter(pk=mark.pk).update(tried_at=now, code=code[:40], note=text[:300])
