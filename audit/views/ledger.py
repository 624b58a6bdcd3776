"""The ledger: what kvadmin itself did, whether its chain holds, and what Azure's log confirms of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from audit import chains, checkpoints, ledger, queries
from audit.confirm import Confirmed, confirmations
from audit.explain import explain_chain
from audit.forms import LedgerFilter
from audit.models import LedgerEntry, LedgerHead
from audit.views import visits
from audit.views.scope import entries_for
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy

PAGE = 50


@require_safe
def entries(request: Request) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    form = LedgerFilter(request.GET)
    template = "audit/_ledger_table.html" if request.htmx else "audit/ledger.html"
    context = {"form": form, **_may(request), **chain_state()}
    if not form.is_valid():
        return render(request, template, context, status=422)
    context |= _page(request, form)
    visits.on_record(request, "ledger", visits.filters_of(request, form), visits.target_of(form.cleaned_data))
    return render(request, template, context)


def _may(request: Request) -> dict[str, bool]:
    return {
        "verify": policy.may(request.user, a.LEDGER_VERIFY).allowed,
        "export": policy.may(request.user, a.AUDIT_EXPORT).allowed,
    }


def _page(request: Request, form: LedgerFilter) -> dict[str, Any]:
    """One page, newest first, and what Azure's log says to each reveal on it."""
    found = filtered(entries_for(request.user), form.cleaned_data)
    rows = list(queries.with_events(found).order_by("-seq")[: PAGE + 1])
    shown = rows[:PAGE]
    return {
        "rows": _confirmed(request, shown),
        "next_before": shown[-1].seq if len(rows) > PAGE else None,
        "at_beginning": not form.cleaned_data["before"],
    }


def filtered(found: QuerySet[LedgerEntry], asked: dict[str, Any]) -> QuerySet[LedgerEntry]:
    """The ledger's rows that a filter's cleaned data lets through."""
    if asked["list"]:
        found = queries.unconfirmed(found)
    if asked["person"]:
        found = found.filter(person__icontains=asked["person"])
    if asked["before"]:
        found = found.filter(seq__lt=asked["before"])
    exact = {name: asked[name] for name in ("action", "act") if asked[name]}
    names = queries.named("vault", asked["vault"]) & queries.named("secret", asked["secret"])
    return found.filter(names, Q(**exact))


def _confirmed(request: Request, rows: list[LedgerEntry]) -> list[tuple[LedgerEntry, Confirmed | None]]:
    names = {row.vault for row in rows}
    vaults = policy.vaults_for(request.user, a.AUDIT_READ).filter(name__in=names)
    return confirmations(rows, list(vaults))


def chain_state() -> dict[str, Any]:
    """How long the chain is, what verifying it last found, and its last checkpoint: these are rows of it themselves."""
    told = LedgerEntry.objects.filter(action=a.LEDGER_VERIFY.word, phase=LedgerEntry.Phase.DONE).order_by("-seq")
    return {
        "head": LedgerHead.objects.filter(pk=1).first(),
        "verified": told.exclude(code=checkpoints.CODE).first(),
        "checkpoint": told.filter(code=checkpoints.CODE).first(),
        "signs": bool(settings.KVADMIN_CHECKPOINT_KEY and settings.KVADMIN_CHECKPOINT_FILE),
    }


@require_POST
def verify(request: Request) -> HttpResponse:
    policy.require(request, a.LEDGER_VERIFY)
    chain = chains.verify()
    said = explain_chain(chain)
    ledger.record(a.LEDGER_VERIFY, policy.actor(request), code="" if chain.intact else "broken", note=said)
    (messages.success if chain.intact else messages.error)(request, said)
    return redirect("ledger")
