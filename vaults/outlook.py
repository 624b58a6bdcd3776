"""What time and events have made of a request, whether anybody looked or not. Nothing here moves one."""

from __future__ import annotations

from datetime import datetime

from kvadmin import actions as a
from vaults import policy, purge_rules
from vaults.approvers import counting_voters, enough
from vaults.models import CLOSED, OPEN, RevealRequest, State

Kind = RevealRequest.Kind
Act = RevealRequest.Act


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
        return (State.REVIEW_DUE, "The window is over.") if now >= end_of(request) else (state, "")
    if state == State.ACTIVE and now >= end_of(request):
        return State.ENDED, "The window is over."
    if state != State.ACTIVE and now >= request.due_at:
        return State.EXPIRED, "Nobody decided in time." if state == State.PENDING else "It was not used in time."
    return state, ""


def end_of(request: RevealRequest) -> datetime:
    """When its window ends; before there is one, when its time to be decided on, or used, is over."""
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
