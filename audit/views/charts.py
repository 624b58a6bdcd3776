"""Who reads most, and at which hours of the week: the timeline's rows, with the timeline's filters."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from audit import names, queries
from audit.charts import chart, heat_map, top_bars
from audit.finding_models import SavedView
from audit.forms import EventFilter
from audit.views import visits
from audit.views.events import coverage_of
from audit.views.saved import saved_context
from audit.views.scope import events_for
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy


@require_safe
def charts(request: Request) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    form = EventFilter(request.GET)
    template = "audit/_charts.html" if request.htmx else "audit/charts.html"
    if not form.is_valid():
        return render(request, template, {"form": form, "coverage": coverage_of(request, "")}, status=422)
    visits.on_record(request, "charts", visits.filters_of(request, form), visits.target_of(form.cleaned_data))
    return render(request, template, _drawn(request, form))


def _drawn(request: Request, form: EventFilter) -> dict[str, Any]:
    by = form.filters
    events = queries.filtered(events_for(request.user), by)
    top = queries.top_readers(events)
    names.attach_to_readers(top)
    known = coverage_of(request, by.vault)
    return {
        "form": form,
        "chart": chart(queries.reads_over_time(events, by.start, by.end), known),
        "top": top_bars(top),
        "heat": heat_map(queries.by_hour_of_week(events)),
        "coverage": known,
        **saved_context(request, SavedView.Page.CHARTS, form),
    }
