"""Exports: the rows that a filter finds, as a file that is sent while it is made. Each one is on record itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from audit import export, ledger, queries
from audit.forms import EventFilter, LedgerFilter
from audit.views import visits
from audit.views.ledger import filtered
from audit.views.scope import entries_for, events_for
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy

MOST_ROWS = 1_000_000
TOO_MANY = (
    f"These are more than {MOST_ROWS:,} rows, the most that is sent to a browser. Choose a shorter time, or let "
    "whoever runs kvadmin use manage.py export_audit, which has no limit."
)
BAD_FILTER = "Nothing was exported: correct the filter first."


class CutOff(Exception):
    """The reader went away, or the connection broke, before the last row."""

    code = "cut-off"


@require_POST
def events(request: Request) -> HttpResponse | StreamingHttpResponse:
    """The timeline with the filters that stand in the address."""
    policy.require(request, a.AUDIT_EXPORT)
    form = EventFilter(request.GET)
    if not form.is_valid():
        return refused(request, "audit", BAD_FILTER)
    found = queries.filtered(events_for(request.user, a.AUDIT_EXPORT), form.filters)
    if _too_many(found):
        return refused(request, "audit", TOO_MANY)
    word = _format(request)
    return _send(request, "access-log", word, export.events_as(word, export.events_of(found)), form)


@require_POST
def entries(request: Request) -> HttpResponse | StreamingHttpResponse:
    """The ledger with the filters that stand in the address."""
    policy.require(request, a.AUDIT_EXPORT)
    form = LedgerFilter(request.GET)
    if not form.is_valid():
        return refused(request, "ledger", BAD_FILTER)
    found = filtered(entries_for(request.user, a.AUDIT_EXPORT), form.cleaned_data | {"before": None})
    if _too_many(found):
        return refused(request, "ledger", TOO_MANY)
    word = _format(request)
    return _send(request, "ledger", word, export.entries_as(word, export.entries_of(found)), form)


def _format(request: Request) -> str:
    word = request.POST.get("format", "")
    return word if word in export.FORMATS else "csv"


def _too_many(found: QuerySet[Any]) -> bool:
    return found.order_by()[: MOST_ROWS + 1].count() > MOST_ROWS


def refused(request: Request, page: str, sentence: str, *names: str) -> HttpResponse:
    """Back to the page, with its filter, and why nothing was exported. `names` are those in the page's address."""
    messages.error(request, sentence)
    return redirect(f"{redirect(page, *names).url}?{request.GET.urlencode()}")


def _send(request: Request, what: str, word: str, lines: Iterator[str], form: Form) -> StreamingHttpResponse:
    filters = visits.describe(visits.filters_of(request, form))
    act = ledger.start(a.AUDIT_EXPORT, policy.actor(request), note=f"{what} as {word}: {filters}")
    return as_file(Recorded(lines, act, word), what, word)


def as_file(lines: Iterable[str], what: str, word: str) -> StreamingHttpResponse:
    """The lines as a file that is sent while it is made; `word` is one of export.FORMATS."""
    response = StreamingHttpResponse(lines, content_type=export.FORMATS[word])
    name = f"kvadmin-{what}-{timezone.now():%Y%m%dT%H%MZ}.{word}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


class Recorded:
    """The lines of an export; and on record how many rows they were, or after how many the reader was gone."""

    def __init__(self, lines: Iterator[str], act: ledger.Attempt, word: str) -> None:
        self._lines, self._act = lines, act
        self._sent = -1 if word == "csv" else 0  # its first line is no row

    def __iter__(self) -> Recorded:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self._act.done(note=f"{self._rows}.")
            raise
        except BaseException as error:
            self._act.failed(error, note=f"{self._rows} sent.")
            raise
        self._sent += 1
        return line

    def close(self) -> None:
        """Called by Django when the answer is over, however it ended; a second outcome is never written."""
        self._act.failed(CutOff(), note=f"{self._rows} sent.")

    @property
    def _rows(self) -> str:
        return f"{max(self._sent, 0):,} row{'s' if self._sent != 1 else ''}"
