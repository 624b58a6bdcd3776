"""Search across everything that the person may see."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import policy
from vaults import search as engine
from vaults.forms import SearchForm
from vaults.models import Vault
from vaults.standing import standing

FEW_VAULTS = 5


@require_safe
def search(request: Request) -> HttpResponse:
    form = SearchForm(request.GET)
    form.is_valid()
    vaults = policy.visible_vaults(request.user)
    context = {
        "form": form,
        "query": form.query,
        "found": _find(request, form.query),
        "vaults": _named(vaults, form.query.name),
        "standing": standing(vaults),
        "shown": str(engine.CAP),
        "may_change": bool(policy.may(request.user, a.SECRET_UPDATE)),
    }
    template = "vaults/_search_results.html" if request.htmx else "vaults/search.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _find(request: Request, query: engine.Query) -> engine.Found:
    try:
        return engine.find(policy.visible_secrets(request.user), query, after=request.GET.get("after", ""))
    except engine.BadQuery as problem:
        raise NotThere(str(problem)) from None


def _named(vaults: QuerySet[Vault], name: str) -> list[Vault]:
    """A search for one word finds vaults by their names, too."""
    return list(vaults.filter(name__contains=name, vanished_at=None).order_by("name")[:FEW_VAULTS]) if name else []
