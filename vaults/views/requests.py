"""Requests: what waits for me, what I asked, and each one with the verbs that are possible now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit import clock, ledger
from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import break_glass, inbox, policy, requests, step_up
from vaults.dossier import dossier
from vaults.models import Person, RevealRequest, State
from vaults.moves import target
from vaults.request_forms import AskForm, DecideForm, RequestsFilter, ShortenForm, WithdrawForm
from vaults.rules import Refusal
from vaults.views.roles import signed_in

SHOWS = {"inbox": "Waiting for you", "mine": "Yours", "all": "All"}
VOTES = {"approve", "deny", "review"}  # for these the policy may ask for a fresh sign-in
MOST_PICKED = inbox.PAGE


# --- Lists -----------------------------------------------------------------------------------------------------------
@require_safe
def request_list(request: Request) -> HttpResponse:
    form = RequestsFilter(request.GET)
    context = _list(request, form)
    template = "vaults/_requests_table.html" if request.htmx else "vaults/requests.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _list(request: Request, form: RequestsFilter) -> dict[str, Any]:
    me, now = signed_in(request), clock.now()
    show = request.GET.get("show", "inbox")
    if show not in SHOWS:
        raise NotThere("There is no such list of requests: there are inbox, mine and all.")
    decides = bool(policy.may(me, a.REQUEST_APPROVE))
    if "show" not in request.GET and not decides:
        show = "mine"
    context = {"form": form, "show": show, "shows": SHOWS, "decides": decides, "results": None}
    if show == "inbox":
        context["emergencies"] = inbox.rows(inbox.emergencies(me, now)[: inbox.PAGE], now)
    if not form.is_valid():
        return context | {"slice": inbox.Slice([]), "filtered": True}
    asked = form.cleaned_data
    found = _narrowed(_shown(show, me, now), asked, now)
    places = {name: asked[name] or 0 for name in ("before", "after")}
    return context | {"slice": inbox.page(found, now, **places), "filtered": bool(asked["state"] or asked["q"])}


def _shown(show: str, me: Person, now: Any) -> QuerySet[RevealRequest]:
    match show:
        case "inbox":
            return inbox.waiting(me, now)
        case "mine":
            return inbox.mine(me)
    return inbox.readable(me)


def _narrowed(found: QuerySet[RevealRequest], asked: dict[str, Any], now: Any) -> QuerySet[RevealRequest]:
    if asked["state"]:
        found = found.filter(inbox.has_state(asked["state"], now))
    return found.filter(inbox.naming(asked["q"])) if asked["q"] else found


# --- One -------------------------------------------------------------------------------------------------------------
@require_safe
def request_page(request: Request, pk: int) -> HttpResponse:
    return _page(request, _found(request, pk))


def _found(request: Request, pk: int) -> RevealRequest:
    """The request, for its requester and for whoever may see its secret; 404 for all others."""
    whole = inbox.readable(signed_in(request)).select_related(
        "requester", "secret__vault__subscription", "policy__vault", "policy__subscription", "asked_again_from"
    )
    found = whole.filter(pk=pk).first()
    if found is None:
        raise NotThere("There is no such request, or none that you may see.")
    return found


def _page(
    request: Request,
    item: RevealRequest,
    *,
    verb: str = "",
    form: forms.Form | None = None,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    """The page, after a refused act with its sentence and with all that was typed."""
    me, now = signed_in(request), clock.now()
    facts = dossier(me, item, now)
    context = {
        "item": item,
        "facts": facts,
        "own": item.requester_id == me.pk,
        "refusal": refusal,
        "tried": verb,
        "sees_secret": bool(policy.may(me, a.SECRET_LIST, item.secret.vault, item.secret.key)),
        "usable": item.requester_id == me.pk and facts.state in (State.APPROVED, State.ACTIVE),
        **_forms(request, item, verb, form),
    }
    return render(request, "vaults/request.html", context, status=status)


def _forms(request: Request, item: RevealRequest, verb: str, form: forms.Form | None) -> dict[str, forms.Form]:
    """A form for each place of the page; the one that was sent comes back as it was sent."""
    as_asked = {"reason": item.reason, "ticket": item.ticket, "minutes": item.minutes, "use": item.use}
    kept = step_up.draft(request, reverse("request", args=[item.pk]))
    fresh: dict[str, forms.Form] = {
        "decide": DecideForm(initial=kept),
        "shorten": ShortenForm(initial={"minutes": max(1, item.minutes // 2)}),
        "edit": AskForm(rule=item.policy, initial=as_asked),
    }
    place = verb if verb in {"shorten", "edit"} else "decide"
    if form is not None and verb != "withdraw":
        fresh[place] = form
    return fresh


# --- Verbs -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Act:
    """A verb as the page knows it: its word in the vocabulary, its form, what it does with it, what it says then."""

    action: a.Action
    form: type[forms.Form]
    do: Callable[..., RevealRequest]
    said: str
    fields: tuple[str, ...] = ()


def _review(by: Person, actor: ledger.Actor, pk: int, *, verdict: str, comment: str) -> RevealRequest:
    return break_glass.review(by, actor, pk, justified=verdict == State.JUSTIFIED, comment=comment)


ACTS = {
    "approve": Act(a.REQUEST_APPROVE, DecideForm, requests.approve, "Your yes is on record.", ("seen", "comment")),
    "deny": Act(a.REQUEST_APPROVE, DecideForm, requests.deny, "Denied.", ("comment",)),
    "review": Act(a.REQUEST_APPROVE, DecideForm, _review, "Reviewed.", ("verdict", "comment")),
    "revoke": Act(a.REQUEST_REVOKE, DecideForm, requests.revoke, "Taken back, at once.", ("comment",)),
    "shorten": Act(a.REQUEST_APPROVE, ShortenForm, requests.shorten, "Shortened; every vote fell.", ("minutes",)),
    "withdraw": Act(a.SECRET_REQUEST, WithdrawForm, requests.withdraw, "Withdrawn."),
    "edit": Act(
        a.SECRET_REQUEST, AskForm, requests.edit, "Changed; every vote fell.", ("reason", "ticket", "minutes", "use")
    ),
}


@require_POST
def act(request: Request, pk: int, verb: str) -> HttpResponse:
    """Do one verb to one request; when it is refused, the page comes back with the sentence and all that was typed."""
    item, this = _found(request, pk), ACTS[verb]
    form = this.form(request.POST, rule=item.policy) if this.form is AskForm else this.form(request.POST)
    if not form.is_valid() or (verb == "review" and not form.cleaned_data["verdict"]):
        return _page(request, item, verb=verb, form=form, refusal=_first_error(form), status=422)
    if url := _stale(request, item, this.action, item.policy.sign_in_minutes if verb in VOTES else 0):
        return redirect(url)
    try:
        moved = this.do(
            signed_in(request), policy.actor(request), pk, **{name: form.cleaned_data[name] for name in this.fields}
        )
    except Refusal as refusal:
        if refusal.field in form.fields:
            form.add_error(refusal.field, refusal.sentence)
        item = _found(request, pk)
        return _page(request, item, verb=verb, form=form, refusal=refusal.sentence, status=refusal.status)
    step_up.forget(request)
    messages.success(request, f"{this.said} {_standing(moved)}".strip())
    return redirect("request", pk)


def _first_error(form: forms.Form) -> str:
    errors = [error for field in form.errors.values() for error in field]
    return str(errors[0]) if errors else "Say whether it was justified, or misuse."


def _stale(request: Request, item: RevealRequest, action: a.Action, minutes: int) -> str:
    back = reverse("request", args=[item.pk])
    move = ledger.Move(item.pk, item.state, item.state, item.asked_hash)
    return step_up.require_fresh(request, minutes, back, action, target(item.secret), move)


def _standing(moved: RevealRequest) -> str:
    if moved.state == State.APPROVED:
        return "The request is approved now."
    return "It still needs another approval." if moved.state == State.PENDING and moved.votes.exists() else ""


# --- Several at once -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Result:
    """What became of one of several: the request's number, whether it went well, and a sentence."""

    pk: int
    ok: bool
    sentence: str


@require_POST
def approve_many(request: Request) -> HttpResponse:
    """Approve each picked request by itself: each is looked at again, and each has its own result."""
    form = DecideForm(request.POST)
    picked = [int(pk) for pk in request.POST.getlist("pick")[:MOST_PICKED] if pk.isascii() and pk.isdigit()]
    found = {item.pk: item for item in _several(request, picked)}
    if url := _stale_for_any(request, list(found.values())):
        return redirect(url)
    if not form.is_valid():
        return _report(request, form, [], 422)
    results = [_approve_one(request, pk, found.get(pk), form.cleaned_data["comment"]) for pk in picked]
    if not any(result.ok for result in results):
        return _report(request, form, results, 409 if results else 422)
    return _report(request, DecideForm(), results, 200 if all(result.ok for result in results) else 207)


def _several(request: Request, picked: list[int]) -> QuerySet[RevealRequest]:
    mine = inbox.readable(signed_in(request)).filter(pk__in=[pk for pk in picked if pk < 2**63])
    return mine.select_related("policy", "secret__vault")


def _stale_for_any(request: Request, found: list[RevealRequest]) -> str:
    """The strictest policy among them decides how fresh the sign-in has to be."""
    strict = [item for item in found if item.policy.sign_in_minutes]
    if not strict:
        return ""
    item = min(strict, key=lambda one: one.policy.sign_in_minutes)
    move = ledger.Move(item.pk, item.state, item.state, item.asked_hash)
    where, minutes = target(item.secret), item.policy.sign_in_minutes
    return step_up.require_fresh(request, minutes, reverse("requests"), a.REQUEST_APPROVE, where, move)


def _approve_one(request: Request, pk: int, item: RevealRequest | None, comment: str) -> Result:
    if item is None:
        return Result(pk, ok=False, sentence="There is no such request, or none that you may see.")
    seen = request.POST.get(f"seen-{pk}", "")
    try:
        moved = requests.approve(signed_in(request), policy.actor(request), pk, seen=seen, comment=comment)
    except Refusal as refusal:
        return Result(pk, ok=False, sentence=refusal.sentence)
    return Result(pk, ok=True, sentence=_standing(moved) or "Your yes is on record.")


def _report(request: Request, form: DecideForm, results: list[Result], status: int) -> HttpResponse:
    """The inbox as it is now, with what became of each."""
    context = _list(request, RequestsFilter({})) | {"show": "inbox", "results": results, "bulk": form}
    if not results:
        context["refusal"] = _first_error(form) if form.errors else "Nothing was approved: pick at least one request."
    return render(request, "vaults/requests.html", context, status=status)
