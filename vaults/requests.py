"""The request's states: one function per verb. Each moves one locked row by one clock and writes one ledger row.

A refused verb changes nothing and is on record too. Looking never moves anything: pages ask `outlook`.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from audit import clock, ledger
from kvadmin import actions as a
from kvadmin.actions import Action
from vaults import notify, policy, purge_rules
from vaults.approvers import approvers, counting_voters, enough, missing
from vaults.models import CLOSED, OPEN, Person, RevealPolicy, RevealRequest, Secret, State, Vote
from vaults.moves import close, locked, move, on_record, remember, settle, target, to
from vaults.rules import Refusal, allow, commented

Kind = RevealRequest.Kind
Act = RevealRequest.Act
Use = RevealPolicy.Use


# --- Asking ----------------------------------------------------------------------------------------------------------
def ask(
    by: Person,
    actor: ledger.Actor,
    secret: Secret,
    *,
    reason: str,
    ticket: str = "",
    minutes: int,
    use: str = Use.ONCE,
    version: str = "",
    again: RevealRequest | None = None,
    act: RevealRequest.Act = Act.REVEAL,
) -> RevealRequest:
    """Create a request that waits for its approvers. Raises Refusal with the cause, which is then on record."""
    _settle_earlier(by, secret, act)
    try:
        rule = purge_rules.askable(by, secret) if act == Act.PURGE else askable(by, secret)
        _fits(rule, minutes=minutes, use=use, ticket=ticket)
        return _create(
            actor, requester=by, secret=secret, policy=rule, reason=reason, ticket=ticket, minutes=minutes, use=use,
            version=version, asked_again_from=again, uses_left=1 if use == Use.ONCE else None, act=act,
        )  # fmt: skip
    except Refusal as refusal:
        on_record(refusal, a.SECRET_REQUEST, actor, target(secret), reason)
        raise


def _settle_earlier(by: Person, secret: Secret, act: RevealRequest.Act) -> None:
    """A request of theirs that time or events have ended is no duplicate, though nobody has looked at it since."""
    theirs = RevealRequest.objects.filter(requester=by, secret=secret, act=act, kind=Kind.APPROVAL, state__in=OPEN)
    for pk in theirs.values_list("pk", flat=True):
        with transaction.atomic():
            settle(locked(pk), clock.now())


def askable(by: Person, secret: Secret) -> RevealPolicy:
    """The policy under which this person may ask for this secret, and somebody could approve it. Raises Refusal."""
    if not policy.may(by, a.SECRET_REQUEST, secret.vault, secret.key):
        raise Refusal("no-role-here", "You hold no role that may ask for this.", 403)
    if not secret.enabled or secret.vanished_at:
        raise Refusal("disabled", "This secret is disabled or gone, so there is nothing to ask for.")
    decision = policy.may(by, a.SECRET_REVEAL, secret.vault, secret.key)
    if decision:
        raise Refusal("not-needed", "You may see this value without asking.")
    rule = policy.policy_for(secret.vault, secret.key)
    if rule is None or rule.mode == RevealPolicy.Mode.FORBIDDEN:
        raise Refusal("forbidden", "The policy here forbids showing this value to anybody, so nobody could approve it.")
    if why := missing(rule, approvers(secret, by)):
        raise Refusal("no-approver", why)
    return rule


def _fits(rule: RevealPolicy, *, minutes: int, use: str, ticket: str) -> None:
    if not 1 <= minutes <= rule.cap_minutes:
        raise Refusal("too-long", f"The policy allows 1 to {rule.cap_minutes} minutes.", 422, "minutes")
    if use == Use.WINDOW and rule.use == Use.ONCE:
        raise Refusal("once-only", "The policy allows to see the value one time only.", 422, "use")
    if rule.ticket_pattern and not re.fullmatch(rule.ticket_pattern, ticket):
        raise Refusal("ticket", f"The ticket must look like {rule.ticket_pattern}.", 422, "ticket")


def _create(actor: ledger.Actor, **fields: Any) -> RevealRequest:
    now = clock.now()
    due = now + timedelta(minutes=fields["policy"].decide_minutes)
    request = RevealRequest(asked_at=now, due_at=due, **fields)
    request.asked_hash = request.fingerprint()
    try:
        with transaction.atomic():
            request.save()
            remember(request, a.SECRET_REQUEST, actor, "", note=request.reason)
            notify.happened(request, "asked")
    except IntegrityError:
        raise Refusal("duplicate", _already(request)) from None
    return request


def _already(request: RevealRequest) -> str:
    twin = RevealRequest.objects.filter(
        requester=request.requester, secret=request.secret, act=request.act, kind=Kind.APPROVAL
    )
    return already_open(twin.exclude(state__in=CLOSED).values_list("pk", flat=True).first())


def already_open(number: int | None) -> str:
    return f"You have an open request for this secret already: #{number}."


# --- Deciding --------------------------------------------------------------------------------------------------------
def approve(by: Person, actor: ledger.Actor, pk: int, *, seen: str, comment: str = "") -> RevealRequest:
    """Say yes to exactly what was seen (its hash). The last yes that is needed approves the request."""

    def step(request: RevealRequest, now: datetime) -> None:
        allow("approve", by, request)
        if seen != request.asked_hash:
            raise Refusal("stale", "The request has changed since you opened it. Read it again, then decide.")
        Vote.objects.create(request=request, voter=by, asked_hash=seen, comment=comment, at=now)
        remember(request, a.REQUEST_APPROVE, actor, State.PENDING, note=f"Yes. {comment}".strip())
        if enough(request.policy, counting_voters(request)):
            request.decided_at, request.due_at = now, now + timedelta(minutes=request.policy.decide_minutes)
            to(request, State.APPROVED, ledger.CLOCK, a.REQUEST_APPROVE, note="Every approval that the policy needs.")

    return move(by, actor, pk, a.REQUEST_APPROVE, step)


def deny(by: Person, actor: ledger.Actor, pk: int, *, comment: str) -> RevealRequest:
    """Say no, with a reason. It ends a request that waits, and an approved one that was not used yet: no wins."""

    def step(request: RevealRequest, now: datetime) -> None:
        allow("deny", by, request)
        commented(comment)
        request.decided_at = now
        close(request, State.DENIED, now, by, actor, a.REQUEST_APPROVE, comment)

    return move(by, actor, pk, a.REQUEST_APPROVE, step)


def shorten(by: Person, actor: ledger.Actor, pk: int, *, minutes: int) -> RevealRequest:
    """An approver allows less time than was asked. As the question changes, every vote falls."""

    def step(request: RevealRequest, now: datetime) -> None:
        allow("shorten", by, request)
        if not 1 <= minutes < request.minutes:
            raise Refusal("not-shorter", f"Give 1 to {request.minutes - 1} minutes: an approver may only shorten.", 422)
        _change(request, now, actor, a.REQUEST_APPROVE, minutes=minutes)

    return move(by, actor, pk, a.REQUEST_APPROVE, step)


def revoke(by: Person, actor: ledger.Actor, pk: int, *, comment: str) -> RevealRequest:
    """Take a grant back at once, used or not. A break-glass grant that is taken back still has to be reviewed."""

    def step(request: RevealRequest, now: datetime) -> None:
        allow("revoke", by, request)
        commented(comment)
        if request.kind == Kind.BREAK_GLASS:
            request.ends_at = now
            to(request, State.REVIEW_DUE, actor, a.REQUEST_REVOKE, note=comment)
        else:
            close(request, State.REVOKED, now, by, actor, a.REQUEST_REVOKE, comment)

    return move(by, actor, pk, a.REQUEST_REVOKE, step)


# --- The requester's verbs -------------------------------------------------------------------------------------------
def withdraw(by: Person, actor: ledger.Actor, pk: int) -> RevealRequest:
    """The person no longer needs it. An active grant ends; what was shown stays on record."""

    def step(request: RevealRequest, now: datetime) -> None:
        allow("withdraw", by, request)
        if request.kind == Kind.BREAK_GLASS:
            request.ends_at = now
            to(request, State.REVIEW_DUE, actor, a.SECRET_BREAK_GLASS, note="Handed back.")
        elif request.state == State.ACTIVE:
            close(request, State.ENDED, now, by, actor, a.SECRET_REQUEST, "Handed back.")
        else:
            close(request, State.WITHDRAWN, now, by, actor, a.SECRET_REQUEST, "")

    return move(by, actor, pk, a.SECRET_REQUEST, step)


def edit(
    by: Person, actor: ledger.Actor, pk: int, *, reason: str, ticket: str, minutes: int, use: str
) -> RevealRequest:
    """Change what is asked. Every vote falls, for it was a yes to something else."""

    def step(request: RevealRequest, now: datetime) -> None:
        allow("edit", by, request)
        _fits(request.policy, minutes=minutes, use=use, ticket=ticket)
        uses = 1 if use == Use.ONCE else None
        _change(
            request,
            now,
            actor,
            a.SECRET_REQUEST,
            reason=reason,
            ticket=ticket,
            minutes=minutes,
            use=use,
            uses_left=uses,
        )

    return move(by, actor, pk, a.SECRET_REQUEST, step)


def _change(request: RevealRequest, now: datetime, actor: ledger.Actor, action: Action, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(request, name, value)
    request.asked_hash = request.fingerprint()
    fallen = request.votes.filter(dropped_at=None).update(dropped_at=now)
    request.save()
    remember(request, action, actor, State.PENDING, note=f"Changed to {request.minutes} minutes; {fallen} votes fell.")
    notify.happened(request, "changed")


# --- What time and events do -----------------------------------------------------------------------------------------
def settle_all() -> int:
    """Settle every open request; for the worker's clock. Cosmetic: each verb settles its own row first."""
    moved = 0
    open_ones = RevealRequest.objects.filter(state__in=(State.PENDING, State.APPROVED, State.ACTIVE))
    for pk, before in open_ones.values_list("pk", "state"):
        with transaction.atomic():
            request = locked(pk)
            settle(request, clock.now())
            moved += request.state != before
    return moved


# --- Somebody leaves -------------------------------------------------------------------------------------------------
def locked_of(person: Person) -> list[RevealRequest]:
    """Every open request that this person made or voted on, settled: all rows are locked first, in one order."""
    theirs = Q(requester=person) | Q(votes__voter=person, votes__dropped_at=None)
    numbers = RevealRequest.objects.filter(theirs, state__in=OPEN).order_by("pk").values_list("pk", flat=True)
    found, now = [locked(pk) for pk in numbers.distinct()], clock.now()
    for request in found:
        settle(request, now)
    return found


def drop_votes(actor: ledger.Actor, person: Person, touched: list[RevealRequest], why: str) -> int:
    """This person's yes counts no more; what stood on it alone is void. How many votes fell."""
    fallen, now = 0, clock.now()
    for request in touched:
        dropped = request.votes.filter(voter=person, dropped_at=None).update(dropped_at=now)
        if dropped and request.state in OPEN:
            fallen += dropped
            remember(request, a.SESSION_REVOKE, actor, request.state, note=f"The vote of {person} fell: {why}")
            settle(request, now)
    return fallen


def end_all(by: Person, actor: ledger.Actor, person: Person, touched: list[RevealRequest], why: str) -> int:
    """End this person's own requests: void, or, where the glass was broken, due for its review. How many."""
    ended, now = 0, clock.now()
    for request in touched:
        if request.requester_id != person.pk or request.state not in OPEN:
            continue
        ended += 1
        if request.kind == Kind.BREAK_GLASS:
            request.ends_at = now
            to(request, State.REVIEW_DUE, actor, a.SESSION_REVOKE, note=why)
        else:
            close(request, State.VOID, now, by, actor, a.SESSION_REVOKE, why)
    return ended
