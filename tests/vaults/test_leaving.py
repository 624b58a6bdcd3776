"""Somebody leaves: all that they hold ends in one act, on record, or none of it does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from audit import chains
from audit.models import LedgerEntry
from tests import factories
from vaults import break_glass, leaving, policy, requests
from vaults.leaving import end_access
from vaults.models import Person, RevealRequest, RoleAssignment, Secret, Session
from vaults.policy import Refused

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
WHY = "HR-12: Eve leaves today"


@pytest.fixture
def db_password() -> Secret:
    factories.policy("approval", break_glass=True)
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def eve() -> Person:
    return factories.person("eve", "reader")


def end(admin: Person, person: Person) -> leaving.Ended:
    return end_access(admin, factories.actor(admin), person, reason=WHY)


def state(request: RevealRequest) -> str:
    return str(RevealRequest.objects.get(pk=request.pk).state)


# --- What ends -------------------------------------------------------------------------------------------------------
def test_roles_groups_sessions_and_the_account_end(admin: Person, eve: Person, client_of: ClientOf) -> None:
    eve.groups.add(Group.objects.create(name="payments"))
    factories.assign(eve, "approver")
    browser, hers = client_of(eve), client_of(admin)
    assert browser.get("/").status_code == 200

    ended = end(admin, eve)
    assert str(ended) == "2 roles, 1 group, 0 requests, 0 votes, 1 session"
    eve.refresh_from_db()
    assert (eve.is_active, eve.groups.count(), leaving.standing(admin, eve).holds_something) == (False, 0, False)
    assert browser.get("/").status_code == 302
    assert (hers.get("/").status_code, Session.objects.count()) == (200, 1)


def test_their_requests_are_void_and_a_broken_glass_waits_for_its_review(
    admin: Person, approver: Person, eve: Person, db_password: Secret
) -> None:
    factories.assign(eve, "break-glass-holder")
    asked = factories.ask(eve, db_password)
    other = factories.secret(db_password.vault, "api-key")
    broken = break_glass.break_glass(eve, factories.actor(eve), other, reason="the shop is down", ticket="INC-1")

    assert end(admin, eve).requests == 2
    assert (state(asked), state(broken)) == ("void", "review-due")
    assert RevealRequest.objects.get(pk=asked.pk).closed_by == admin


def test_a_vote_of_theirs_falls_and_with_it_what_stood_on_it_alone(
    admin: Person, approver: Person, approver_2: Person, reader: Person, db_password: Secret
) -> None:
    approved, waiting = (
        factories.ask(reader, db_password),
        factories.ask(factories.person("bob", "reader"), db_password),
    )
    requests.approve(approver, factories.actor(approver), approved.pk, seen=approved.asked_hash)
    twice = factories.secret(db_password.vault, "twice")
    factories.policy("approval", approvals_needed=2, vault=db_password.vault, prefix="twice", scope_kind="prefix")
    pending = factories.ask(reader, twice)
    requests.approve(approver, factories.actor(approver), pending.pk, seen=pending.asked_hash)

    assert end(admin, approver).votes == 2
    assert (state(approved), state(pending), state(waiting)) == ("void", "pending", "pending")
    assert pending.votes.filter(dropped_at=None).count() == 0


def test_a_grant_that_was_given_shows_no_value_any_more(
    admin: Person, approver: Person, eve: Person, db_password: Secret
) -> None:
    asked = factories.ask(eve, db_password)
    requests.approve(approver, factories.actor(approver), asked.pk, seen=asked.asked_hash)
    end(admin, eve)

    assert state(asked) == "void"


def test_what_others_hold_stays(
    admin: Person, approver: Person, eve: Person, reader: Person, db_password: Secret
) -> None:
    asked = factories.ask(reader, db_password)
    end(admin, eve)

    assert state(asked) == "pending"
    assert RoleAssignment.objects.in_force().count() == 3


def test_each_part_is_on_record_with_the_reason_and_the_chain_holds(
    admin: Person, approver: Person, eve: Person, db_password: Secret
) -> None:
    asked = factories.ask(eve, db_password)
    before = LedgerEntry.objects.count()
    end(admin, eve)

    rows = LedgerEntry.objects.filter(seq__gt=before).order_by("seq")
    assert [(row.action, row.person, row.note) for row in rows] == [
        ("role:assign", "admin", "Ended: Reader on everything, of eve"),
        ("session:revoke", "admin", WHY),
        ("session:revoke", "admin",
         "Closed the account of eve (eve): ended 1 role, 0 groups, 1 request, 0 votes, 0 sessions."),
    ]  # fmt: skip
    assert [row.request for row in rows] == [None, asked.pk, None]
    assert rows.last().reason == WHY
    assert chains.verify().intact


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_nobody_ends_their_own_access_or_reaches_further_than_they_hold(admin: Person, eve: Person) -> None:
    pay = factories.vault("pay-prod")
    small = factories.person("small", "administrator", vault=pay)

    for by, whom, code in ((admin, admin, "oneself"), (small, eve, "beyond-reach")):
        with pytest.raises(Refused):
            end(by, whom)
        assert LedgerEntry.objects.order_by("-seq").values_list("phase", "code").first() == ("refused", code)
    assert Person.objects.filter(is_active=True).count() == 3


def test_two_administrators_cannot_end_each_other(admin: Person) -> None:
    other = factories.person("other-admin", "administrator")
    assert policy.assignments(other)  # judged before the first act is through, as when both are sent at once
    end(admin, other)

    with pytest.raises(Refused, match="Nobody would administer everything"):
        end(other, admin)
    assert Person.objects.get(pk=admin.pk).is_active
    assert LedgerEntry.objects.filter(phase="refused", code="last-administrator").count() == 1


def test_ending_twice_ends_nothing_the_second_time(admin: Person, eve: Person) -> None:
    end(admin, eve)

    assert str(end(admin, eve)) == "0 roles, 0 groups, 0 requests, 0 votes, 0 sessions"


# --- The page --------------------------------------------------------------------------------------------------------
def test_the_page_ends_access_once_the_user_name_is_typed(admin: Person, eve: Person, client_of: ClientOf) -> None:
    client, path = client_of(admin), f"/people/{eve.pk}/end-access/"
    assert "Reader on everything" in client.get(path).content.decode()

    wrong = client.post(path, {"username": "Eve", "reason": WHY})
    eve.refresh_from_db()
    assert (wrong.status_code, eve.is_active) == (422, True)
    assert "This is not the user name of the person" in wrong.content.decode()
    assert f'value="{WHY}"' in wrong.content.decode()

    right = client.post(path, {"username": "eve", "reason": WHY}, follow=True)
    eve.refresh_from_db()
    assert (right.redirect_chain, eve.is_active) == ([(f"/people/{eve.pk}/", 302)], False)
    assert "The account of eve is closed. Ended: 1 role" in right.content.decode()


@pytest.mark.parametrize("role", ["", "reader", "auditor"])
def test_others_neither_see_the_page_nor_end_anything(eve: Person, client_of: ClientOf, role: str) -> None:
    client, path = client_of(factories.person("bob", role)), f"/people/{eve.pk}/end-access/"

    assert [client.get(path).status_code, client.post(path, {"username": "eve", "reason": WHY}).status_code] == [
        403,
        403,
    ]
    eve.refresh_from_db()
    assert eve.is_active


def test_an_administrator_of_one_vault_sees_why_they_may_not(eve: Person, client_of: ClientOf) -> None:
    client = client_of(factories.person("small", "administrator", vault=factories.vault("pay-prod")))
    path = f"/people/{eve.pk}/end-access/"

    assert "You may not do this" in client.get(path).content.decode()
    assert client.post(path, {"username": "eve", "reason": WHY}).status_code == 403
    eve.refresh_from_db()
    assert eve.is_active


def test_an_administrator_of_one_vault_learns_of_no_role_elsewhere(
    admin: Person, eve: Person, client_of: ClientOf
) -> None:
    pay, hidden = factories.vault("pay-prod"), factories.vault("merger-prod")
    factories.assign(eve, "auditor", vault=hidden, prefix="target-")
    factories.assign(eve, "approver", vault=pay)
    small = client_of(factories.person("small", "administrator", vault=pay))

    for path in (f"/people/{eve.pk}/end-access/", "/audit/leavers/?person=eve"):
        page, whole = (client.get(path).content.decode() for client in (small, client_of(admin)))
        assert ("Approver on vault pay-prod" in page, "merger-prod" in page, "target-" in page) == (True, False, False)
        assert ("not shown" in page, "target-* in merger-prod" in whole, "not shown" in whole) == (True, True, False)
