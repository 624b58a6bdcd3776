"""Role x verb x state, made from the vocabulary: each cell is allowed, or refused with exactly this status.

A new role or state is a new row or column by itself. A new verb without an entry in RULES fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.actions import Action
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults.request_world import outermost
from vaults import break_glass, grants, requests
from vaults.models import CLOSED, Person, RevealRequest, Role, RoleAssignment, Secret, State, Vote
from vaults.models.role import ROLE_ACTIONS
from vaults.rules import Refusal

pytestmark = pytest.mark.django_db

who = factories.actor
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
MODULES = (requests, break_glass, grants)


@dataclass(frozen=True)
class Rule:
    """Who may do a verb, in which states. `role`: by an action of a role; `own`: the requester alone, or never them."""

    states: set[State]
    role: Action | None = None
    own: bool | None = None
    person_first: bool = False  # whom it does not concern is told so, whatever the state


OPEN = {State.PENDING, State.APPROVED, State.ACTIVE}
ANY = set(State)
RULES = {
    "ask": Rule(ANY, role=a.SECRET_REQUEST, person_first=True),
    "approve": Rule({State.PENDING}, role=a.REQUEST_APPROVE, own=False),
    "deny": Rule({State.PENDING, State.APPROVED}, role=a.REQUEST_APPROVE, own=False),
    "shorten": Rule({State.PENDING}, role=a.REQUEST_APPROVE, own=False),
    "revoke": Rule({State.APPROVED, State.ACTIVE}, role=a.REQUEST_REVOKE),
    "withdraw": Rule(OPEN, own=True),
    "edit": Rule({State.PENDING}, own=True),
    "break_glass": Rule(ANY, role=a.SECRET_BREAK_GLASS, person_first=True),
    "review": Rule({State.REVIEW_DUE}, role=a.REQUEST_APPROVE, own=False),
    "reveal": Rule({State.APPROVED, State.ACTIVE}, own=True, person_first=True),
}
# They take a person too, and answer a question, or carry a verb out that has been decided upon above.
NO_VERBS = {"askable", "open_here", "held", "end_all", "spend"}
# What each kind of request can be in.
EMERGENCY = (State.ACTIVE, State.REVIEW_DUE, State.JUSTIFIED, State.MISUSE)
CASES = [("approval", state) for state in State if state not in EMERGENCY[1:]] + [("break-glass", s) for s in EMERGENCY]
ROLES = ["", *Role.values]


@dataclass(frozen=True)
class Cell:
    role: str
    own: bool

    def status(self, verb: str, kind: str, state: State) -> int:
        """What the rule table says: 200, or the refusal's status."""
        rule = RULES[verb]
        forbidden = not self._may(rule, kind)
        if forbidden and rule.person_first:
            return 403
        if state not in rule.states or self._in_the_way(verb, kind, state):
            return 409
        return 403 if forbidden else 200

    def _may(self, rule: Rule, kind: str) -> bool:
        if rule.own is not None and rule.own != self.own:
            return False
        roles = {self.role, *(_needed(kind) if self.own else ())} - {""}
        return rule.role is None or any(rule.role in ROLE_ACTIONS[role] for role in roles)

    def _in_the_way(self, verb: str, kind: str, state: State) -> bool:
        """Their own request that is open, or their emergency that nobody has reviewed, stands before another one."""
        if verb == "ask":
            return self.own and kind == "approval" and state in OPEN
        return verb == "break_glass" and self.own and kind == "break-glass" and state not in CLOSED


def _needed(kind: str) -> tuple[str, ...]:
    """The roles without which the requester's request would fall by itself."""
    return ("reader", "break-glass-holder") if kind == "break-glass" else ("reader",)


def verbs() -> set[str]:
    """The engine's public functions whose first parameter is the person who acts."""
    functions = [
        (name, function)
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]
    return {name for name, function in functions if next(iter(inspect.signature(function).parameters), "") == "by"}


def test_every_verb_has_its_rule() -> None:
    assert verbs() == set(RULES) | NO_VERBS


@pytest.fixture
def secret(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "canary-matrix")
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def people(db: None) -> dict[Cell, Person]:
    """For each role somebody who holds it, and a requester who holds it as well."""
    cells = [Cell(role, own) for role in ROLES for own in (False, True)]
    made = Person.objects.bulk_create([Person(username=f"{cell.role or 'none'}-{cell.own}") for cell in cells])
    found = dict(zip(cells, made, strict=True))
    RoleAssignment.objects.bulk_create(
        RoleAssignment(person=person, role=cell.role, scope_kind="everything")
        for cell, person in found.items()
        if cell.role
    )
    return found


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens inside is taken back at the end."""
    with outermost():
        yield
        transaction.set_rollback(True)


def arrange(kind: str, state: State, secret: Secret, requester: Person, voter: Person) -> RevealRequest:
    """A request that stands so and would go on standing so: its people hold their roles, its votes count."""
    for role in _needed(kind):
        factories.assign(requester, role)
    now = timezone.now()
    rule = factories.policy("approval", break_glass=True)
    request = RevealRequest(
        kind=kind, state=state, requester=requester, secret=secret, policy=rule, use="once", minutes=30, uses_left=1,
        reason="INC-7", asked_at=now, due_at=now + timedelta(hours=1), starts_at=now, ends_at=now + timedelta(hours=1),
    )  # fmt: skip
    request.asked_hash = request.fingerprint()
    request.save()
    if state != State.PENDING:
        Vote.objects.create(request=request, voter=voter, asked_hash=request.asked_hash, at=now)
    return request


def hand_over(request: RevealRequest, person: Person) -> None:
    for role in _needed(request.kind):
        factories.assign(person, role)
    RevealRequest.objects.update(requester=person)


def act(verb: str, by: Person, request: RevealRequest) -> object:
    on, comment = (by, who(by), request.pk), "I was there"
    acts: dict[str, Callable[[], object]] = {
        "ask": lambda: factories.ask(by, request.secret),
        "approve": lambda: requests.approve(*on, seen=request.asked_hash),
        "deny": lambda: requests.deny(*on, comment=comment),
        "shorten": lambda: requests.shorten(*on, minutes=1),
        "revoke": lambda: requests.revoke(*on, comment=comment),
        "withdraw": lambda: requests.withdraw(*on),
        "edit": lambda: requests.edit(*on, reason="other", ticket="", minutes=5, use="once"),
        "break_glass": lambda: break_glass.break_glass(
            by, who(by), request.secret, reason="payments are down", ticket="INC-9"
        ),
        "review": lambda: break_glass.review(*on, justified=True, comment=comment),
        "reveal": lambda: grants.reveal(*on),
    }
    return acts[verb]()


def outcome(verb: str, by: Person, request: RevealRequest) -> int:
    """200, or the refusal's status; a refusal has changed nothing and is on record, once."""
    before = list(RevealRequest.objects.values()), Vote.objects.count()
    try:
        act(verb, by, request)
    except Refusal as refusal:
        after = list(RevealRequest.objects.values()), Vote.objects.count()
        rows = [(row.phase, row.code, row.person) for row in LedgerEntry.objects.all()]
        return refusal.status if (before, [("refused", refusal.code, str(by))]) == (after, rows) else -1
    return 200


@pytest.mark.parametrize("verb", RULES)
@pytest.mark.parametrize(("kind", "state"), CASES)
def test_each_role_may_do_exactly_what_the_table_says(
    kind: str, state: State, verb: str, secret: Secret, people: dict[Cell, Person], approver: Person
) -> None:
    found = {}
    arrange(kind, state, secret, people[Cell("", own=True)], approver)
    for cell, person in people.items():
        with undone():
            request = RevealRequest.objects.select_related("secret__vault").get()
            if cell.own:  # it is theirs
                hand_over(request, person)
            found[cell] = outcome(verb, Person.objects.get(pk=person.pk), request)

    assert found == {cell: cell.status(verb, kind, state) for cell in people}


def test_the_table_lets_somebody_do_each_verb_and_somebody_not() -> None:
    for verb in RULES:
        statuses = {
            Cell(role, own).status(verb, kind, state)
            for role in ROLES
            for own in (True, False)
            for kind, state in CASES
        }
        assert {200, 403} <= statuses, verb
