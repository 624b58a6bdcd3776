"""The timeline of Azure's access log, and one event of it."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from audit import findings, names, queries
from audit.charts import chart
from audit.coverage import Coverage, coverage
from audit.explain import explain
from audit.finding_models import SavedView
from audit.forms import EventFilter, read_cursor
from audit.ledger import Target
from audit.models import AccessEvent, LedgerEntry
from audit.views import visits
from audit.views.findings import dressed
from audit.views.saved import saved_context
from audit.views.scope import entries_for, events_for, findings_for
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy
from vaults.models import Vault

BAD_CURSOR = "This link's place in the list cannot be read, so here is the list's beginning."


@require_safe
def timeline(request: Request) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    form = EventFilter(request.GET)
    template = "audit/_audit_table.html" if request.htmx else "audit/audit.html"
    if not form.is_valid():
        return render(request, template, {"form": form, "coverage": coverage_of(request, "")}, status=422)
    context = _found(request, form)
    context |= saved_context(request, SavedView.Page.TIMELINE, form)
    visits.on_record(request, "timeline", visits.filters_of(request, form), visits.target_of(form.cleaned_data))
    return render(request, template, context, status=422 if context["cursor_error"] else 200)


def _found(request: Request, form: EventFilter) -> dict[str, Any]:
    by = form.filters
    events = queries.filtered(events_for(request.user), by)
    cursor, error = _cursor(request)
    page = queries.page(events, cursor)
    names.attach(page.rows)
    known = coverage_of(request, by.vault)
    return {
        "form": form,
        "by": by,
        "page": page,
        "at_beginning": cursor is None,
        "chart": chart(queries.reads_over_time(events, by.start, by.end), known),
        "coverage": known,
        "cursor_error": error,
        "export": policy.may(request.user, a.AUDIT_EXPORT).allowed,
    }


def _cursor(request: Request) -> tuple[queries.Cursor | None, str]:
    try:
        return read_cursor(request.GET.get("cursor", "")), ""
    except queries.BadCursor:
        return None, BAD_CURSOR


def coverage_of(request: Request, vault: str) -> Coverage:
    """What the log is complete for, over the vaults that this list is about."""
    return coverage(_vaults(request).filter(queries.named("name", vault)))


def _vaults(request: Request) -> QuerySet[Vault]:
    return policy.vaults_for(request.user, a.AUDIT_READ).filter(vanished_at=None)


@require_safe
def event(request: Request, event_id: int) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    found = get_object_or_404(events_for(request.user), pk=event_id)
    visits.on_record(request, "event", {"number": str(event_id)}, Target(found.vault, found.name))
    names.attach([found])
    context = {
        "event": found,
        "explanation": explain(found),
        "raw": json.dumps(found.raw, indent=2, ensure_ascii=False, sort_keys=True),
        "act": _act(request, found),
        "findings": dressed(findings.of_event(findings_for(request.user), found.pk)),
    }
    return render(request, "audit/event.html", context)


def _act(request: Request, found: AccessEvent) -> list[LedgerEntry]:
    """The ledger's rows of the act that explains the event, oldest first."""
    return list(entries_for(request.user).filter(act=found.ledger_act).order_by("seq")) if found.ledger_act else []
