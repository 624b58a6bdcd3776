"""Two vaults or environments side by side, and, where somebody asks for it, whether values are equal: yes or no."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit.export import table
from audit.ledger import LedgerUnavailable
from audit.views.export import refused
from kvadmin import actions as a
from kvadmin import badges
from kvadmin.http import Request
from vaults import comparing, equality, policy
from vaults.compare_forms import CompareForm, ValuesForm
from vaults.comparing import Pair, Side
from vaults.models import Secret
from vaults.views import exports
from vaults.views.roles import signed_in

PAGE = 50
COLUMNS = ("name", "state", "left", "right", "what", "on_the_left", "on_the_right")
NOT_CHOSEN = "Choose two sides, each a vault or an environment that you may see."


@require_safe
def compare(request: Request) -> HttpResponse:
    """From the inventory, without a read."""
    policy.require(request, a.SECRET_LIST)
    return _page(request, ValuesForm())


def _page(request: Request, asking: ValuesForm, refusal: str = "", status: int = 200) -> HttpResponse:
    """The comparison in the address; with `asking`, what is asked about its values, and what is wrong with that."""
    form = CompareForm(request.GET, policy.visible_vaults(request.user))
    found = _found(request, form)
    context = {"form": form, "asking": asking, "refusal": refusal, **(_shown(request, form, found) if found else {})}
    template = "vaults/_compared.html" if request.htmx else "vaults/compare.html"
    wrong = form.errors or asking.errors
    return render(request, template, context, status=422 if wrong else status)


@require_POST
def export(request: Request) -> HttpResponse | StreamingHttpResponse:
    """What the comparison in the address shows, as CSV: a line for each difference, or for a name without any."""
    policy.require(request, a.SECRET_LIST)
    found = _found(request, CompareForm(request.GET, policy.visible_vaults(request.user)))
    if found is None:
        return refused(request, "compare", exports.BAD_FILTER)
    lines = table(COLUMNS, _lines(found.shown))
    return exports.send(request, lines, "csv", "compare", "comparison as csv")


@dataclass(frozen=True, slots=True)
class _Found:
    """Two sides, every pair of theirs, and those that are asked for."""

    left: Side
    right: Side
    pairs: list[Pair]
    shown: list[Pair]


def _found(request: Request, form: CompareForm) -> _Found | None:
    """None when nothing is asked, or with what is wrong in the form."""
    if not (form.is_valid() and form.cleaned_data["left"] and form.cleaned_data["right"]):
        return None
    left, right = (comparing.side(request.user, form.cleaned_data[name]) for name in ("left", "right"))
    if left is None or right is None:
        form.add_error(None, NOT_CHOSEN)
        return None
    try:
        pairs = comparing.compare(request.user, left, right, form.ignored)
    except comparing.TooMany as problem:
        form.add_error(None, str(problem))
        return None
    show = form.cleaned_data["show"]
    shown = [pair for pair in pairs if show in {"all", pair.state} or (not show and pair.state != "same")]
    return _Found(left, right, pairs, shown)


def _shown(request: Request, form: CompareForm, found: _Found) -> dict[str, Any]:
    vaults = [*found.left.vaults, *found.right.vaults]
    asked, page = _sides(form), Paginator(found.shown, PAGE).get_page(request.GET.get("page", "1"))
    return {
        "left": found.left,
        "right": found.right,
        "sides": [found.left, found.right],
        "counts": badges.tally("comparison", (pair.state for pair in found.pairs)),
        "page": page,
        "here": reverse("compare"),
        "asks": all(policy.may_within(request.user, a.SECRET_COMPARE, vault) for vault in vaults),
        "at_once": equality.AT_ONCE,
        "values_url": f"{reverse('compare-values')}?{asked}&page={page.number}",
        "export_url": f"{reverse('compare-export')}?{asked}",
    }


def _sides(form: CompareForm) -> str:
    return urlencode({name: form.cleaned_data[name] for name in ("left", "right", "show", "ignore")})


def _lines(pairs: list[Pair]) -> Iterator[tuple[str, ...]]:
    for pair in pairs:
        head = (pair.name, badges.find("comparison", pair.state).label, _places(pair.left), _places(pair.right))
        for change in pair.differences:
            yield (*head, change.label, change.before, change.after)
        if not pair.differences:
            yield (*head, "", "", "")


def _places(secrets: list[Secret]) -> str:
    return " ".join(secret.vault.name for secret in secrets)


# --- Values ----------------------------------------------------------------------------------------------------------
@require_POST
def values(request: Request) -> HttpResponse:
    """Yes or no for each pair that was ticked. The answer is this one page; nothing of it is kept."""
    policy.require(request, a.SECRET_COMPARE)
    form = ValuesForm(request.POST)
    pairs = _picked(request, form.cleaned_data["pick"]) if form.is_valid() else []
    if pairs is None:
        form.add_error("pick", "One of these secrets is not there, or you may not see it. This is how it is now.")
    if not pairs:
        return _page(request, form)
    reason = form.cleaned_data["reason"]
    try:
        answers = equality.ask(signed_in(request), policy.actor(request), pairs, reason=reason)
    except (equality.TooOften, LedgerUnavailable) as error:
        return _page(request, form, error.sentence, 429 if error.code == "too-many" else 503)
    context = {"answers": answers, "reason": reason, "back": f"{reverse('compare')}?{request.GET.urlencode()}"}
    return render(request, "vaults/compared_values.html", context)


def _picked(request: Request, ids: list[tuple[int, int]]) -> list[tuple[Secret, Secret]] | None:
    """The pairs, of secrets that the person may see; None when one of them is not among these."""
    wanted = {pk for pair in ids for pk in pair}
    seen = policy.visible_secrets(request.user).filter(vanished_at=None).select_related("vault__subscription")
    found = seen.in_bulk(wanted)
    if len(found) < len(wanted):
        return None
    return [(found[left], found[right]) for left, right in ids]
