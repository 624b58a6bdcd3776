"""The machine's own idea of the world: who holds what, what time it is, and what each request must therefore be.

It is written from the specification's words, not from the engine: plain sets, a clock that it moves itself, and brute
force where the engine is clever.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import permutations

from django.db import transaction

OPEN = {"pending", "approved", "active"}
CLOSED = {"denied", "withdrawn", "expired", "void", "consumed", "ended", "revoked", "justified", "misuse"}
REVIEWED = {"review-due", "justified", "misuse"}
# From which state a verb leads on.
STATES = {
    "approve": {"pending"},
    "deny": {"pending", "approved"},
    "shorten": {"pending"},
    "edit": {"pending"},
    "withdraw": OPEN,
    "revoke": {"approved", "active"},
    "review": {"review-due"},
}
MICROSECOND = timedelta(microseconds=1)


def outermost() -> transaction.Atomic:
    """A transaction in which the engine may commit durably, marked as Django's TestCase marks its own."""
    atomic = transaction.atomic()
    atomic._from_testcase = True  # type: ignore[attr-defined]
    return atomic


@dataclass
class Somebody:
    """A person as the world sees them. Two accounts with one address are one person."""

    name: str
    roles: set[str]
    groups: set[str] = field(default_factory=set)
    email: str = ""
    active: bool = True

    def holds(self, *roles: str) -> bool:
        return self.active and bool(self.roles & set(roles))

    def is_same_as(self, other: Somebody) -> bool:
        return self.name == other.name or bool(self.email and self.email.lower() == other.email.lower())


@dataclass
class Rule:
    """The policy in force."""

    pk: int
    mode: str
    needed: int = 1
    groups: tuple[str, ...] = ()
    use: str = "once"
    cap: int = 60
    break_glass: bool = False


@dataclass
class Case:
    """A request as it should be."""

    pk: int
    kind: str
    who: Somebody
    secret: str
    rule: Rule
    state: str
    minutes: int
    use: str
    due: datetime
    end: datetime | None = None
    uses: int | None = None
    given_back: bool = False
    yes: set[str] = field(default_factory=set)
    shown: int = 0
    taken_back: bool = False  # denied, revoked, withdrawn or void: never shown again


@dataclass
class World:
    now: datetime
    people: dict[str, Somebody]
    rule: Rule
    usable: dict[str, bool]  # secret -> neither disabled nor gone
    cases: dict[int, Case] = field(default_factory=dict)

    def approvers(self, requester: Somebody) -> set[str]:
        return {
            person.name
            for person in self.people.values()
            if person.holds("approver") and not person.is_same_as(requester)
        }

    def something_is_missing(self, roles: dict[str, set[str]]) -> bool:
        gone = [name for name, person in self.people.items() if not person.active or person.roles != roles[name]]
        return bool(gone) or not all(self.usable.values()) or self.rule.mode == "forbidden"

    def enough(self, rule: Rule, names: set[str]) -> bool:
        """So many, and one of their own for each group: every order is tried."""
        if len(names) < max(rule.needed, len(rule.groups), 1):
            return False
        return any(
            all(group in self.people[name].groups for group, name in zip(rule.groups, order, strict=True))
            for order in permutations(names, len(rule.groups))
        )

    def standing(self, case: Case) -> str:
        """The state in which the request must be at this moment."""
        if case.state in CLOSED | {"review-due"}:
            return case.state
        if case.kind == "break-glass":
            return "active" if self.now < self._end(case) and self._emergency_stands(case) else "review-due"
        if case.state == "active" and self.now >= self._end(case):
            return "ended"
        if case.state != "active" and self.now >= case.due:
            return "expired"
        return case.state if self._stands(case) else "void"

    def _end(self, case: Case) -> datetime:
        assert case.end is not None
        return case.end

    def _emergency_stands(self, case: Case) -> bool:
        return case.who.holds("break-glass-holder") and self.usable[case.secret] and self.rule.break_glass

    def _stands(self, case: Case) -> bool:
        granted = case.state == "pending" or self.enough(case.rule, case.yes & self.approvers(case.who))
        return self._may_ask(case.who) and self.usable[case.secret] and self.rule is case.rule and granted

    def _may_ask(self, who: Somebody) -> bool:
        """Every role lets its holder ask, but for the one that runs kvadmin."""
        return who.active and bool(who.roles - {"administrator"})

    def settle(self) -> None:
        for case in self.cases.values():
            self.settle_one(case)

    def settle_one(self, case: Case) -> None:
        state = self.standing(case)
        if state != case.state:
            case.taken_back |= state == "void"
            if case.kind == "break-glass" and case.state == "active":
                case.end = min(self._end(case), self.now)
        case.state = state

    def open_case(self, who: Somebody, secret: str) -> Case | None:
        for case in self.cases.values():
            if (case.kind, case.who, case.secret) == ("approval", who, secret) and case.state in OPEN:
                return case
        return None

    # --- What each verb must answer: 200, or the status of its refusal -----------------------------------------------
    def ask(self, who: Somebody, secret: str, minutes: int, use: str) -> int:
        rule = self.rule
        if not self._may_ask(who):
            return 403
        if not self.usable[secret] or rule.mode == "forbidden" or not self.enough(rule, self.approvers(who)):
            return 409
        if not self.fits(rule, minutes, use):
            return 422
        return 409 if self.open_case(who, secret) else 200

    def fits(self, rule: Rule, minutes: int, use: str) -> bool:
        return 1 <= minutes <= rule.cap and (use == "once" or rule.use == "window")

    def shatter(self, who: Somebody, secret: str, ticket: str) -> int:
        if not who.holds("break-glass-holder"):
            return 403
        if not self.usable[secret] or not self.rule.break_glass or not self.approvers(who):
            return 409
        mine = [case for case in self.cases.values() if case.kind == "break-glass" and case.who is who]
        if any(case.state not in CLOSED for case in mine):
            return 409
        return 200 if ticket.strip() else 422

    def verb(self, verb: str, by: Somebody, case: Case) -> int:
        """State first, then the person; what is written in the form is the caller's to add."""
        if self.standing(case) not in STATES[verb]:
            return 409
        if verb in {"edit", "withdraw"}:
            return 200 if by is case.who else 403
        if verb == "revoke":
            return 200 if by.holds("approver") else 403
        return 200 if by.name in self.approvers(case.who) else 403

    def reveal(self, by: Somebody, case: Case) -> int:
        if by is not case.who:
            return 403
        return 200 if self.standing(case) in {"approved", "active"} and case.uses != 0 else 409
