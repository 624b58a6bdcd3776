"""Who may do what, where, and why: truth tables over real rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import RequestFactory
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin import actions as a
from tests import factories
from vaults import policy
from vaults.models import Person, RoleAssignment, Secret
from vaults.models.role import ROLE_ACTIONS

pytestmark = pytest.mark.django_db


@pytest.fixture
def db_password() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password")


def may_reveal(somebody: Person, secret: Secret) -> policy.Decision:
    return policy.may(somebody, a.SECRET_REVEAL, secret.vault, secret.key)


def test_every_action_belongs_to_a_role_and_administrators_neither_read_nor_reveal() -> None:
    assert frozenset().union(*ROLE_ACTIONS.values()) == frozenset(a.ACTIONS.values())
    assert {str(action) for action in ROLE_ACTIONS["administrator"]} == {
        "role:assign",
        "policy:edit",
        "vault:sync",
        "session:revoke",
    }


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ({}, True),
        ({"environment": "prod"}, True),
        ({"environment": "dev"}, False),
        ({"vault": "pay-prod"}, True),
        ({"vault": "pay-dev"}, False),
        ({"vault": "pay-prod", "prefix": "db-"}, True),
        ({"vault": "pay-prod", "prefix": "api-"}, False),
        ({"vault": "pay-dev", "prefix": "db-"}, False),
        ({"subscription": "Payments"}, True),
        ({"subscription": "Sandbox"}, False),
    ],
)
def test_a_role_reaches_as_far_as_its_scope(scope: dict[str, object], reaches: bool, db_password: Secret) -> None:
    named = {
        "pay-prod": db_password.vault,
        "pay-dev": factories.vault("pay-dev", environment="dev"),
        "Payments": factories.subscription(),
        "Sandbox": factories.subscription("00000000-0000-0000-0000-00000000bbbb", "Sandbox"),
    }
    factories.policy("direct")
    ada = factories.person("ada", "secrets-user", **{k: named.get(str(v), v) for k, v in scope.items()})

    assert may_reveal(ada, db_password).allowed is reaches
    assert policy.visible_secrets(ada).contains(db_password) is reaches
    assert policy.visible_vaults(ada).contains(db_password.vault) is (reaches or scope.get("vault") == "pay-prod")


def test_nobody_in_particular_may_nothing(db_password: Secret) -> None:
    nobody = factories.person("nobody")

    for somebody in (nobody, AnonymousUser()):
        assert [word for word, action in a.ACTIONS.items() if policy.may(somebody, action)] == []
        assert policy.visible_vaults(somebody).count() == 0
        assert policy.visible_secrets(somebody).count() == 0


@pytest.mark.parametrize("how", ["ended", "past its end", "inactive"])
def test_a_role_that_is_over_gives_nothing(how: str, db_password: Secret) -> None:
    factories.policy("direct")
    ada = factories.person("ada", "secrets-user")
    now = timezone.now()
    if how == "inactive":
        Person.objects.update(is_active=False)
    else:
        RoleAssignment.objects.update(**({"ended_at": now} if how == "ended" else {"ends_at": now - timedelta(days=1)}))

    assert may_reveal(Person.objects.get(pk=ada.pk), db_password).allowed is False


def test_a_group_gives_its_members_its_role_and_takes_it_along(db_password: Secret) -> None:
    factories.policy("direct")
    team = Group.objects.create(name="payments")
    RoleAssignment.objects.create(group=team, role="secrets-user", scope_kind="everything")
    ada = factories.person("ada")
    ada.groups.add(team)
    assert may_reveal(ada, db_password).allowed is True

    ada.groups.clear()

    assert may_reveal(Person.objects.get(pk=ada.pk), db_password).allowed is False


@pytest.mark.parametrize(
    ("policies", "code"),
    [
        ([], "no-policy"),
        ([("direct", {})], ""),
        ([("direct", {}), ("approval", {"environment": "prod"})], "needs-approval"),
        ([("approval", {"environment": "prod"}), ("direct", {"vault": True})], ""),
        ([("direct", {"vault": True}), ("forbidden", {"vault": True, "prefix": "db-"})], "forbidden"),
        ([("forbidden", {"vault": True, "prefix": "db-"}), ("direct", {"vault": True, "prefix": "db-pass"})], ""),
        ([("direct", {"vault": True}), ("forbidden", {"vault": True})], "forbidden"),
        ([("direct", {"environment": "dev"})], "no-policy"),
    ],
)
def test_the_most_specific_policy_decides_and_none_means_nobody(
    policies: list[tuple[str, dict[str, object]]], code: str, db_password: Secret
) -> None:
    for mode, scope in policies:
        factories.policy(mode, **{k: db_password.vault if v is True else v for k, v in scope.items()})
    ada = factories.person("ada", "secrets-user")

    decision = may_reveal(ada, db_password)

    assert (decision.code, decision.allowed) == (code, code == "")
    assert decision.reason.endswith(".")


def test_a_person_who_may_not_know_of_a_secret_is_told_nothing(db_password: Secret, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = factories.person("bob", "secrets-user", environment="dev")

    with pytest.raises(Http404):
        policy.require_secret(request, a.SECRET_REVEAL, "pay-prod", "db-password")

    assert LedgerEntry.objects.count() == 0


def test_a_refusal_is_on_record_before_it_is_shown(db_password: Secret, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = factories.person("ada", "reader")

    with pytest.raises(PermissionDenied, match="no role"):
        policy.require_secret(request, a.SECRET_REVEAL, "PAY-prod", "DB-password", reason="INC-7")

    entry = LedgerEntry.objects.get()
    assert (entry.phase, entry.action, entry.person, entry.vault, entry.secret, entry.code, entry.reason) == (
        "refused",
        "secret:reveal",
        "ada",
        "pay-prod",
        "db-password",
        "no-role",
        "INC-7",
    )


def test_deciding_costs_one_query_for_roles_however_many_decisions(
    db_password: Secret, rf: RequestFactory, django_assert_num_queries
) -> None:
    ada = factories.person("ada", "reader")

    with django_assert_num_queries(1):
        for action in a.ACTIONS.values():
            policy.may(ada, action, db_password.vault, db_password.key)
