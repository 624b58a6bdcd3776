"""A request moves only along its states, for those who may, and every step is on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from audit.models import LedgerEntry, LedgerHead
from tests import factories
from vaults import break_glass, requests, rules
from vaults.approvers import approvers, enough, missing
from vaults.models import CLOSED, Person, RevealRequest, RoleAssignment, Secret, State
from vaults.outlook import outlook
from vaults.rules import Refusal

pytestmark = pytest.mark.django_db

who = factories.actor


@pytest.fixture
def secret() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def dev() -> Person:
    return factories.person("dev", "reader")


@pytest.fixture
def asked(secret: Secret, dev: Person, approver: Person, approver_2: Person) -> RevealRequest:
    """A request that one approval decides, and that could be broken open in an emergency."""
    factories.policy("approval", break_glass=True)
    return factories.ask(dev, secret)


def refused(verb: Callable[[], object]) -> tuple[str, int]:
    """The code and the status of the refusal that the verb meets."""
    with pytest.raises(Refusal) as caught:
        verb()
    return caught.value.code, caught.value.status


def approve(by: Person, request: RevealRequest) -> RevealRequest:
    return requests.approve(by, who(by), request.pk, seen=RevealRequest.objects.get(pk=request.pk).asked_hash)


def state(request: RevealRequest) -> str:
    return RevealRequest.objects.get(pk=request.pk).state


def steps() -> list[tuple[str, str, str]]:
    rows = LedgerEntry.objects.exclude(request=None).order_by("seq")
    return [(row.phase, row.from_state, row.to_state) for row in rows]


# --- Asking ----------------------------------------------------------------------------------------------------------
def test_asking_opens_a_request_with_its_deadline_its_hash_and_one_ledger_row(asked: RevealRequest) -> None:
    entry = LedgerEntry.objects.get()

    assert (asked.state, asked.uses_left, asked.due_at - asked.asked_at) == ("pending", 1, timedelta(days=1))
    assert (entry.action, entry.request, entry.to_state, entry.shown_hash) == (
        "secret:request", asked.pk, "pending", asked.fingerprint(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "fields", "code", "status"),
    [
        ({"mode": "forbidden"}, {}, "forbidden", 409),
        (None, {}, "forbidden", 409),
        ({"mode": "approval"}, {"minutes": 61}, "too-long", 422),
        ({"mode": "approval"}, {"minutes": 0}, "too-long", 422),
        ({"mode": "approval"}, {"use": "window"}, "once-only", 422),
        ({"mode": "approval", "ticket_pattern": r"INC-\d+"}, {"ticket": "INC-"}, "ticket", 422),
        ({"mode": "approval", "ticket_pattern": r"INC-\d+"}, {"ticket": "see INC-7"}, "ticket", 422),
        ({"mode": "approval", "approvals_needed": 3}, {}, "no-approver", 409),
    ],
)
def test_a_question_that_cannot_be_granted_is_refused_at_once_with_the_cause(
    policy, fields, code: str, status: int, secret: Secret, dev: Person, approver: Person, approver_2: Person
) -> None:
    if policy:
        factories.policy(**policy)

    assert refused(lambda: factories.ask(dev, secret, **fields)) == (code, status)
    assert RevealRequest.objects.count() == 0
    assert LedgerEntry.objects.get(phase="refused").code == code


def test_nobody_asks_where_nobody_else_could_approve(secret: Secret) -> None:
    factories.policy("approval")
    lonely = factories.person("lonely", "approver")

    assert refused(lambda: factories.ask(lonely, secret))[0] == "no-approver"


def test_a_second_account_with_the_same_address_is_the_same_person(secret: Secret, dev: Person) -> None:
    factories.policy("approval")
    other_self = factories.person("dev-admin", "approver")
    Person.objects.filter(pk=dev.pk).update(email="dev@example.com")
    Person.objects.filter(pk=other_self.pk).update(email="DEV@example.com")

    assert refused(lambda: factories.ask(Person.objects.get(pk=dev.pk), secret))[0] == "no-approver"


def test_one_open_request_per_secret_and_a_new_one_after_its_end(
    asked: RevealRequest, secret: Secret, dev: Person
) -> None:
    assert refused(lambda: factories.ask(dev, secret))[0] == "duplicate"

    requests.withdraw(dev, who(dev), asked.pk)

    assert factories.ask(dev, secret, again=asked).asked_again_from == asked


def test_who_may_see_it_anyway_need_not_ask(secret: Secret, secrets_user: Person, approver: Person) -> None:
    factories.policy("direct")

    assert refused(lambda: factories.ask(secrets_user, secret))[0] == "not-needed"


# --- Deciding --------------------------------------------------------------------------------------------------------
def test_the_last_needed_yes_approves(secret: Secret, dev: Person, approver: Person, approver_2: Person) -> None:
    factories.policy("approval", approvals_needed=2)
    request = factories.ask(dev, secret)

    approve(approver, request)
    assert state(request) == "pending"
    approve(approver_2, request)

    assert state(request) == "approved"
    assert steps() == [
        ("done", "", "pending"), ("done", "pending", "pending"), ("done", "pending", "pending"),
        ("done", "pending", "approved"),
    ]  # fmt: skip


def test_each_group_has_to_say_yes_by_a_person_of_its_own(secret: Secret, dev: Person) -> None:
    team, security = Group.objects.create(name="team"), Group.objects.create(name="security")
    both, lead, officer = (factories.person(name, "approver") for name in ("both", "lead", "guard"))
    both.groups.set([team, security])
    lead.groups.set([team])
    officer.groups.set([security])
    factories.policy("approval", approver_groups=[team, security])
    request = factories.ask(dev, secret)

    approve(both, request)
    assert state(request) == "pending"
    approve(lead, request)

    assert state(request) == "approved"


def test_the_requester_never_decides_and_others_need_the_role_here(asked: RevealRequest, dev: Person) -> None:
    factories.assign(dev, "approver")
    elsewhere = factories.person("elsewhere", "approver", environment="dev")
    admin = factories.person("boss", "administrator")

    assert refused(lambda: approve(dev, asked)) == ("oneself", 403)
    assert refused(lambda: approve(elsewhere, asked)) == ("no-role-here", 403)
    assert refused(lambda: approve(admin, asked)) == ("no-role-here", 403)
    assert asked.votes.count() == 0
    assert LedgerEntry.objects.filter(phase="refused", request=asked.pk).count() == 3


def test_nobody_votes_twice(secret: Secret, dev: Person, approver: Person, approver_2: Person) -> None:
    factories.policy("approval", approvals_needed=2)
    request = factories.ask(dev, secret)
    approve(approver, request)

    assert refused(lambda: approve(approver, request)) == ("voted", 409)
    assert state(request) == "pending"


def test_two_accounts_with_the_same_address_are_one_approval(
    secret: Secret, dev: Person, approver: Person, approver_2: Person
) -> None:
    factories.policy("approval", approvals_needed=2)
    request = factories.ask(dev, secret)
    approve(approver, request)
    for account, address in ((approver, "lead@example.com"), (approver_2, "Lead@example.com")):
        Person.objects.filter(pk=account.pk).update(email=address)
    second = Person.objects.get(pk=approver_2.pk)

    assert refused(lambda: approve(second, request)) == ("voted", 409)
    assert state(request) == "pending"
    assert missing(request.policy, approvers(secret, dev)) == (
        "The policy needs 2 approvals, and only 1 person could approve this."
    )


def test_two_votes_that_turn_out_to_be_one_persons_carry_no_grant(
    secret: Secret, dev: Person, approver: Person, approver_2: Person
) -> None:
    factories.policy("approval", approvals_needed=2)
    request = factories.ask(dev, secret)
    approve(approver, request)
    approve(approver_2, request)
    Person.objects.filter(pk__in=[approver.pk, approver_2.pk]).update(email="lead@example.com")

    assert outlook(RevealRequest.objects.get(pk=request.pk), timezone.now())[0] == State.VOID


def test_a_vote_on_what_was_asked_before_is_stale(asked: RevealRequest, dev: Person, approver: Person) -> None:
    seen = asked.asked_hash
    requests.edit(dev, who(dev), asked.pk, reason="something else", ticket="", minutes=30, use="once")

    assert refused(lambda: requests.approve(approver, who(approver), asked.pk, seen=seen)) == ("stale", 409)


@pytest.mark.parametrize("change", ["edit", "shorten"])
def test_any_change_drops_every_vote(
    change: str, secret: Secret, dev: Person, approver: Person, approver_2: Person
) -> None:
    factories.policy("approval", approvals_needed=2)
    request = factories.ask(dev, secret)
    approve(approver, request)

    if change == "edit":
        requests.edit(dev, who(dev), request.pk, reason="another reason", ticket="", minutes=20, use="once")
    else:
        requests.shorten(approver_2, who(approver_2), request.pk, minutes=10)
    approve(approver_2, request)

    assert state(request) == "pending"
    assert request.votes.filter(dropped_at=None).count() == 1


def test_an_approver_may_only_shorten(asked: RevealRequest, approver: Person) -> None:
    assert refused(lambda: requests.shorten(approver, who(approver), asked.pk, minutes=30)) == ("not-shorter", 422)
    assert requests.shorten(approver, who(approver), asked.pk, minutes=29).minutes == 29


@pytest.mark.parametrize("order", ["deny first", "approve first"])
def test_a_no_wins_whatever_the_order(order: str, asked: RevealRequest, approver: Person, approver_2: Person) -> None:
    verbs = [
        lambda: requests.deny(approver_2, who(approver_2), asked.pk, comment="not during the freeze"),
        lambda: approve(approver, asked),
    ]
    if order == "approve first":
        verbs.reverse()
        [verb() for verb in verbs]
    else:
        verbs[0]()
        assert refused(verbs[1]) == ("state", 409)

    assert state(asked) == "denied"


def test_a_no_without_a_word_is_not_taken(asked: RevealRequest, approver: Person) -> None:
    assert refused(lambda: requests.deny(approver, who(approver), asked.pk, comment=" "))[0] == "comment"
    assert state(asked) == "pending"


# --- What time and events do -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "why"),
    [
        ("requester leaves", "The person who asked no longer holds a role here."),
        ("requester loses the role", "The person who asked no longer holds a role here."),
        ("secret disabled", "The secret is disabled or gone."),
        ("secret gone", "The secret is disabled or gone."),
        ("policy replaced", "The policy here has changed."),
        ("voter loses the role", "An approval no longer counts: somebody who gave it may not decide any more."),
        ("voter leaves", "An approval no longer counts: somebody who gave it may not decide any more."),
    ],
)
def test_an_approved_request_falls_with_its_ground(
    event: str, why: str, asked: RevealRequest, secret: Secret, dev: Person, approver: Person
) -> None:
    approve(approver, asked)
    happen(event, secret, dev, approver)

    assert refused(lambda: requests.withdraw(dev, who(dev), asked.pk)) == ("state", 409)
    asked.refresh_from_db()
    assert (asked.state, asked.comment) == ("void", why)


def happen(event: str, secret: Secret, dev: Person, approver: Person) -> None:
    now = timezone.now()
    match event:
        case "requester leaves":
            Person.objects.filter(pk=dev.pk).update(is_active=False)
        case "requester loses the role":
            dev.role_assignments.update(ended_at=now)
        case "secret disabled":
            Secret.objects.update(enabled=False)
        case "secret gone":
            Secret.objects.update(vanished_at=now)
        case "policy replaced":
            factories.policy("approval", vault=secret.vault)
        case "voter loses the role":
            RoleAssignment.objects.filter(person=approver).update(ended_at=now)
        case "voter leaves":
            Person.objects.filter(pk=approver.pk).update(is_active=False)


@pytest.mark.parametrize(("moment", "expected"), [(-1, "pending"), (0, "expired"), (1, "expired")])
def test_the_deadline_is_half_open_to_the_microsecond(moment: int, expected: str, asked: RevealRequest) -> None:
    assert outlook(asked, asked.due_at + timedelta(microseconds=moment))[0] == expected


def test_what_nobody_looked_at_since_it_ended_is_no_duplicate(
    asked: RevealRequest, secret: Secret, dev: Person
) -> None:
    RevealRequest.objects.update(due_at=timezone.now())

    assert factories.ask(dev, secret).state == "pending"
    assert state(asked) == "expired"


def test_who_holds_no_role_here_may_not_even_ask(asked: RevealRequest, secret: Secret, nobody: Person) -> None:
    assert refused(lambda: factories.ask(nobody, secret)) == ("no-role-here", 403)


def test_looking_moves_nothing(asked: RevealRequest) -> None:
    RevealRequest.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    before = LedgerEntry.objects.count()

    assert outlook(RevealRequest.objects.get(), timezone.now())[0] == "expired"
    assert (state(asked), LedgerEntry.objects.count()) == ("pending", before)


def test_the_sweeper_settles_what_nobody_looked_at(asked: RevealRequest) -> None:
    RevealRequest.objects.update(due_at=timezone.now() - timedelta(minutes=1))

    assert (requests.settle_all(), requests.settle_all()) == (1, 0)
    assert state(asked) == "expired"


def test_a_clock_that_is_set_back_revives_nothing(asked: RevealRequest) -> None:
    """The ledger has a fact from after the deadline; that the clock now says otherwise does not matter."""
    LedgerHead.objects.update(at=asked.due_at)

    assert refused(lambda: requests.withdraw(asked.requester, who(asked.requester), asked.pk)) == ("state", 409)
    assert state(asked) == "expired"


# --- The whole matrix ------------------------------------------------------------------------------------------------
LEGAL = {
    "approve": {State.PENDING},
    "deny": {State.PENDING, State.APPROVED},
    "shorten": {State.PENDING},
    "edit": {State.PENDING},
    "withdraw": {State.PENDING, State.APPROVED, State.ACTIVE},
    "revoke": {State.APPROVED, State.ACTIVE},
    "review": {State.REVIEW_DUE},
}


def verbs(dev: Person, approver: Person, pk: int, seen: str) -> dict[str, Callable[[], object]]:
    by_dev, by_approver = (dev, who(dev), pk), (approver, who(approver), pk)
    return {
        "approve": lambda: requests.approve(*by_approver, seen=seen),
        "deny": lambda: requests.deny(*by_approver, comment="not now"),
        "shorten": lambda: requests.shorten(*by_approver, minutes=1),
        "edit": lambda: requests.edit(*by_dev, reason="another", ticket="", minutes=5, use="once"),
        "withdraw": lambda: requests.withdraw(*by_dev),
        "revoke": lambda: requests.revoke(*by_approver, comment="not now"),
        "review": lambda: break_glass.review(*by_approver, justified=True, comment="I was there"),
    }


@pytest.mark.parametrize("verb", LEGAL)
@pytest.mark.parametrize("start", list(State))
def test_an_illegal_pair_is_409_and_changes_nothing(
    verb: str, start: State, asked: RevealRequest, dev: Person, approver: Person
) -> None:
    now = timezone.now()
    approve(approver, asked)
    asked.votes.update(dropped_at=now if start == State.PENDING else None)
    RevealRequest.objects.update(
        state=start, starts_at=now, ends_at=now + timedelta(hours=1), kind=kind_of(start), uses_left=1
    )
    act = verbs(dev, approver, asked.pk, asked.asked_hash)[verb]
    before = RevealRequest.objects.values().get()

    if start in LEGAL[verb]:
        act()
        assert RevealRequest.objects.values().get() != before
    else:
        assert refused(act) == ("state", 409)
        assert RevealRequest.objects.values().get() == before
        assert LedgerEntry.objects.filter(phase="refused", from_state=start, to_state=start).count() == 1


def kind_of(start: State) -> str:
    return "break-glass" if start in (State.REVIEW_DUE, State.JUSTIFIED, State.MISUSE) else "approval"


def test_what_is_closed_stays_closed() -> None:
    assert set(CLOSED) & set().union(*LEGAL.values()) == set()


@pytest.mark.parametrize("state_", list(State))
def test_a_page_offers_exactly_what_the_verbs_accept(
    state_: State, asked: RevealRequest, dev: Person, approver: Person, approver_2: Person
) -> None:
    """For the requester, an approver, and somebody with neither part in it."""
    eligible = approvers(asked.secret, dev)
    mine = {"withdraw", "edit"}

    def offered(person: Person) -> set[str]:
        return set(rules.possible(person, asked, state_, eligible))

    here = {verb for verb, states in LEGAL.items() if state_ in states}
    assert offered(dev) == here & mine
    assert offered(approver) == here - mine
    assert offered(factories.person("bystander", "reader")) == set()


def test_every_verb_has_its_rule() -> None:
    assert {verb: set(rule.states) for verb, rule in rules.RULES.items()} == LEGAL


def test_many_approvers_and_a_group_that_nobody_speaks_for_are_told_at_once() -> None:
    team, nobody_there = Group.objects.create(name="team"), Group.objects.create(name="empty")
    people = [factories.person(f"p{number}", "approver") for number in range(40)]
    team.user_set.set(people)
    policy = factories.policy("approval", approver_groups=[team, nobody_there])

    assert "one from each of team, empty" in missing(policy, people)


def test_somebody_in_two_groups_speaks_for_the_one_that_the_others_leave_open() -> None:
    one, two, three = (Group.objects.create(name=name) for name in ("one", "two", "three"))
    people = [factories.person(name, "approver") for name in ("abc", "ab", "a")]
    for person, groups in zip(people, ([one, two, three], [one, two], [one]), strict=True):
        person.groups.set(groups)

    assert enough(factories.policy("approval", approver_groups=[one, two, three]), people)
