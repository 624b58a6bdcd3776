"""Break-glass: a value at once, for named people, in the open, and reviewed by somebody else before the next time."""

from __future__ import annotations

import re
from datetime import timedelta

from django.db import IntegrityError, transaction

from audit import clock, ledger
from kvadmin import actions as a
from vaults import notify, policy
from vaults.approvers import approvers
from vaults.models import Person, RevealPolicy, RevealRequest, Secret, State
from vaults.moves import close, move, on_record, remember, target
from vaults.rules import Refusal, allow, commented

Kind = RevealRequest.Kind
REVIEW_DUE = "Your last break-glass has not been reviewed yet; until then there is no other."
_UNREVIEWED = (State.ACTIVE, State.REVIEW_DUE)


def break_glass(by: Person, actor: ledger.Actor, secret: Secret, *, reason: str, ticket: str) -> RevealRequest:
    """Open a short window on one secret. Raises Refusal; the caller has checked that the sign-in is fresh.

    Only named holders, only where the policy leaves it open, only while there is somebody to review it, and never
    again before the last time was reviewed.
    """
    try:
        rule = open_here(by, secret)
        if not ticket.strip() or (rule.ticket_pattern and not re.fullmatch(rule.ticket_pattern, ticket)):
            raise Refusal("ticket", f"An emergency has a ticket{_like(rule)}.", 422, "ticket")
        return _create(by, actor, secret, rule, reason, ticket)
    except Refusal as refusal:
        on_record(refusal, a.SECRET_BREAK_GLASS, actor, target(secret), reason)
        raise


def open_here(by: Person, secret: Secret) -> RevealPolicy:
    """The policy under which this person may break the glass of this secret. Raises Refusal."""
    if not policy.may(by, a.SECRET_BREAK_GLASS, secret.vault, secret.key):
        raise Refusal("no-role", "Break-glass is for its named holders, and you are not one of them here.", 403)
    if not secret.enabled or secret.vanished_at:
        raise Refusal("disabled", "This secret is disabled or gone: Azure would not give its value out.")
    rule = policy.policy_for(secret.vault, secret.key)
    if rule is None or not rule.break_glass:
        raise Refusal("closed", "The policy here leaves no break-glass open.")
    if not approvers(secret, by):
        raise Refusal("no-reviewer", "Nobody else could review this afterwards, so the glass stays whole.")
    if RevealRequest.objects.filter(requester=by, kind=Kind.BREAK_GLASS, state__in=_UNREVIEWED).exists():
        raise Refusal("review-due", REVIEW_DUE)
    return rule


def _like(rule: RevealPolicy) -> str:
    return f", which looks like {rule.ticket_pattern}" if rule.ticket_pattern else ""


def _create(
    by: Person, actor: ledger.Actor, secret: Secret, rule: RevealPolicy, reason: str, ticket: str
) -> RevealRequest:
    now = clock.now()
    end = now + timedelta(minutes=rule.break_glass_minutes)
    request = RevealRequest(
        kind=Kind.BREAK_GLASS, state=State.ACTIVE, requester=by, secret=secret, policy=rule, reason=reason,
        ticket=ticket, minutes=rule.break_glass_minutes, use=RevealPolicy.Use.WINDOW, asked_at=now, due_at=end,
        decided_at=now, starts_at=now, ends_at=end,
    )  # fmt: skip
    request.asked_hash = request.fingerprint()
    try:
        with transaction.atomic():
            request.save()
            remember(request, a.SECRET_BREAK_GLASS, actor, "", note=f"Ticket {ticket}.")
            notify.happened(request, "break-glass")
    except IntegrityError:
        raise Refusal("review-due", REVIEW_DUE) from None
    return request


def review(by: Person, actor: ledger.Actor, pk: int, *, justified: bool, comment: str) -> RevealRequest:
    """A second person judges an emergency that is over. Never the holder. Raises Refusal."""

    def step(request: RevealRequest, now: object) -> None:
        allow("review", by, request)
        commented(comment)
        verdict = State.JUSTIFIED if justified else State.MISUSE
        close(request, verdict, clock.now(), by, actor, a.REQUEST_APPROVE, comment)

    return move(by, actor, pk, a.REQUEST_APPROVE, step)
