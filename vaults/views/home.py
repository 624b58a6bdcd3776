"""Home: what needs me."""

from __future__ import annotations

from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit import findings
from audit.models import LedgerEntry
from audit.views.scope import findings_for
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import inbox, policy, search
from vaults.models import Person, Secret, SyncRun
from vaults.standing import blind, standing
from vaults.views.roles import signed_in

FEW = 6  # rows of each list


@require_safe
def home(request: Request) -> HttpResponse:
    vaults = policy.visible_vaults(request.user)
    secrets = policy.visible_secrets(request.user).filter(vanished_at=None, vault__vanished_at=None)
    context = {
        "roles": policy.assignments(request.user),
        "standing": standing(vaults),
        "blind": blind(vaults),
        "counts": _counts(secrets),
        "expiring": _expiring(secrets),
        "revealed": _revealed(request),
        "last_sweep": _last_sweep(request),
        **_requests(signed_in(request)),
        "findings": _findings(request),
    }
    return render(request, "vaults/home.html", context)


def _requests(me: Person) -> dict[str, list[inbox.Row]]:
    """What waits for this person, the oldest first, and what they wait for themselves."""
    now = timezone.now()
    found = {"my_requests": inbox.rows(inbox.mine(me).filter(inbox.is_open(now))[:FEW], now)}
    if policy.may(me, a.REQUEST_APPROVE):
        found["waiting"] = inbox.rows(inbox.waiting(me, now).order_by("pk")[:FEW], now)
        found["emergencies"] = inbox.rows(inbox.emergencies(me, now).order_by("pk")[:FEW], now)
    return found


def _counts(secrets: QuerySet[Secret]) -> dict[str, int]:
    expired, expiring = search.expiry("expired"), search.expiry("expiring")
    dated = secrets.filter(expired | expiring)
    return dated.aggregate(expired=Count("pk", filter=expired), expiring=Count("pk", filter=expiring))


def _expiring(secrets: QuerySet[Secret]) -> list[Secret]:
    soon = secrets.filter(search.expiry("expiring"))
    return list(soon.select_related("vault").order_by("expires_on", "pk")[:FEW])


def _revealed(request: Request) -> list[LedgerEntry]:
    """What this person has seen lately: their own ledger rows, for which they need no right."""
    acts = [a.SECRET_REVEAL.word, a.SECRET_BREAK_GLASS.word]
    mine = Q(person_id=str(request.user.pk), action__in=acts, phase=LedgerEntry.Phase.REVEALED)
    return list(LedgerEntry.objects.filter(mine).order_by("-seq")[:FEW])


def _findings(request: Request) -> dict[str, int]:
    """How many findings wait, within the auditor's reach, for somebody to take note of them, by severity."""
    if not policy.may(request.user, a.AUDIT_READ):
        return {}
    return findings.open_counts(findings_for(request.user))


def _last_sweep(request: Request) -> SyncRun | None:
    """A sweep counts vaults that others see, so it is for those who may start one."""
    if not policy.may_everywhere(request.user, a.VAULT_SYNC):
        return None
    return SyncRun.objects.exclude(state=SyncRun.State.SKIPPED).first()
