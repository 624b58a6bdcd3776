"""Home: what needs a person, from what that person may see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit import ledger
from audit.finding_models import Finding
from audit.findings import acknowledge, judge
from kvadmin import actions as a
from tests import factories
from tests.audit.inventories import FakeInventory
from tests.audit.rows import event
from vaults.models import Person, SyncRun

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]


def text(client: Client, path: str = "/") -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_it_counts_only_what_each_person_may_see(reader: Person, nobody: Person, client_of: ClientOf) -> None:
    soon = timezone.now() + timedelta(days=3)
    factories.secret(factories.vault("pay-prod"), "pay-key", expires_on=soon)
    factories.secret(factories.vault("pay-test", environment="test", health="dns"), "test-key", expires_on=soon)
    bob = factories.person("bob", "reader", environment="test")
    counts = {
        person.username: client_of(person).get("/").context["counts"]["expiring"] for person in (reader, bob, nobody)
    }
    assert counts == {"reader": 2, "bob": 1, "nobody": 0}
    assert ("pay-key" in text(client_of(bob)), "test-key" in text(client_of(bob))) == (False, True)
    assert "You hold no role yet" in text(client_of(nobody))


def test_it_shows_unhealthy_vaults_with_what_to_do(reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod", health="rbac", health_since=timezone.now(), health_note="Give it the role Reader.")
    assert "Give it the role Reader." in text(client_of(reader))


@pytest.mark.parametrize(
    ("health", "sentence"),
    [("ok", "Every vault could be listed"), ("unknown", "Not all of them have been checked yet.")],
)
def test_it_calls_no_vault_healthy_that_was_never_listed(
    reader: Person, client_of: ClientOf, health: str, sentence: str
) -> None:
    factories.vault("pay-prod", health=health)
    said = ("Every vault could be listed", "Not all of them have been checked yet.")
    assert [words for words in said if words in text(client_of(reader))] == [sentence]


def test_it_shows_blind_vaults(reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod", log_state="no-setting")
    assert "Blind vaults" in text(client_of(reader))


@pytest.mark.parametrize(("days", "rings"), [(1, True), (31, False)])
def test_it_rings_when_azure_lately_stopped_showing_a_vault_to_those_who_may_see_it(
    reader: Person, nobody: Person, client_of: ClientOf, days: int, rings: bool
) -> None:
    factories.vault("gone", vanished_at=timezone.now() - timedelta(days=days))
    factories.vault("here", environment="test")
    elsewhere = factories.person("elsewhere", "reader", environment="test")
    alarm = "No longer shown by Azure: 1 vault<"
    assert [alarm in text(client_of(person)) for person in (reader, elsewhere, nobody)] == [rings, False, False]


def test_somebody_whose_vaults_azure_shows_no_more_is_told_so(client_of: ClientOf) -> None:
    factories.vault("gone", vanished_at=timezone.now() - timedelta(days=99))
    factories.vault("here", environment="test")
    page = text(client_of(factories.person("bob", "reader", environment="prod")))
    assert "Azure no longer shows those that your roles reach." in page
    assert '<a href="/vaults/?health=gone">1 vault no longer shown by Azure</a> (since <time' in page


def test_an_expired_secret_of_a_vault_that_vanished_needs_nobody(reader: Person, client_of: ClientOf) -> None:
    gone = factories.vault("gone", vanished_at=timezone.now())
    factories.secret(gone, "old", expires_on=timezone.now() - timedelta(days=1))
    factories.vault("here")
    assert client_of(reader).get("/").context["counts"] == {"expired": 0, "expiring": 0}


def test_it_shows_a_person_their_own_reveals_only(reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    for name, person in (("mine", str(reader.pk)), ("theirs", "999")):
        who, target = ledger.Actor(person, name), ledger.Target("pay-prod", name)
        with ledger.attempt(a.SECRET_REVEAL, who, target) as act:
            act.revealed(version="", request_id="", region="")
    page = text(client_of(reader))
    assert (">mine<" in page, ">theirs<" in page) == (True, False)


def test_the_last_sweep_is_for_those_who_may_start_one(reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    SyncRun.objects.create(state="failed")
    both = factories.person("both", "reader")
    factories.assign(both, "administrator")
    assert "Last sweep" in text(client_of(both))
    assert "Last sweep" not in text(client_of(reader))


def test_an_administrator_without_a_readers_role_is_told_what_they_hold(admin: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    page = text(client_of(admin))
    assert ("None of your roles shows vaults" in page, "pay-prod" in page) == (True, False)


@pytest.mark.parametrize("count", [1, 3])
def test_it_takes_as_many_queries_for_three_of_everything_as_for_one(
    reader: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for number in range(count):
        vault = factories.vault(f"bad-{number}", health="dns", log_state="no-setting")
        factories.secret(vault, "soon", expires_on=timezone.now() + timedelta(days=1))
        factories.vault(f"gone-{number}", vanished_at=timezone.now())
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(11):  # type: ignore[attr-defined]
        page = text(client)
    assert page.count('<th scope="row">') == count


def test_it_rings_for_auditors_of_that_vault_only_until_somebody_takes_note(
    auditor: Person, reader: Person, client_of: ClientOf
) -> None:
    event(vault=factories.vault("pay-prod").name, match="unexplained")
    judge(FakeInventory())
    elsewhere = factories.person("elsewhere", "auditor", environment="test")
    alarm = "1 alarm, 0 warnings and 0 notes in the audit"

    assert [alarm in text(client_of(person)) for person in (auditor, elsewhere, reader)] == [True, False, False]
    acknowledge(factories.actor(auditor), Finding.objects.all(), "INC-9: the credential was changed")
    assert "in the audit</strong>" not in text(client_of(auditor))
