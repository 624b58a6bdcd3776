"""Random orders of everything that can happen to requests, against the real engine, its database and a fake Azure.

After each step the invariants I1 to I22 are looked at, each under its own number; and what each verb answers is
compared with what tests/vaults/request_world.py expects. Time is moved by the ledger's last fact, before which kvadmin
never judges: so the machine's clock stands still between two steps, and the server's is always behind it.

KVADMIN_TEST_HYPOTHESIS=soak (`make soak`) runs many more and longer stories, new ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from audit import clock, ledger
from audit.models import LedgerEntry, LedgerHead
from kvadmin.emulator import doors
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway import client, keyvault
from kvadmin.gateway.errors import GatewayError
from tests import factories
from tests.audit.test_ledger import refuse_inserts
from tests.vaults.request_world import (
    CLOSED,
    MICROSECOND,
    OPEN,
    REVIEWED,
    STATES,
    Case,
    Rule,
    Somebody,
    World,
    outermost,
)
from vaults import break_glass, grants, requests
from vaults.models import Person, RevealPolicy, RevealRequest, RoleAssignment, Secret, Vote
from vaults.notices.events import Event
from vaults.notices.words import request_notice
from vaults.outlook import outlook
from vaults.rules import Refusal

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:.*hypothesis.*")]

SOAK = os.environ.get("KVADMIN_TEST_HYPOTHESIS") == "soak"
PROFILE = settings(
    max_examples=400 if SOAK else 30,
    stateful_step_count=60 if SOAK else 30,
    derandomize=not SOAK,  # the same stories for everybody, so that a build never fails by chance
    database=None,
    deadline=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
CANARY = "canary-machine"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
SECRETS = ("db-password", "api-key")
# Azure certainly gave nothing out; and: who knows.
DEFINITE, UNSURE = ("rbac", "firewall", "throttled", "dns"), ("truncated", "reset", "server", "lost")
ROLES = {
    "dev": {"reader"},
    "dev-2": {"reader", "approver"},
    "alias": {"approver"},
    "a1": {"approver"},
    "a2": {"approver"},
    "a3": {"approver"},
    "a4": {"approver"},
    "oncall": {"break-glass-holder"},
    "oncall-2": {"break-glass-holder", "approver"},
    "boss": {"administrator"},
}
GROUPS = {"a1": {"team"}, "a2": {"team", "security"}, "a3": {"security"}, "dev-2": {"team"}}
GROUP_RULES: list[tuple[str, ...]] = [(), (), ("team",), ("team", "security")]
EMAILS = {"dev": "dev@example.com", "alias": "DEV@example.com"}

names = st.sampled_from(sorted(ROLES))
askers = st.sampled_from(["dev", "dev-2", "oncall", "alias", "boss"])
secrets = st.sampled_from(SECRETS)
uses = st.sampled_from(["once", "once", "window"])
minutes = st.sampled_from([1, 5, 30, 60, 61, 0])
comments = st.sampled_from(["not now", "not now", "no"])
picks = st.integers(0, 5)  # which of the requests that fit
policies = st.builds(
    Rule,
    pk=st.just(0),
    mode=st.sampled_from(["approval"] * 9 + ["forbidden"]),
    needed=st.sampled_from([1, 2, 2, 3]),
    groups=st.sampled_from(GROUP_RULES),
    use=uses,
    cap=st.sampled_from([60, 60, 30]),
    break_glass=st.sampled_from([True, True, False]),
)


class InFlight(NamedTuple):
    """A reveal between Azure's answer and the last look at the grant."""

    case: Case
    spent: Any
    read: keyvault.Read


class Requests(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.atomic = outermost()
        self.atomic.__enter__()
        self.azure = Azure()
        doors.set_memory("tests", self.azure)
        client.reset()
        self.flying: list[InFlight] = []
        self.values: list[str] = []
        self.refusals: list[str] = []
        self.rows: dict[int, dict[str, Any]] = {}
        self.before: dict[int, dict[str, Any]] = {}
        self.ledger: list[LedgerEntry] = []
        self.totals = (0, 0, 0)
        self.denied: set[int] = set()

    def teardown(self) -> None:
        try:
            self.i15_no_notice_carries_a_value_or_decides()
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)
            doors.drop_memory("tests")
            client.reset()

    # --- The beginning -----------------------------------------------------------------------------------------------
    @initialize(seed=st.integers(0, 2**32 - 1))
    def a_world(self, seed: int) -> None:
        """Two have asked, some said yes, perhaps there was an emergency. By a seed: examples like to begin small."""
        chance = Random(seed)  # noqa: S311 - picks examples
        rule = Rule(
            0, "approval", needed=chance.choice([1, 2, 2, 3]), groups=chance.choice(GROUP_RULES),
            use=chance.choice(["once", "window"]), break_glass=chance.random() < 0.8,
        )  # fmt: skip
        votes, lonely = chance.randint(0, 4), chance.random() < 0.2
        emergency, over = chance.random() < 0.6, chance.random() < 0.5
        self.azure.add_subscription(SUBSCRIPTION, "Payments")
        self.azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
        vault = factories.vault("pay-prod")
        for name in SECRETS:
            self.azure.put_secret("pay-prod", name, CANARY)
            factories.secret(vault, name)
        groups = {name: Group.objects.create(name=name) for name in ("team", "security")}
        people = {}
        for name, roles in ROLES.items():
            person = Person.objects.create(username=name, email=EMAILS.get(name, ""))
            person.groups.set([groups[group] for group in GROUPS.get(name, ())])
            for role in roles:
                factories.assign(person, role)
            people[name] = Somebody(name, set(roles), GROUPS.get(name, set()), EMAILS.get(name, ""))
        start = timezone.now() + timedelta(days=1)
        LedgerHead.objects.update_or_create(pk=1, defaults={"at": start, "seq": 0, "hash": ledger.GENESIS})
        self.world = World(start, people, rule, dict.fromkeys(SECRETS, True))
        self._put_in_force(rule)
        if lonely:
            self._leave_one_approver()
        self.look()
        self.ask("dev", SECRETS[0], 30, rule.use)
        self.ask("dev-2", SECRETS[1], 5, "once")
        for case in self.world.cases.values():
            self._approve_by(case, votes, first=chance.randint(0, 5))
        if emergency:
            self.shatter("oncall", SECRETS[1], "INC-9")
        for case in self._among("active") if over else ():
            self._withdraw(case, "oncall")

    def _leave_one_approver(self) -> None:
        """Only somebody who also asks is left to decide."""
        others = RoleAssignment.objects.filter(role="approver").exclude(person__username="dev-2")
        others.update(ended_at=timezone.now())
        for name, somebody in self.world.people.items():
            somebody.roles -= {"approver"} if name != "dev-2" else set()

    def _put_in_force(self, rule: Rule) -> None:
        RevealPolicy.objects.filter(ended_at=None).update(ended_at=timezone.now())
        row = factories.policy(
            rule.mode, approvals_needed=rule.needed, use=rule.use, cap_minutes=rule.cap, break_glass=rule.break_glass,
            approver_groups=list(Group.objects.filter(name__in=rule.groups)),
        )  # fmt: skip
        rule.pk = row.pk
        self.world.rule = rule

    # --- Verbs -------------------------------------------------------------------------------------------------------
    @rule(name=askers, secret=secrets, minutes=minutes, use=uses)
    def ask(self, name: str, secret: str, minutes: int, use: str) -> None:
        by = self.world.people[name]
        earlier = self.world.open_case(by, secret)
        if earlier:
            self.world.settle_one(earlier)
        expected = self.world.ask(by, secret, minutes, use)
        request = self._does(
            expected, lambda: factories.ask(self._person(name), self._secret(secret), minutes=minutes, use=use)
        )
        if request:
            self.world.cases[request.pk] = Case(
                request.pk, "approval", by, secret, self.world.rule, "pending", minutes, use,
                due=self.world.now + timedelta(days=1), uses=1 if use == "once" else None,
            )  # fmt: skip
            self.i7_empty_means_nobody(request)

    @precondition(lambda self: self._among("pending"))
    @rule(pick=picks, name=names, stale=st.sampled_from([False, False, False, True]))
    def approve(self, pick: int, name: str, stale: bool) -> None:
        self._approve(self._case(pick, "pending"), name, stale=stale)

    def _approve(self, case: Case, name: str, *, stale: bool = False) -> None:
        by = self.world.people[name]
        expected = self.world.verb("approve", by, case)
        if expected == 200 and (name in case.yes or stale):
            expected = 409
        seen = "0" * 64 if stale else RevealRequest.objects.get(pk=case.pk).asked_hash
        who = self._person(name)
        done = self._on(case, expected, lambda: requests.approve(who, factories.actor(who), case.pk, seen=seen))
        if done:
            case.yes.add(name)
            if self.world.enough(case.rule, case.yes & self.world.approvers(case.who)):
                case.state, case.due = "approved", self.world.now + timedelta(days=1)
            self.i1_the_requester_never_counts()
        elif not by.holds("approver") and case.state == "pending":
            self.i22_a_vote_of_somebody_who_may_not_is_a_403_on_record()

    @precondition(lambda self: self._among("pending"))
    @rule(pick=picks)
    def the_right_people_approve(self, pick: int) -> None:
        self._approve_by(self._case(pick, "pending"), 5, first=pick)

    def _approve_by(self, case: Case, most: int, *, first: int = 0) -> None:
        """So many who may say yes, beginning with the one at that place."""
        people = sorted(self.world.approvers(case.who) - case.yes)
        for name in (people[first:] + people[:first])[:most]:
            if self.world.standing(case) == "pending":
                self._approve(case, name)

    @precondition(lambda self: self._among(*STATES["deny"]))
    @rule(pick=picks, name=names, comment=comments)
    def deny(self, pick: int, name: str, comment: str) -> None:
        self._deny(self._case(pick, *STATES["deny"]), name, comment)

    def _deny(self, case: Case, name: str, comment: str) -> None:
        expected = self._commented(self.world.verb("deny", self.world.people[name], case), comment)
        who = self._person(name)
        if self._on(case, expected, lambda: requests.deny(who, factories.actor(who), case.pk, comment=comment)):
            case.state, case.taken_back = "denied", True
            self.denied.add(case.pk)

    @precondition(lambda self: self._among(*STATES["shorten"]))
    @rule(pick=picks, name=names, to=st.sampled_from([1, 5, 29, 60]))
    def shorten(self, pick: int, name: str, to: int) -> None:
        self._shorten(self._case(pick, *STATES["shorten"]), name, to)

    def _shorten(self, case: Case, name: str, to: int) -> None:
        expected = self.world.verb("shorten", self.world.people[name], case)
        if expected == 200 and to >= case.minutes:
            expected = 422
        who = self._person(name)
        if self._on(case, expected, lambda: requests.shorten(who, factories.actor(who), case.pk, minutes=to)):
            case.minutes, case.yes = to, set()
            self.i8_an_edit_leaves_no_vote(case)

    @precondition(lambda self: self._among(*STATES["edit"]))
    @rule(pick=picks, minutes=minutes, use=uses, reason=st.sampled_from("ab"))
    def edit(self, pick: int, minutes: int, use: str, reason: str) -> None:
        case = self._case(pick, "pending")
        self._edit(case, minutes, use, case.who.name, reason)

    def _edit(self, case: Case, minutes: int, use: str, name: str, reason: str) -> None:
        expected = self.world.verb("edit", self.world.people[name], case)
        if expected == 200 and not self.world.fits(case.rule, minutes, use):
            expected = 422
        who = self._person(name)
        fields = {"reason": f"reason {reason}", "ticket": "", "minutes": minutes, "use": use}
        if self._on(case, expected, lambda: requests.edit(who, factories.actor(who), case.pk, **fields)):
            case.minutes, case.use, case.uses, case.yes = minutes, use, 1 if use == "once" else None, set()
            self.i8_an_edit_leaves_no_vote(case)

    @precondition(lambda self: self._among("pending"))
    @rule(pick=picks, by_an_approver=st.booleans())
    def a_vote_and_then_a_change(self, pick: int, by_an_approver: bool) -> None:
        """What I8 is about: the question changes under a yes that was given to another one."""
        case = self._case(pick, "pending")
        self._approve_by(case, 1)
        others = sorted(self.world.approvers(case.who) - case.yes)
        if by_an_approver and others:
            self._shorten(case, others[0], 1)
        else:
            self._edit(case, 7, "once", case.who.name, "d")

    @precondition(lambda self: self._among(*STATES["withdraw"]))
    @rule(pick=picks)
    def withdraw(self, pick: int) -> None:
        case = self._case(pick, *OPEN)
        self._withdraw(case, case.who.name)

    def _withdraw(self, case: Case, name: str) -> None:
        expected = self.world.verb("withdraw", self.world.people[name], case)
        before, who = self.world.standing(case), self._person(name)
        if self._on(case, expected, lambda: requests.withdraw(who, factories.actor(who), case.pk)):
            self._close_early(case, "ended" if before == "active" else "withdrawn")

    @precondition(lambda self: self._among(*STATES["revoke"]))
    @rule(pick=picks, name=names, comment=comments)
    def revoke(self, pick: int, name: str, comment: str) -> None:
        self._revoke(self._case(pick, *STATES["revoke"]), name, comment)

    def _revoke(self, case: Case, name: str, comment: str) -> None:
        expected = self._commented(self.world.verb("revoke", self.world.people[name], case), comment)
        who = self._person(name)
        if self._on(case, expected, lambda: requests.revoke(who, factories.actor(who), case.pk, comment=comment)):
            self._close_early(case, "revoked")

    def _close_early(self, case: Case, state: str) -> None:
        case.taken_back = True
        case.state = "review-due" if case.kind == "break-glass" else state

    @rule(
        name=st.sampled_from(["oncall", "oncall-2", "dev", "a1"]),
        secret=secrets,
        ticket=st.sampled_from(["INC-9", "INC-9", " "]),
    )
    def shatter(self, name: str, secret: str, ticket: str) -> None:
        by, who = self.world.people[name], self._person(name)
        expected = self.world.shatter(by, secret, ticket)
        request = self._does(
            expected,
            lambda: break_glass.break_glass(
                who, factories.actor(who), self._secret(secret), reason="payments are down", ticket=ticket
            ),
        )
        if request:
            end = self.world.now + timedelta(minutes=30)
            self.world.cases[request.pk] = Case(
                request.pk, "break-glass", by, secret, self.world.rule, "active", 30, "window", due=end, end=end
            )
            self.i7_empty_means_nobody(request)

    @precondition(lambda self: self._among("review-due"))
    @rule(pick=picks, justified=st.booleans())
    def review(self, pick: int, justified: bool) -> None:
        case = self._case(pick, "review-due")
        people = sorted(self.world.approvers(case.who)) or ["boss"]
        self._review(case, people[pick % len(people)], justified=justified)

    def _review(self, case: Case, name: str, *, justified: bool) -> None:
        expected, who = self.world.verb("review", self.world.people[name], case), self._person(name)
        verdict = {"justified": justified, "comment": "I was there"}
        if self._on(case, expected, lambda: break_glass.review(who, factories.actor(who), case.pk, **verdict)):
            case.state = "justified" if justified else "misuse"

    @precondition(lambda self: self._among(*OPEN, "review-due"))
    @rule(pick=picks, name=names, verb=st.sampled_from([*STATES, "reveal"]))
    def out_of_order(self, pick: int, name: str, verb: str) -> None:
        """Any verb on any request by anybody: an old tab, a second click, a curious colleague."""
        case = self._case(pick)
        verbs: dict[str, Callable[[], None]] = {
            "approve": lambda: self._approve(case, name),
            "deny": lambda: self._deny(case, name, "not now"),
            "shorten": lambda: self._shorten(case, name, 1),
            "edit": lambda: self._edit(case, 5, "once", name, "c"),
            "withdraw": lambda: self._withdraw(case, name),
            "revoke": lambda: self._revoke(case, name, "not now"),
            "review": lambda: self._review(case, name, justified=True),
            "reveal": lambda: self._reveal(case, name),
        }
        verbs[verb]()

    # --- Seeing the value --------------------------------------------------------------------------------------------
    @precondition(lambda self: self._among("approved", "active"))
    @rule(pick=picks)
    def reveal(self, pick: int) -> None:
        case = self._case(pick, "approved", "active")
        self._reveal(case, case.who.name)

    @precondition(lambda self: self._among("active"))
    @rule(pick=picks, at=st.sampled_from([-MICROSECOND, timedelta(0), MICROSECOND]))
    def reveal_at_the_edge_of_the_window(self, pick: int, at: timedelta) -> None:
        case = self._case(pick, "active")
        assert case.end is not None
        self._clock(max(case.end + at, self.world.now))
        self._reveal(case, case.who.name)

    @precondition(lambda self: self._among("approved", "active"))
    @rule(pick=picks, kind=st.sampled_from(DEFINITE + UNSURE), times=st.sampled_from([2, 1]))
    def reveal_while_azure_fails(self, pick: int, kind: str, times: int) -> None:
        case = self._case(pick, "approved", "active")
        self.azure.faults.set("pay-prod", Fault(kind))
        try:
            for _ in range(times):
                self._reveal(case, case.who.name, fault=kind)
        finally:
            self.azure.faults.clear("pay-prod")

    def _reveal(self, case: Case, name: str, *, fault: str = "") -> None:
        expected, who = self.world.reveal(self.world.people[name], case), self._person(name)
        self.world.settle_one(case)
        if expected != 200:
            self._does(expected, lambda: grants.reveal(who, factories.actor(who), case.pk), on=case)
            return
        self._activate(case)
        if fault:
            with pytest.raises(GatewayError):
                grants.reveal(who, factories.actor(who), case.pk)
            self._refunded(case, fault)
        else:
            self._seen(case, grants.reveal(who, factories.actor(who), case.pk))

    def _activate(self, case: Case) -> None:
        if case.state == "approved":
            case.state, case.end = "active", self.world.now + timedelta(minutes=case.minutes)
        if case.uses is not None:
            case.uses -= 1

    def _refunded(self, case: Case, fault: str) -> None:
        if case.kind == "break-glass" or case.use == "window" or case.state != "active":
            return
        if fault in DEFINITE and not case.given_back:
            case.uses, case.given_back = 1, True
        else:
            case.state = "consumed"

    def _seen(self, case: Case, read: keyvault.Read) -> None:
        self.values.append(read.value.expose())
        case.shown += 1
        self.i9_the_grant_is_within_what_was_asked_allowed_and_held(case)
        self.i10_the_window_is_half_open(case)
        self.i11_nothing_is_shown_after_it_was_taken_back(case)
        if case.use == "once" and case.kind == "approval":
            case.state = "consumed"
        self.i3_one_time_means_once(case)

    @precondition(lambda self: self._among("approved", "active") and len(self.flying) < 2)
    @rule(pick=picks)
    def ask_azure_and_wait(self, pick: int) -> None:
        """The first half of a reveal; the second comes when other things have happened."""
        case = self._case(pick, "approved", "active")
        if self.world.reveal(case.who, case) != 200:
            return
        self._activate(case)
        who, secret = self._person(case.who.name), self._secret(case.secret)
        spent = grants.spend(who, factories.actor(who), case.pk, grants.Act.REVEAL)
        read = keyvault.get_secret(secret.vault.uri, secret.name, "", reveal_id=str(spent.attempt.id))
        self.flying.append(InFlight(case, spent, read))

    @precondition(lambda self: self.flying)
    @rule()
    def show_what_azure_answered(self) -> None:
        case, spent, read = self.flying.pop(0)
        self.world.settle_one(case)
        stands = case.state == "active"
        try:
            grants._confirm(spent, factories.actor(self._person(case.who.name)), read)
        except grants.Withheld:
            assert not stands, "withheld, though the grant stands"
            assert LedgerEntry.objects.filter(act=spent.attempt.id, phase="withheld").count() == 1
        else:
            self._seen(case, read)

    # --- What happens around them ------------------------------------------------------------------------------------
    @precondition(lambda self: self._among(*OPEN))
    @rule(minutes=st.sampled_from([1, 1, 4, 29, 31, 700]))
    def time_passes(self, minutes: int) -> None:
        self._clock(self.world.now + timedelta(minutes=minutes))

    @precondition(lambda self: self._among("pending", "approved"))
    @rule(pick=picks, at=st.sampled_from([-MICROSECOND, timedelta(0)]))
    def the_deadline_comes(self, pick: int, at: timedelta) -> None:
        case = self._case(pick, "pending", "approved")
        self._clock(max(case.due + at, self.world.now))

    def _clock(self, now: datetime) -> None:
        self.world.now = now
        LedgerHead.objects.filter(pk=1).update(at=now)
        self._judge_all()

    def _judge_all(self) -> None:
        """What pages show of each request, before anybody has touched it (I6, I9, I10, I11, I17)."""
        rows = RevealRequest.objects.exclude(state__in=CLOSED).select_related("requester", "secret__vault", "policy")
        found = {row.pk: outlook(row, clock.now())[0] for row in rows}
        assert found == {pk: self.world.standing(self.world.cases[pk]) for pk in found}, "I17"

    @precondition(lambda self: any(case.state != self.world.standing(case) for case in self.world.cases.values()))
    @rule()
    def the_worker_settles(self) -> None:
        requests.settle_all()
        self.world.settle()

    @precondition(lambda self: self._among(*OPEN))
    @rule(
        what=st.sampled_from(
            ["role", "role", "person", "person", "approvers", "disabled", "gone", "policy", "rotation"]
        ),
        whose=st.sampled_from(["requester", "voter", "holder", "anybody"]),
        pick=picks,
        name=names,
        secret=secrets,
        policy=policies,
    )
    def something_changes(self, what: str, whose: str, pick: int, name: str, secret: str, policy: Rule) -> None:
        name = self._concerned(whose, pick) or name
        match what:
            case "role":
                RoleAssignment.objects.filter(person__username=name).update(ended_at=timezone.now())
                self.world.people[name].roles = set()
            case "person":
                Person.objects.filter(username=name).update(is_active=False)
                self.world.people[name].active = False
            case "approvers":
                self._leave_one_approver()
            case "policy":
                self._put_in_force(policy)
            case "rotation":
                self.azure.put_secret("pay-prod", secret, CANARY)
            case _:
                gone = {"enabled": False} if what == "disabled" else {"vanished_at": timezone.now()}
                Secret.objects.filter(key=secret).update(**gone)
                self.world.usable[secret] = False
        self._judge_all()

    def _concerned(self, whose: str, pick: int) -> str:
        """Somebody on whom a request that is open stands, so that a change is felt."""
        open_ones = self._among(*OPEN)
        if whose == "holder":
            open_ones = [case for case in open_ones if case.kind == "break-glass"]
        if not open_ones or whose == "anybody":
            return ""
        case = open_ones[pick % len(open_ones)]
        return min(case.yes, default="") if whose == "voter" else case.who.name

    @precondition(lambda self: self.world.something_is_missing(ROLES))
    @rule()
    def all_is_well_again(self) -> None:
        """Whoever had gone is back with the old roles, and so are the secrets: what fell does not rise again."""
        RoleAssignment.objects.update(ended_at=None)
        Person.objects.update(is_active=True)
        Secret.objects.update(enabled=True, vanished_at=None)
        for name, person in self.world.people.items():
            person.roles, person.active = set(ROLES[name]), True
        self.world.usable = dict.fromkeys(SECRETS, True)
        if self.world.rule.mode == "forbidden":
            self._put_in_force(Rule(0, "approval", needed=2, use="window"))
        self._judge_all()

    @precondition(lambda self: self._among(*OPEN))
    @rule(pick=picks, name=names, what=st.sampled_from(["ledger", "look", "policy", "secret", "requester"]))
    def somebody_tries_something(self, pick: int, name: str, what: str) -> None:
        """What must come to nothing: a reveal on a full disk, looking around, and deleting what has a history."""
        match what:
            case "ledger":
                self.i18_without_a_ledger_nothing_moves_and_nothing_is_shown(self._case(pick))
            case "look":
                self.i20_looking_changes_nothing(name)
            case _:
                self.i12_history_outlives_its_subject(self._case(pick), what)

    # --- The invariants ----------------------------------------------------------------------------------------------
    @invariant()
    def all_hold(self) -> None:
        """The checks that need no occasion of their own, on one look at the database."""
        self.look()
        self.i2_every_value_has_its_intent_and_its_outcome_on_record()
        self.i4_what_is_closed_never_changes()
        self.i5_a_no_wins_for_good()
        self.i6_enough_distinct_people_who_may_decide_now_said_yes()
        self.i12_history_only_grows()
        self.i13_every_transition_has_exactly_one_event()
        self.i14_every_refusal_is_on_record()
        self.i17_no_clock_that_is_set_back_revives_anything()
        self.i19_one_reveal_is_one_read()
        self.i21_a_request_never_becomes_an_emergency()
        self.every_request_stands_as_the_world_expects()

    def look(self) -> None:
        self.before, self.rows = self.rows, {row["id"]: row for row in RevealRequest.objects.values()}
        self.ledger += LedgerEntry.objects.filter(seq__gt=len(self.ledger)).order_by("seq")

    def i1_the_requester_never_counts(self) -> None:
        for vote in Vote.objects.select_related("voter", "request__requester"):
            voter, asker = (self.world.people[person.username] for person in (vote.voter, vote.request.requester))
            assert not voter.is_same_as(asker), "I1"

    def i2_every_value_has_its_intent_and_its_outcome_on_record(self) -> None:
        shown = [row for row in self.ledger if row.phase == "revealed"]
        intents = {row.act for row in self.ledger if row.phase == "intent"}
        assert len(self.values) == len(shown), "I2"
        assert {row.act for row in shown} <= intents, "I2"
        assert all(row.request_id and row.version for row in shown), "I2"

    def i3_one_time_means_once(self, case: Case) -> None:
        once = RevealRequest.objects.filter(pk=case.pk, use="once", kind="approval").exists()
        assert LedgerEntry.objects.filter(request=case.pk, phase="revealed").count() == case.shown, "I3"
        assert not once or case.shown <= 1, "I3"

    def i4_what_is_closed_never_changes(self) -> None:
        for pk, row in self.before.items():
            assert row["state"] not in CLOSED or self.rows[pk] == row, "I4"

    def i5_a_no_wins_for_good(self) -> None:
        for pk in self.denied:
            assert self.rows[pk]["state"] == "denied", "I5"

    def i6_enough_distinct_people_who_may_decide_now_said_yes(self) -> None:
        for row in self.rows.values():
            if row["state"] in {"approved", "active"} and row["kind"] == "approval":
                case = self.world.cases[row["id"]]
                if self.world.standing(case) in OPEN:
                    votes = Vote.objects.filter(request=case.pk, dropped_at=None, asked_hash=row["asked_hash"])
                    yes = set(votes.values_list("voter__username", flat=True))
                    assert self.world.enough(case.rule, yes & self.world.approvers(case.who)), "I6"

    def i7_empty_means_nobody(self, request: RevealRequest) -> None:
        case = self.world.cases[request.pk]
        eligible = self.world.approvers(case.who)
        assert eligible, "I7"
        if case.kind == "break-glass":
            assert case.who.holds("break-glass-holder"), "I7"
            assert case.rule.break_glass, "I7"
        else:
            assert self.world.enough(case.rule, eligible), "I7"

    def i8_an_edit_leaves_no_vote(self, case: Case) -> None:
        assert Vote.objects.filter(request=case.pk, dropped_at=None).count() == 0, "I8"

    def i9_the_grant_is_within_what_was_asked_allowed_and_held(self, case: Case) -> None:
        row = RevealRequest.objects.get(pk=case.pk)
        assert row.starts_at is not None
        assert row.ends_at is not None
        length = row.ends_at - row.starts_at
        assert length <= timedelta(minutes=case.minutes), "I9"
        assert case.who.active, "I9"
        if case.kind == "approval":
            assert self.world.rule is case.rule, "I9"
            assert self.world.fits(case.rule, case.minutes, case.use), "I9"
            assert case.who.roles - {"administrator"}, "I9"
        else:
            assert case.who.holds("break-glass-holder"), "I9"

    def i10_the_window_is_half_open(self, case: Case) -> None:
        assert case.end is not None
        assert self.world.now < case.end, "I10"

    def i11_nothing_is_shown_after_it_was_taken_back(self, case: Case) -> None:
        assert not case.taken_back, "I11"
        assert case.who.active, "I11"

    def i12_history_only_grows(self) -> None:
        totals = (LedgerEntry.objects.count(), len(self.rows), Vote.objects.count())
        assert all(now >= before for now, before in zip(totals, self.totals, strict=True)), "I12"
        self.totals = totals

    def i12_history_outlives_its_subject(self, case: Case, what: str) -> None:
        row = RevealRequest.objects.get(pk=case.pk)
        with pytest.raises(ProtectedError), transaction.atomic():
            getattr(row, what).delete()
        self.look()
        self.i12_history_only_grows()

    def i13_every_transition_has_exactly_one_event(self) -> None:
        steps: dict[int, list[str]] = {}
        votes: dict[int, int] = {}
        for row in [row for row in self.ledger if row.phase == "done" and row.request]:
            path = steps.setdefault(row.request or 0, [""])
            assert row.from_state == path[-1], "I13"
            assert row.person, "I13"
            assert row.shown_hash, "I13"
            votes[row.request or 0] = votes.get(row.request or 0, 0) + row.note.startswith("Yes.")
            if row.to_state != path[-1]:
                path.append(row.to_state)
        assert {pk: path[-1] for pk, path in steps.items()} == {pk: row["state"] for pk, row in self.rows.items()}, (
            "I13"
        )
        assert sum(votes.values()) == Vote.objects.count(), "I13"
        assert all(len(path) == len(set(path)) for path in steps.values()), "I13"  # no state is entered twice

    def i14_every_refusal_is_on_record(self) -> None:
        assert [row.code for row in self.ledger if row.phase == "refused"] == self.refusals, "I14"

    def i15_no_notice_carries_a_value_or_decides(self) -> None:
        for job in DBTaskResult.objects.all():
            for argument in job.args_kwargs["args"]:
                assert isinstance(argument, int) or len(argument) < 20, "I15"
        queued = {tuple(job.args_kwargs["args"]) for job in DBTaskResult.objects.all()}
        for event, pk in queued:
            text = str(request_notice(Event(event), RevealRequest.objects.get(pk=pk)))
            assert CANARY not in text, "I15"
            assert not {"approve", "reason", "INC-9", "down"} & set(text.split()), "I15"

    def i16_a_replay_is_no_second_step(self, case: Case, verb: Callable[[], object]) -> None:
        before = RevealRequest.objects.values().get(pk=case.pk)
        with pytest.raises(Refusal) as caught:
            verb()
        self.refusals.append(caught.value.code)
        assert caught.value.status == 409, "I16"
        assert RevealRequest.objects.values().get(pk=case.pk) == before, "I16"

    def i17_no_clock_that_is_set_back_revives_anything(self) -> None:
        """The server's clock is a day behind the last fact, throughout."""
        assert timezone.now() < self.world.now == clock.now(), "I17"

    def i18_without_a_ledger_nothing_moves_and_nothing_is_shown(self, case: Case) -> None:
        before, reads = list(RevealRequest.objects.values()), len(self.azure.log)
        who = self._person(case.who.name)
        with pytest.raises(ledger.LedgerUnavailable), outermost():
            refuse_inserts()
            grants.reveal(who, factories.actor(who), case.pk)
        assert len(self.azure.log) == reads, "I18"
        assert list(RevealRequest.objects.values()) == before, "I18"

    def i19_one_reveal_is_one_read(self) -> None:
        gets = [row.client_info for row in self.azure.log if row.operation == "SecretGet"]
        ids = [word for agent in gets for word in agent.split() if word.startswith("reveal/")]
        assert len(ids) == len(set(ids)) == len(gets), "I19"

    def i20_looking_changes_nothing(self, name: str) -> None:
        before = list(RevealRequest.objects.values()), LedgerEntry.objects.count(), DBTaskResult.objects.count()
        for secret in Secret.objects.all():
            grants.held(self._person(name), secret.pk)
        for row in RevealRequest.objects.select_related("requester", "secret__vault", "policy"):
            outlook(row, clock.now())
        after = list(RevealRequest.objects.values()), LedgerEntry.objects.count(), DBTaskResult.objects.count()
        assert before == after, "I20"

    def i21_a_request_never_becomes_an_emergency(self) -> None:
        for pk, row in self.rows.items():
            assert row["kind"] == self.world.cases[pk].kind, "I21"
            assert pk not in self.before or row["kind"] == self.before[pk]["kind"], "I21"
            assert row["state"] not in REVIEWED or row["kind"] == "break-glass", "I21"

    def i22_a_vote_of_somebody_who_may_not_is_a_403_on_record(self) -> None:
        last = LedgerEntry.objects.order_by("seq").last()
        assert last is not None
        assert (last.phase, last.code) in {("refused", "no-role-here"), ("refused", "oneself")}, "I22"

    def every_request_stands_as_the_world_expects(self) -> None:
        stored = {pk: (row["state"], row["uses_left"], row["given_back"]) for pk, row in self.rows.items()}
        expected = {case.pk: (case.state, case.uses, case.given_back) for case in self.world.cases.values()}
        assert stored == expected

    # --- Underneath --------------------------------------------------------------------------------------------------
    def _among(self, *states: str) -> list[Case]:
        """The requests that stand so; of none, before the story begins."""
        world = getattr(self, "world", None)
        return [case for case in world.cases.values() if world.standing(case) in states] if world else []

    def _case(self, pick: int, *states: str) -> Case:
        cases = self._among(*states) if states else list(self.world.cases.values())
        return cases[pick % len(cases)]

    def _person(self, name: str) -> Person:
        """Read anew, as each HTTP request does: roles are remembered on the object."""
        return Person.objects.get(username=name)

    def _secret(self, name: str) -> Secret:
        return Secret.objects.select_related("vault__subscription").get(key=name)

    def _commented(self, expected: int, comment: str) -> int:
        return 422 if expected == 200 and len(comment) < 3 else expected

    def _on(self, case: Case, expected: int, verb: Callable[[], RevealRequest]) -> bool:
        """Do a verb on a request: whatever it answers, the engine has settled the row first."""
        before = self.world.standing(case)
        self.world.settle_one(case)
        done = self._does(expected, verb, on=case) is not None
        replayable = case.kind == "approval" or before == "review-due"
        if done and replayable and RevealRequest.objects.get(pk=case.pk).state != "pending":
            self.i16_a_replay_is_no_second_step(case, verb)
        return done

    def _does(self, expected: int, verb: Callable[[], RevealRequest], on: Case | None = None) -> RevealRequest | None:
        before = RevealRequest.objects.values().filter(pk=on.pk if on else None).first()
        status, result = 200, None
        try:
            result = verb()
        except Refusal as refusal:
            note(f"refused: {refusal.code} {refusal.status}")
            self.refusals.append(refusal.code)
            status = refusal.status
        assert status == expected, "the answer is not the expected one"
        if on and before and status != 200 and before["state"] == on.state:
            assert RevealRequest.objects.values().get(pk=on.pk) == before, "I14"
        return result


def test_whatever_the_order_the_invariants_hold(settings: Any) -> None:
    settings.KVADMIN_BASE_URL = ""
    run_state_machine_as_test(Requests, settings=PROFILE)
