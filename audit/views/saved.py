"""Saved views: keep one, drop one; and what the pages need to offer them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from audit import saved
from audit.finding_forms import FindingFilter, SaveViewForm
from audit.finding_models import SavedView
from audit.forms import EventFilter
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy
from vaults.views.roles import signed_in

FORMS: dict[str, type[Form]] = {
    SavedView.Page.TIMELINE: EventFilter,
    SavedView.Page.CHARTS: EventFilter,
    SavedView.Page.FINDINGS: FindingFilter,
}


def saved_context(request: Request, page: str, form: Form) -> dict[str, Any]:
    """The views that this person may open on the page, and the filters that a new one would keep. One query."""
    query = saved.tidy(request.GET.urlencode(), form.fields)
    return {"views": list(saved.offered(signed_in(request).pk, page)), "view_page": page, "view_query": query}


@require_POST
def save(request: Request) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    form = SaveViewForm(request.POST)
    if not form.is_valid():
        messages.error(request, "The view was not saved: give it a name of at most 80 signs.")
        return redirect("audit")
    data = form.cleaned_data
    query = saved.tidy(data["query"], FORMS[data["page"]]().fields)
    try:
        saved.save(signed_in(request).pk, data["page"], data["name"], query, shared=data["shared"])
    except saved.TooMany:
        messages.error(request, f"You have {saved.MOST} saved views. Delete one first.")
    else:
        messages.success(request, f"Saved as “{data['name']}”.")
    return redirect(f"{reverse(data['page'])}?{query}")


@require_POST
def delete(request: Request, view_id: int) -> HttpResponse:
    """Only one's own."""
    policy.require(request, a.AUDIT_READ)
    view = get_object_or_404(SavedView, pk=view_id, owner=signed_in(request))
    view.delete()
    messages.success(request, f"The view “{view.name}” is deleted.")
    return redirect(view.page)
