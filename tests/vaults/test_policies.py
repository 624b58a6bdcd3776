"""Reveal policies are set and ended by administrators within their reach, and every change is on record."""

from __future__ import annotations

import pytest
from django.test import Client

from audit.models import LedgerEntry
from tests import factories
from vaults.models import Person, RevealPolicy

pytestmark = pytest.mark.django_db


def in_force() -> list[str]:
    return sorted(str(policy) for policy in RevealPolicy.objects.filter(ended_at=None))


def test_a_new_policy_takes_the_place_of_the_one_for_the_same_scope_only(client: Client) -> None:
    factories.policy("direct")
    factories.policy("direct", environment="prod")
    factories.vault("pay-prod")
    client.force_login(factories.person("admin", "administrator"))

    client.post("/policies/", {"scope_kind": "environment", "environment": "prod", "mode": "approval"})

    assert in_force() == ["After approval on environment prod", "Direct on everything"]
    assert LedgerEntry.objects.get().note == "After approval on environment prod"


def test_a_policy_beyond_ones_reach_is_refused_and_recorded(client: Client) -> None:
    factories.vault("pay-dev", environment="dev")
    old = factories.policy("forbidden")
    client.force_login(factories.person("dev-admin", "administrator", environment="dev"))

    set_all = client.post("/policies/", {"scope_kind": "everything", "mode": "direct"})
    end_all = client.post(f"/policies/{old.pk}/end/")

    assert [set_all.status_code, end_all.status_code] == [403, 403]
    assert in_force() == ["Forbidden on everything"]
    assert LedgerEntry.objects.filter(code="beyond-reach").count() == 2


def test_only_a_policy_that_one_may_end_has_a_button_for_it(client: Client) -> None:
    everything = factories.policy("forbidden")
    dev = factories.policy("direct", environment="dev")
    admins = [factories.person("dev-admin", "administrator", environment="dev"), factories.person("a", "administrator")]

    def endable(admin: Person) -> list[int]:
        client.force_login(admin)
        page = client.get("/policies/").content.decode()
        assert page.count('<th scope="row">') == 2
        return [policy.pk for policy in (everything, dev) if f'action="/policies/{policy.pk}/end/"' in page]

    assert [endable(admin) for admin in admins] == [[dev.pk], [everything.pk, dev.pk]]


def test_ending_a_policy_leaves_nobody_a_way_in(client: Client) -> None:
    old = factories.policy("direct")
    client.force_login(factories.person("admin", "administrator"))

    answer = client.post(f"/policies/{old.pk}/end/", follow=True)

    assert in_force() == []
    assert "Nobody sees any value until a policy allows it." in answer.content.decode()


@pytest.mark.parametrize("role", ["", "secrets-user", "auditor"])
def test_others_neither_read_nor_change_policies(role: str, client: Client) -> None:
    factories.policy("forbidden")
    client.force_login(factories.person("eve", role))

    answers = [client.get("/policies/"), client.post("/policies/", {"scope_kind": "everything", "mode": "direct"})]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert in_force() == ["Forbidden on everything"]


@pytest.mark.parametrize("count", [1, 3])
def test_the_list_costs_the_same_queries_whatever_its_size(
    count: int, client: Client, django_assert_num_queries
) -> None:
    for number in range(count):
        factories.policy("direct", vault=factories.vault(f"pay-{number}"))
    client.force_login(factories.person("admin", "administrator"))

    client.get("/policies/")  # the session keeps its CSRF token from here on

    with django_assert_num_queries(7):
        page = client.get("/policies/").content.decode()

    assert page.count('<th scope="row">vault pay-') == count


def test_a_half_scope_gets_a_sentence_beside_its_field(client: Client) -> None:
    client.force_login(factories.person("admin", "administrator"))

    answer = client.post("/policies/", {"scope_kind": "vault", "mode": "direct"})

    assert answer.status_code == 422
    assert "Name the vault." in answer.content.decode()
    assert in_force() == []
