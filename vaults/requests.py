"""The request's states: one function per verb. Each moves one locked row by one clock and writes one ledger row.

A refused verb changes nothing and is on record too. Looking never moves anything: pages ask `outlook`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
from vaults.rules import Refusal, allow, commented

Step = Callable[[RevealRequest, datetime], None]
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
def outlook(request: RevealRequest, now: datetime) -> tuple[State, str]:
    """The state that holds at this moment, and why, when it differs from the stored one. Changes nothing."""
    state, why = by_time(request, now)
    if why or state not in OPEN:
        return state, why
    if request.kind == Kind.BREAK_GLASS:
        why = _emergency_over(request)
        return (State.REVIEW_DUE, why) if why else (state, "")
    why = _void(request)
    return (State.VOID, why) if why else (state, "")


def by_time(request: RevealRequest, now: datetime) -> tuple[State, str]:
    """What time alone has done: the same, without the questions about roles and policies. Asks nothing of anybody."""
    state = State(request.state)
    if state in CLOSED or state == State.REVIEW_DUE:
        return state, ""
    if request.kind == Kind.BREAK_GLASS:
        return (State.REVIEW_DUE, "The window is over.") if now >= _end(request) else (state, "")
    if state == State.ACTIVE and now >= _end(request):
        return State.ENDED, "The window is over."
    if state != State.ACTIVE and now >= request.due_at:
        return State.EXPIRED, "Nobody decided in time." if state == State.PENDING else "It was not used in time."
    return state, ""


def _end(request: RevealRequest) -> datetime:
    return request.ends_at or request.due_at


def _void(request: RevealRequest) -> str:
    """Why the request no longer has a ground to stand on; empty when it has. An unreachable vault is not a reason."""
    if why := purge_rules.void(request) if request.act == Act.PURGE else _void_reveal(request):
        return why
    if request.state != State.PENDING and not enough(request.policy, counting_voters(request)):
        return "An approval no longer counts: somebody who gave it may not decide any more."
    return ""


def _void_reveal(request: RevealRequest) -> str:
    requester, secret = request.requester, request.secret
    if not requester.is_active or not policy.may(requester, a.SECRET_REQUEST, secret.vault, secret.key):
        return "The person who asked no longer holds a role here."
    if secret.vanished_at or not secret.enabled:
        return "The secret is disabled or gone."
    rule = policy.policy_for(secret.vault, secret.key)
    if rule is None or rule.pk != request.policy_id:
        return "The policy here has changed."
    return ""


def _emergency_over(request: RevealRequest) -> str:
    """Why an emergency's window ends before its time; empty when it does not."""
    secret = request.secret
    if not policy.may(request.requester, a.SECRET_BREAK_GLASS, secret.vault, secret.key):
        return "The person who broke the glass no longer holds the role for it here."
    if secret.vanished_at or not secret.enabled:
        return "The secret is disabled or gone."
    rule = policy.policy_for(secret.vault, secret.key)
    return "" if rule and rule.break_glass else "The policy here leaves no break-glass open any more."


def settle(request: RevealRequest, now: datetime) -> None:
    """Put what time and events did on record, on a locked row."""
    state, why = outlook(request, now)
    if state == request.state:
        return
    if state == State.REVIEW_DUE:
        request.ends_at = min(_end(request), now)
        to(request, state, ledger.CLOCK, a.SECRET_BREAK_GLASS, note=why)
    else:
        close(request, state, now, None, ledger.CLOCK, a.SECRET_REQUEST, why)


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


# --- Underneath ------------------------------------------------------------------------------------------------------
def locked(pk: int) -> RevealRequest:
    """The row, locked until the caller's transaction ends, with all that a verb looks at."""
    rows = RevealRequest.objects.select_for_update(of=("self",))
    return rows.select_related("requester", "secret__vault__subscription", "policy").get(pk=pk)


def move(by: Person, actor: ledger.Actor, pk: int, action: Action, step: Step) -> RevealRequest:
    """Run one verb under the row's lock. A refusal leaves only what time had done anyway, and its own record."""
    refusal = None
    with transaction.atomic():
        request = locked(pk)
        now = clock.now()
        settle(request, now)
        try:
            step(request, now)
        except Refusal as refused:
            refusal = refused
    if refusal:
        where = ledger.Move(request.pk, request.state, request.state, request.asked_hash)
        on_record(refusal, action, actor, target(request.secret), "", where)
        raise refusal
    return request


def to(request: RevealRequest, state: State, actor: ledger.Actor, action: Action, *, note: str = "") -> None:
    """Move a locked row to a state, with its one ledger row."""
    before, request.state = request.state, state
    request.save()
    remember(request, action, actor, before, note=note)
    notify.happened(request, state)


def close(
    request: RevealRequest,
    state: State,
    now: datetime,
    by: Person | None,
    actor: ledger.Actor,
    action: Action,
    why: str,
) -> None:
    """Move a locked row to a state that it never leaves."""
    request.closed_at, request.closed_by, request.comment = now, by, why[:500]
    to(request, state, actor, action, note=why)


def remember(request: RevealRequest, action: Action, actor: ledger.Actor, before: str, *, note: str) -> None:
    step = ledger.Move(request.pk, before, request.state, request.asked_hash)
    ledger.record(action, actor, target(request.secret), reason=request.reason, note=note, move=step)


def target(secret: Secret) -> ledger.Target:
    return ledger.Target(secret.vault.name, secret.key)


def on_record(
    refusal: Refusal,
    action: Action,
    actor: ledger.Actor,
    where: ledger.Target,
    reason: str,
    step: ledger.Move = ledger.NO_MOVE,
) -> None:
    """A refused attempt is a fact too."""
    if not refusal.recorded:
        ledger.refuse(action, actor, where, code=refusal.code, note=refusal.sentence, reason=reason, move=step)
        refusal.recorded = True
