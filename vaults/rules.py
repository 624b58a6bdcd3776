"""Which verb is possible in which state, and for whom: the verbs obey these rules, and pages offer what they allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kvadmin import actions as a
from vaults import policy
from vaults.approvers import approvers, same_person
from vaults.models import Person, RevealRequest, State

Eligible = Iterable[Person] | None


class Refusal(Exception):
    """A verb that may not be done: by this person (403), now (409), or so (422). On record before it is raised."""

    recorded = False  # once is enough, however many hands it passes through

    def __init__(self, code: str, sentence: str, status: int = 409, field: str = "") -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.status, self.field = code, sentence, status, field


@dataclass(frozen=True, slots=True)
class Rule:
    """From which states a verb leads on, and the guard that raises Refusal for whom it does not.

    A guard takes those who may decide where the caller knows them already, or asks for them itself.
    """

    states: tuple[State, ...]
    guard: Callable[[Person, RevealRequest, Eligible], None]


def may_decide(by: Person, request: RevealRequest, eligible: Eligible = None) -> None:
    if same_person(by, request.requester):
        raise Refusal("oneself", "Nobody decides their own request.", 403)
    if eligible is None:
        eligible = approvers(request.secret, request.requester)
    if not any(person.pk == by.pk for person in eligible):
        raise Refusal("no-role-here", "You hold no Approver role that reaches this secret.", 403)


def may_approve(by: Person, request: RevealRequest, eligible: Eligible = None) -> None:
    may_decide(by, request, eligible)
    if any(same_person(by, vote.voter) for vote in request.votes.filter(dropped_at=None).select_related("voter")):
        raise Refusal("voted", "You have approved this already.")


def may_revoke(by: Person, request: RevealRequest, eligible: Eligible = None) -> None:
    if not policy.may(by, a.REQUEST_REVOKE, request.secret.vault, request.secret.key):
        raise Refusal("no-role-here", "You hold no role that may take this back.", 403)


def own(by: Person, request: RevealRequest, eligible: Eligible = None) -> None:
    if request.requester_id != by.pk:
        raise Refusal("not-yours", "Only the person who asked may do this.", 403)


RULES = {
    "approve": Rule((State.PENDING,), may_approve),
    "deny": Rule((State.PENDING, State.APPROVED), may_decide),
    "shorten": Rule((State.PENDING,), may_decide),
    "edit": Rule((State.PENDING,), own),
    "withdraw": Rule((State.PENDING, State.APPROVED, State.ACTIVE), own),
    "revoke": Rule((State.APPROVED, State.ACTIVE), may_revoke),
    "review": Rule((State.REVIEW_DUE,), may_decide),
}


def allow(verb: str, by: Person, request: RevealRequest) -> None:
    """Let a verb pass, or raise Refusal. The row is locked and settled."""
    rule = RULES[verb]
    if request.state not in rule.states:
        raise Refusal("state", f"This is not possible now: the request is {State(request.state).label.lower()}.")
    rule.guard(by, request, None)


def possible(by: Person, request: RevealRequest, state: State, eligible: list[Person]) -> frozenset[str]:
    """The verbs that this person could do to a request in this state, for a page to offer. Changes nothing."""
    return frozenset(
        verb for verb, rule in RULES.items() if state in rule.states and _passes(rule, by, request, eligible)
    )


def _passes(rule: Rule, by: Person, request: RevealRequest, eligible: list[Person]) -> bool:
    try:
        rule.guard(by, request, eligible)
    except Refusal:
        return False
    return True


def commented(comment: str) -> None:
    if len(comment.strip()) < 3:
        raise Refusal("comment", "Say why, in a few words: the person reads it.", 422, "comment")
