"""What one person can do now to see one value: show it, wait, ask, break the glass, or nothing. It moves nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit import clock
from kvadmin import actions as a
from vaults import break_glass, grants, policy, requests
from vaults.approvers import approvers, counting_voters
from vaults.models import OPEN, Person, RevealRequest, Secret, State
from vaults.outlook import outlook
from vaults.policy import Decision
from vaults.rules import Refusal


@dataclass(frozen=True, slots=True)
class Access:
    """The decision, the person's open request if there is one, and what is possible besides, each with its cause.

    `who`: who approved the request or, while it waits, could still decide it.
    """

    decision: Decision
    request: RevealRequest | None = None
    state: State | None = None
    who: list[Person] = field(default_factory=list)
    may_ask: bool = False
    why_not: str = ""
    may_break_glass: bool = False

    @property
    def kind(self) -> str:
        """Which of the reveal's faces is shown."""
        if self.request and self.state in (State.APPROVED, State.ACTIVE):
            return "grant"
        if self.decision:
            return "direct"
        if self.request:
            return "pending"
        return "ask" if self.may_ask else "nothing"

    @property
    def grant(self) -> RevealRequest | None:
        return self.request if self.kind == "grant" else None


def access(person: Person, secret: Secret) -> Access:
    decision = policy.may(person, a.SECRET_REVEAL, secret.vault, secret.key)
    request, state = held(person, secret)
    if request and (state != State.PENDING or not decision):
        return Access(decision, request, state, _who(request, state), may_break_glass=_emergency(person, secret))
    if decision:
        return Access(decision)
    why_not = _not_askable(person, secret)
    return Access(decision, may_ask=not why_not, why_not=why_not, may_break_glass=_emergency(person, secret))


def held(person: Person, secret: Secret) -> tuple[RevealRequest | None, State | None]:
    """The person's request for the secret that is open at this moment, with its state."""
    request = grants.held(person, secret.pk)
    if request is None:
        return None, None
    request.requester, request.secret = person, secret
    state, _ = outlook(request, clock.now())
    return (request, state) if state in OPEN else (None, None)


def _who(request: RevealRequest, state: State | None) -> list[Person]:
    if request.kind == RevealRequest.Kind.BREAK_GLASS:
        return []
    if state != State.PENDING:
        return counting_voters(request)
    voted = set(request.votes.filter(dropped_at=None).values_list("voter_id", flat=True))
    return [person for person in approvers(request.secret, request.requester) if person.pk not in voted]


def _not_askable(person: Person, secret: Secret) -> str:
    """Why asking leads nowhere; empty when it may lead somewhere."""
    try:
        requests.askable(person, secret)
    except Refusal as refusal:
        return refusal.sentence
    return ""


def _emergency(person: Person, secret: Secret) -> bool:
    """Whether break-glass is offered: to its holders, where it is open. What stands in the way else, its page says."""
    try:
        break_glass.open_here(person, secret)
    except Refusal as refusal:
        return refusal.code in {"review-due", "no-reviewer"}
    return True
