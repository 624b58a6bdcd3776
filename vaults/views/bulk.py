"""Changes of many secrets: choose and preview, confirm, watch, stop, carry on."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import batches, policy, tasks
from vaults.bulk_forms import ChangeForm, ConfirmForm
from vaults.bulk_preview import MOST, Preview, batch_of, preview
from vaults.changes import difference
from vaults.models import Batch
from vaults.standing import standing
from vaults.views import steering
from vaults.views.roles import signed_in
from vaults.views.steering import PAGE, VERBS

FEW = 10
CHANGED = (
    "What would be changed is not what you were shown any more: a secret or a right has changed meanwhile. Nothing was "
    "done. This is how it is now."
)


@require_http_methods(["GET", "HEAD", "POST"])
def bulk(request: Request) -> HttpResponse:
    """The choice and the change stand in the address; a POST confirms exactly what it shows."""
    policy.require(request, a.SECRET_UPDATE)
    chosen = "change" in request.GET
    form = ChangeForm(_asked(request)) if chosen else ChangeForm(initial=_asked(request))
    previewed = preview(signed_in(request), form) if chosen and form.is_valid() else None
    confirm = ConfirmForm(request.POST or None, initial={"shown": previewed.hash if previewed else ""})
    status = 422 if form.errors else 200
    if request.method == "POST":
        if previewed and confirm.is_valid() and confirm.cleaned_data["shown"] == previewed.hash and previewed.to_do:
            return _ask(request, previewed, confirm.cleaned_data["reason"])
        status, confirm = _unconfirmed(request, previewed, confirm)
    context = {"form": form, "confirm": confirm, "most": MOST, **_previewed(request, previewed), **_mine(request)}
    return render(request, "vaults/bulk.html", context, status=status)


def _asked(request: Request) -> dict[str, Any]:
    """The address as the form takes it: ticks are a list, and a choice that is left out is its first one."""
    asked: dict[str, Any] = {key: request.GET[key] for key in request.GET if key != "pick"}
    return {"change": "add-tags"} | asked | {"pick": request.GET.getlist("pick")}


def _ask(request: Request, previewed: Preview, reason: str) -> HttpResponse:
    batch, items = batch_of(previewed, signed_in(request), reason)
    batches.ask(batch, items, policy.actor(request), _queue)
    return redirect("batch", batch.pk)


def _queue(batch: Batch) -> None:
    tasks.run_bulk.enqueue(batch.pk, batch.turn)


def _unconfirmed(request: Request, previewed: Preview | None, confirm: ConfirmForm) -> tuple[int, ConfirmForm]:
    """Why nothing was done: no reason, or another preview; what was typed stays, with the hash of what is shown now."""
    if confirm.errors or previewed is None:
        return 422, confirm
    messages.warning(request, CHANGED)
    return 409, ConfirmForm(initial={"reason": confirm.cleaned_data["reason"], "shown": previewed.hash})


def _previewed(request: Request, previewed: Preview | None) -> dict[str, Any]:
    if previewed is None:
        return {}
    show = request.GET.get("show", "")
    page = Paginator(previewed.shown(show), PAGE).get_page(request.GET.get("page", "1"))
    searched = None if request.GET.getlist("pick") else standing(policy.visible_vaults(request.user))
    return {"preview": previewed, "page": page, "show": show, "to_do": len(previewed.to_do), "standing": searched}


def _mine(request: Request) -> dict[str, Any]:
    """The last batches, shown where nothing is being previewed."""
    if "change" in request.GET:
        return {}
    return {"batches": batches.visible(signed_in(request)).select_related("asked_by")[:FEW]}


# --- One batch -------------------------------------------------------------------------------------------------------
def _batch(request: Request, pk: int) -> Batch:
    found = batches.visible(signed_in(request)).select_related("asked_by").filter(pk=pk).first()
    if found is None:
        raise Http404("No such batch, or none that you may see.")
    return found


@require_safe
def batch(request: Request, pk: int) -> HttpResponse:
    policy.require(request, a.SECRET_LIST)
    item = _batch(request, pk)
    verbs = VERBS if batches.may_steer(signed_in(request), item) else ()
    context = steering.standing(item, "batch", pk, verbs) | {"here": reverse("batch", args=[pk])}
    if alone := steering.progress(request, item, context, "vaults/_batch_progress.html"):
        return alone
    context |= steering.items(request, item.items.select_related("vault").order_by("pk"))
    context["rows"] = [(row, difference(row.before, row.after)) for row in context["page"]]
    return render(request, "vaults/_batch_items.html" if request.htmx else "vaults/batch.html", context)


@require_POST
def act(request: Request, pk: int, verb: str) -> HttpResponse:
    """Stop it, carry it on, or try its failed items again. Whoever may only look is refused on record."""
    policy.require(request, a.SECRET_UPDATE)
    item = _batch(request, pk)
    if not batches.may_steer(signed_in(request), item):
        raise NotThere("Only whoever asked for it, or may change every secret, can do this.")
    steering.steer(request, item, verb, _queue)
    return redirect("batch", pk)
