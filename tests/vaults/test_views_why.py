"""The why page explains a decision with the very steps that led to it, and tells nobody what they may not know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from kvadmin import actions as a
from tests import factories
from vaults import policy, requests
from vaults.models import Person, RevealRequest, Role, RoleAssignment, Secret
from vaults.why import Question, explain

pytestmark = pytest.mark.django_db

ClientOf = Callable[[Person], Client]
HERE = {"vault": "pay-prod", "secret": "db-password"}


@pytest.fixture
def secret() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def dev(db: None) -> Person:
    return factories.person("dev", "reader", environment="prod")


def ask(client: Client, status: int = 200, **query: str) -> str:
    answer = client.get(f"/why/?{urlencode(query)}")
    assert answer.status_code == status
    return unescape(answer.content.decode()).partition("<main")[2]


def test_without_an_act_the_page_explains_the_one_that_it_names(dev: Person, client_of: ClientOf) -> None:
    page = ask(client_of(dev))
    assert '<option value="secret:reveal" selected>' in page
    assert "No: see a value" in page


# --- The chain -------------------------------------------------------------------------------------------------------
def test_every_role_is_told_with_its_yes_or_no(secret: Secret, dev: Person, client_of: ClientOf) -> None:
    factories.policy("direct")
    factories.assign(dev, "secrets-user", environment="dev")
    team = Group.objects.create(name="team")
    dev.groups.add(team)
    RoleAssignment.objects.create(group=team, role=Role.SECRETS_USER, scope_kind="vault", vault=secret.vault)

    page = ask(client_of(dev), **HERE)

    assert "This role may not do it." in page
    assert "It may do it, but does not reach this place." in page
    assert "It may do it, and reaches this place." in page
    assert "by group team" in page
    assert "Yes: see a value" in page


def test_the_policy_that_holds_is_told_with_those_that_give_way(
    secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy("direct")
    factories.policy("approval", environment="prod")
    factories.policy("forbidden", vault=secret.vault)
    factories.policy("direct", vault=factories.vault("other"))

    page = ask(client_of(secrets_user), **HERE)

    assert page.index("Forbidden on vault pay-prod") < page.index("After approval on environment prod")
    assert "“environment prod” is less specific than “vault pay-prod”." in page
    assert "forbids showing values." in page
    assert "vault other" not in page


@pytest.mark.parametrize("action", [a.SECRET_REVEAL, a.SECRET_LIST, a.REQUEST_APPROVE, a.SECRET_SET, a.ROLE_ASSIGN])
@pytest.mark.parametrize("role", ["", *Role.values])
def test_what_is_explained_is_what_is_decided(role: str, action: a.Action, secret: Secret) -> None:
    factories.policy("approval")
    person = factories.person("somebody", role)

    told = explain(Question(person, action, secret.vault, secret.key, secret)).decision

    assert told == policy.may(person, action, secret.vault, secret.key)


def test_a_grant_is_the_reason_while_it_lasts(
    secret: Secret, dev: Person, approver: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")
    asked = factories.ask(dev, secret)
    requests.approve(approver, factories.actor(approver), asked.pk, seen=asked.asked_hash)

    assert f"Request #{asked.pk} lets them: it is approved." in ask(client_of(dev), **HERE)

    RevealRequest.objects.update(due_at=timezone.now() - timedelta(minutes=1))
    page = ask(client_of(dev), **HERE)
    assert "No: see a value" in page
    assert "It was not used in time." in page


def test_asking_and_breaking_the_glass_are_explained_beyond_the_role(
    secret: Secret, dev: Person, oncall: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")

    asking = ask(client_of(dev), action="secret:request", **HERE)
    breaking = ask(client_of(oncall), action="secret:break-glass", **HERE)

    assert "no other person holds the Approver role here." in asking
    assert "The policy here leaves no break-glass open." in breaking


# --- What is missing -------------------------------------------------------------------------------------------------
def test_oneself_is_told_what_is_missing_and_no_names(
    secret: Secret, dev: Person, approver: Person, admin: Person, client_of: ClientOf
) -> None:
    Person.objects.filter(pk=approver.pk).update(first_name="Priya", last_name="Arden")
    Person.objects.filter(pk=admin.pk).update(first_name="Adrian", last_name="Stern")
    factories.policy("approval")

    page = ask(client_of(dev), **HERE)

    assert "A role that may do this here: Secrets User." in page
    assert ("Could give it: an administrator." in page, "Could give it: an approver." in page) == (True, True)
    assert ("Arden" in page, "Stern" in page) == (False, False)


def test_an_administrator_is_told_the_names(
    secret: Secret, dev: Person, approver: Person, admin: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")

    page = ask(client_of(admin), person="dev", **HERE)

    assert "Could give it: admin." in page
    assert "Could give it: approver." in page
    assert "They are told: “You hold no role that may do this (see a value).”" in page


def test_an_approver_is_told_names_where_they_decide_and_not_elsewhere(secret: Secret, client_of: ClientOf) -> None:
    factories.policy("approval")
    factories.person("chief", "administrator")
    lead = factories.person("lead", "approver", vault=factories.vault("other"))
    factories.assign(lead, "reader")

    assert "Could give it: chief." in ask(client_of(lead), vault="other")
    assert "Could give it: an administrator." in ask(client_of(lead), **HERE)


# --- Who may ask what ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", ["reader", "approver", "auditor", "secrets-user"])
def test_others_ask_about_themselves_only(role: str, secret: Secret, dev: Person, client_of: ClientOf) -> None:
    client = client_of(factories.person("eve", role))

    page = ask(client, 403, person="dev", **HERE)

    assert "You may ask this about yourself." in page
    assert "Reader on environment prod" not in page
    assert ask(client, 403, person="no-such-person", **HERE).count("You may ask this about yourself.") == 1


def test_a_vault_that_one_may_not_see_is_like_one_that_is_not(
    secret: Secret, nobody: Person, client_of: ClientOf
) -> None:
    client = client_of(nobody)

    real, invented = (ask(client, 422, vault=name) for name in ("pay-prod", "no-such-vault"))

    assert "No vault of this name is known to you." in real
    assert real.replace("pay-prod", "") == invented.replace("no-such-vault", "")


def test_an_administrator_hears_the_same_of_a_secret_that_is_and_of_one_that_is_not(
    secret: Secret, dev: Person, approver: Person, admin: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")
    factories.ask(dev, secret)
    Secret.objects.update(enabled=False)
    client = client_of(admin)

    real, invented = (ask(client, person="dev", vault="pay-prod", secret=name) for name in ("db-password", "none-such"))

    assert real.replace("db-password", "") == invented.replace("none-such", "")


def test_an_administrator_elsewhere_does_not_reach_here(secret: Secret, dev: Person, client_of: ClientOf) -> None:
    boss = factories.person("boss", "administrator", environment="dev")

    assert "No vault of this name is known to you." in ask(client_of(boss), 422, person="dev", **HERE)


@pytest.mark.parametrize("query", [{"action": "audit:read"}, {"action": "secret:list"}, {"vault": "pay-prod"}])
def test_an_administrator_of_a_part_learns_of_no_role_elsewhere(
    query: dict[str, str], secret: Secret, admin: Person, client_of: ClientOf
) -> None:
    bob = factories.person("bob", "auditor", vault=factories.vault("merger-prod"), prefix="target-")
    factories.assign(bob, "reader", environment="prod")
    factories.assign(bob, "approver", vault=secret.vault)
    boss = factories.person("boss", "administrator", vault=secret.vault)

    page, whole = (ask(client_of(who), person="bob", **query) for who in (boss, admin))

    assert ("Approver on vault pay-prod" in page, "merger-prod" in page, "target-" in page) == (True, False, False)
    assert ("not shown" in page, "target-* in merger-prod" in whole, "not shown" in whole) == (True, True, False)


def test_without_a_question_it_explains_oneself_anywhere(dev: Person, client_of: ClientOf) -> None:
    page = ask(client_of(dev))

    assert "You hold no role that may do this (see a value)." in page


def test_somebody_who_left_holds_nothing(secret: Secret, dev: Person, admin: Person, client_of: ClientOf) -> None:
    Person.objects.filter(pk=dev.pk).update(is_active=False)

    page = ask(client_of(admin), person="dev", **HERE)

    assert "This account is closed, so no role of it counts." in page
    assert "No role is held at present." in page


@pytest.mark.parametrize(
    "query",
    [{"action": "secret:eat"}, {"person": "x" * 200}, {"vault": "\x00"}, {"secret": "x" * 200, "vault": "pay-prod"}],
)
def test_a_nonsensical_question_is_422(
    query: dict[str, str], admin: Person, secret: Secret, client_of: ClientOf
) -> None:
    ask(client_of(admin), 422, **query)


def test_hostile_words_stay_words(dev: Person, client_of: ClientOf) -> None:
    answer = client_of(dev).get("/why/", {"vault": "<script>alert(1)</script>", "secret": "'\"><img src=x>"})

    assert answer.status_code == 422
    assert "<script>alert(1)" not in answer.content.decode()
    assert "<img src=x>" not in answer.content.decode()


def test_the_queries_do_not_grow_with_roles_and_policies(secret: Secret, dev: Person, client_of: ClientOf) -> None:
    client = client_of(dev)
    counts = []
    for number in (1, 3):
        for item in range(number):
            factories.assign(dev, "approver", environment=f"e{number}{item}")
            factories.policy("direct", prefix="d" * (number + item), vault=secret.vault)
        client.get("/why/", HERE)
        with CaptureQueriesContext(connection) as queries:
            client.get("/why/", HERE)
        counts.append(len(queries))

    assert counts[0] == counts[1]
