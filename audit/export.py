"""Rows of Azure's log, and of the ledger, as text: CSV for people, JSON Lines for programs, CEF for a SIEM.

Every writer takes rows one by one and gives text piece by piece, so that memory stays flat whatever the number.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import models
from django.db.models import QuerySet

from audit.cef import event_to_cef, ledger_to_cef
from audit.models import AccessEvent, LedgerEntry

M = TypeVar("M", bound=models.Model)
FORMATS = {"csv": "text/csv", "jsonl": "application/jsonl", "cef": "text/plain"}
BATCH = 1000
_EVENT_COLUMNS = [field.attname for field in AccessEvent._meta.concrete_fields if field.attname != "raw"]
_LEDGER_COLUMNS = [field.attname for field in LedgerEntry._meta.concrete_fields]
# What a spreadsheet takes for the beginning of a formula, also behind blanks and quotes, which some programs drop. The
# last four are what East Asian ones take for = + - @.
_FORMULA = re.compile(r"""^[\s"'\u00a0\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]""")


# --- Rows, in batches ------------------------------------------------------------------------------------------------
def events_of(found: QuerySet[AccessEvent]) -> Iterator[AccessEvent]:
    """Newest first, a batch at a time: no cursor is held open while a slow reader takes them."""
    last: AccessEvent | None = None
    while True:
        rows = found.order_by("-at", "-id")
        if last is not None:
            earlier = models.Q(at__lt=last.at) | models.Q(id__lt=last.pk)
            rows = rows.filter(earlier, at__lte=last.at)
        batch = list(rows[:BATCH])
        yield from batch
        if len(batch) < BATCH:
            return
        last = batch[-1]


def entries_of(found: QuerySet[LedgerEntry]) -> Iterator[LedgerEntry]:
    """Oldest first, as the chain goes, a batch at a time."""
    last = 0
    while batch := list(found.filter(seq__gt=last).order_by("seq")[:BATCH]):
        yield from batch
        last = batch[-1].seq


# --- As text ---------------------------------------------------------------------------------------------------------
def events_as(form: str, rows: Iterable[AccessEvent]) -> Iterator[str]:
    """The events in one of FORMATS."""
    return _writer(form, _EVENT_COLUMNS, _event_line, event_to_cef)(rows)


def entries_as(form: str, rows: Iterable[LedgerEntry]) -> Iterator[str]:
    """The ledger's rows in one of FORMATS. JSON Lines holds all that the chain's hashes are made of."""
    return _writer(form, _LEDGER_COLUMNS, _entry_line, ledger_to_cef)(rows)


def _writer(
    form: str, columns: list[str], to_json: Callable[[M], str], to_cef: Callable[[M], str]
) -> Callable[[Iterable[M]], Iterator[str]]:
    if form == "csv":
        return lambda rows: _csv(columns, rows)
    to_line = to_json if form == "jsonl" else to_cef
    return lambda rows: (f"{to_line(row)}\n" for row in rows)


def _csv(columns: list[str], rows: Iterable[models.Model]) -> Iterator[str]:
    """The raw record is left out: JSON Lines has it."""
    return table(columns, ([getattr(row, name) for name in columns] for row in rows))


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Any rows as CSV, by RFC 4180: commas, CRLF, every cell in quotes; no cell is taken for a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    for cells in _with_head(head, rows):
        writer.writerow(cells)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _with_head(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[list[str]]:
    yield list(head)
    for row in rows:
        yield [cell(value) for value in row]


def cell(value: Any) -> str:
    """A value as a cell that no spreadsheet takes for a formula: an apostrophe stands before what one might."""
    text = "" if value is None else str(plain(value))
    return f"'{text}" if _FORMULA.match(text) else text


def plain(value: Any) -> Any:
    """A column's value as JSON has it: times in UTC with six digits, ids as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value if value is None or isinstance(value, (str, bool, int, float, dict, list)) else str(value)


def _event_line(event: AccessEvent) -> str:
    """kvadmin's columns, and under "raw" the record exactly as it is stored: no character of it is changed."""
    return _json({name: plain(getattr(event, name)) for name in _EVENT_COLUMNS} | {"raw": event.raw})


def _entry_line(entry: LedgerEntry) -> str:
    return _json({name: plain(getattr(entry, name)) for name in _LEDGER_COLUMNS})


def _json(facts: dict[str, Any]) -> str:
    """One line, keys in order: the same row is the same bytes, whichever database it came from."""
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
