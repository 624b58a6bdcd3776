"""The rotation board, the rotation of one secret step by step, and who is reminded of its expiry."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit.views.scope import entries_for, events_for
from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import paging, policy, rotation, rotations
from vaults.models import ExpiryWatch, Rotation, Secret
from vaults.rotation_forms import BoardForm, LineForm, StartForm
from vaults.standing import standing
from vaults.views.roles import signed_in
from vaults.views.versions import FAILURES, status_of, told

VERBS = ("add-line", "tick", "disable-old", "close")


# --- The board -------------------------------------------------------------------------------------------------------
@require_safe
def board(request: Request) -> HttpResponse:
    vaults = policy.visible_vaults(request.user)
    form = BoardForm(request.GET, vaults)
    visible = policy.visible_secrets(request.user)
    found = form.narrow(visible) if form.is_valid() else visible.none()
    left = _left(request, found) if form.is_valid() else None
    if left is not None and form.cleaned_data["left"]:
        found = found.filter(pk__in=left)
    context: dict[str, Any] = {
        "form": form,
        "counts": rotation.counts(found),
        "left": len(left) if left is not None else None,
        "standing": standing(vaults),
        "may_change": bool(policy.may(request.user, a.SECRET_UPDATE)),
        "this_month": f"{timezone.now():%Y-%m}",
    }
    month = form.cleaned_data.get("month") if form.is_valid() else None
    context |= _month(found, *month) if month else _list(request, form, found)
    template = "vaults/_rotation_board.html" if request.htmx else "vaults/rotation.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _left(request: Request, found: QuerySet[Secret]) -> dict[int, Any] | None:
    """For those who may audit; None: not for this person to know."""
    if not policy.may(request.user, a.AUDIT_READ):
        return None
    return rotation.read_by_leavers(found, events_for(request.user), entries_for(request.user))


def _month(found: QuerySet[Secret], year: int, number: int) -> dict[str, Any]:
    before = f"{year - (number == 1):04}-{12 if number == 1 else number - 1:02}"
    after = f"{year + (number == 12):04}-{1 if number == 12 else number + 1:02}"
    weeks = rotation.month(found, year, number)
    return {"weeks": weeks, "month": date(year, number, 1), "before": before, "after": after}


def _list(request: Request, form: BoardForm, found: QuerySet[Secret]) -> dict[str, Any]:
    word = form.cleaned_data.get("due", "")
    found = found.filter(rotation.due(word)) if word else found
    try:
        part = paging.keyset(found.select_related("vault").defer("haystack"), form.order, request.GET.get("at", ""))
    except (paging.BadCursor, KeyError):
        raise NotThere("This board has no such page. Open it again and page from its start.") from None
    now = timezone.now()
    by_week = form.cleaned_data.get("sort", "") != "oldest"
    rows = [
        (rotation.week_of(row.expires_on, now) if by_week else "", row, rotation.owner_of(row)) for row in part.rows
    ]
    return {"slice": part, "rows": rows, "by_week": by_week}


# --- One secret ------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def rotate(request: Request, vault: str, secret: str) -> HttpResponse:
    """Where a rotation stands, or the form that begins one. Looking asks Azure nothing."""
    item = policy.require_secret(request, a.SECRET_SET, vault, secret)
    open_one = rotations.under_way(item)
    form = StartForm(request.POST or None, initial=_initial(request, item, open_one))
    context, status = _steps(item, open_one, form), 422 if form.errors else 200
    if request.method == "POST" and form.is_valid() and open_one is None:
        try:
            rotations.start(policy.actor(request), item, form.cleaned_data["lines"], reason=form.cleaned_data["reason"])
            return redirect("rotate", vault, secret)
        except FAILURES as error:
            context["refusal"], status = told(error), status_of(error)
    return render(request, "vaults/rotate.html", context, status=status)


def _initial(request: Request, item: Secret, open_one: Rotation | None) -> dict[str, Any]:
    """Who read it lately stands on the list from the start, for a person who may know that."""
    if open_one or request.method == "POST" or not policy.may(request.user, a.AUDIT_READ, item.vault, item.key):
        return {}
    return {"lines": "\n".join(rotations.consumers(signed_in(request), item))}


def _steps(item: Secret, open_one: Rotation | None, form: StartForm) -> dict[str, Any]:
    lines = list(open_one.lines.all()) if open_one else []
    past = Rotation.objects.filter(vault=item.vault_id, key=item.key).exclude(closed_at=None)[:5]
    return {
        "secret": item,
        "vault": item.vault,
        "form": form,
        "rotation": open_one,
        "lines": lines,
        "lines_left": sum(line.done_at is None for line in lines),
        "new_version": bool(open_one and rotations.has_new_version(open_one, item)),
        "past": past,
    }


@require_POST
def rotate_act(request: Request, vault: str, secret: str, verb: str) -> HttpResponse:
    """One step: a line more, a tick, the old version disabled, or the end."""
    action = a.SECRET_UPDATE if verb == "disable-old" else a.SECRET_SET
    item = policy.require_secret(request, action, vault, secret)
    open_one = rotations.under_way(item)
    if open_one is None:
        messages.info(request, "No rotation of this secret is under way.")
        return redirect("rotate", vault, secret)
    try:
        _act(request, open_one, item, verb)
    except FAILURES as error:
        messages.error(request, told(error))
    return redirect("rotate", vault, secret)


def _act(request: Request, open_one: Rotation, item: Secret, verb: str) -> None:
    actor = policy.actor(request)
    if verb == "disable-old":
        rotations.disable_old(actor, open_one, item)
    elif verb == "close":
        rotations.close(actor, open_one, item)
    elif verb == "tick":
        number = request.POST.get("line", "")
        rotations.tick(open_one, int(number) if number.isdecimal() and len(number) < 19 else 0, actor.name)
    elif (form := LineForm(request.POST)).is_valid():
        rotations.add_line(open_one, form.cleaned_data["text"])
    else:
        messages.error(request, str(form.errors["text"][0]))


@require_POST
def watch(request: Request, vault: str, secret: str) -> HttpResponse:
    """Be reminded of this secret's expiry, or no longer."""
    item = policy.require_secret(request, a.SECRET_LIST, vault, secret)
    mine = ExpiryWatch.objects.filter(person=signed_in(request), vault=item.vault, key=item.key)
    if not mine.delete()[0]:
        ExpiryWatch.objects.get_or_create(person=signed_in(request), vault=item.vault, key=item.key)
        messages.success(request, "You will be reminded by mail before it expires.")
    return redirect("secret", vault, secret)
