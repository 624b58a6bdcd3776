"""What every list says of itself: how many vaults, as of when, which are gone, and whether new ones may be missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from kvadmin.emulator import doors, identities
from kvadmin.emulator.state import Azure
from kvadmin.gateway.paging import Patience
from tests import factories
from vaults import sync
from vaults.models import SyncRun, Vault
from vaults.standing import standing

pytestmark = pytest.mark.django_db
MOMENT = datetime(2026, 5, 4, 14, 2, tzinfo=UTC)
IMPATIENT = Patience(tries=1)


def test_of_no_vault_nothing_is_said() -> None:
    found = standing(Vault.objects.all())
    assert (found.total, found.as_of, found.gone, found.gone_first, found.incomplete) == (0, None, 0, None, False)


def test_what_is_gone_is_counted_apart_and_by_since_when() -> None:
    factories.vault("here", health="ok", listed_at=MOMENT)
    for days in (1, 40, 3):
        factories.vault(f"gone-{days}", health="ok", vanished_at=timezone.now() - timedelta(days=days))
    found = standing(Vault.objects.all())
    assert (found.total, found.listed, found.as_of) == (1, 1, MOMENT)
    assert (found.gone, found.gone_lately) == (3, 2)
    assert [found.gone_first, found.gone_last] == [
        Vault.objects.get(name=name).vanished_at for name in ("gone-40", "gone-1")
    ]


def test_vaults_of_a_subscription_that_kvadmin_lost_are_told_as_gone(azure: Azure) -> None:
    lost, kept = "0" * 35 + "1", "0" * 35 + "2"
    for subscription in (lost, kept):
        azure.add_subscription(subscription, subscription[-1])
        azure.add_vault(f"pay-{subscription[-1]}", subscription_id=subscription)
    sync.sync_inventory(patience=IMPATIENT)
    azure.revoke(identities.KVADMIN)
    azure.grant(identities.KVADMIN, "Reader", f"/subscriptions/{kept}")
    sync.sync_inventory(patience=IMPATIENT)
    found = standing(Vault.objects.all())
    assert (found.total, found.gone, found.undiscovered) == (1, 1, None)


def test_that_azure_could_not_be_asked_is_told_until_it_can_be(azure: Azure) -> None:
    azure.add_subscription("0" * 36, "Payments")
    azure.add_vault("pay-prod", subscription_id="0" * 36)
    doors.drop_memory("tests")
    asked = sync.sync_inventory(patience=IMPATIENT).started_at
    assert standing(Vault.objects.all()).undiscovered == asked
    doors.set_memory("tests", azure)
    sync.sync_inventory(patience=IMPATIENT)
    assert standing(Vault.objects.all()).undiscovered is None


@pytest.mark.parametrize("state", ["queued", "running", "skipped", "failed"])
def test_a_sweep_that_did_not_end_says_nothing_of_what_azure_shows(state: str) -> None:
    SyncRun.objects.create(state="done", started_at=MOMENT, note="Azure could not be asked.")
    SyncRun.objects.create(state=state, started_at=MOMENT + timedelta(hours=1), note="Another sweep is running.")
    assert standing(Vault.objects.all()).undiscovered == MOMENT


@pytest.mark.parametrize("count", [1, 3])
def test_it_takes_as_many_queries_for_three_vaults_as_for_one(count: int, django_assert_num_queries) -> None:
    for number in range(count):
        factories.vault(f"bad-{number}", health="dns")
        factories.vault(f"gone-{number}", vanished_at=MOMENT)
    with django_assert_num_queries(3):
        found = standing(Vault.objects.all())
    assert (found.failed, found.gone, len(found.named)) == (count, count, count)
