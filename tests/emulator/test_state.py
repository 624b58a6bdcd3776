"""The cloud's own bookkeeping: its clock, its secrets as seeded, its names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kvadmin.emulator.clock import Clock
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import SUBSCRIPTION, Wire


def test_a_clock_that_was_set_runs_on() -> None:
    clock, moment = Clock(), datetime(2030, 1, 1, tzinfo=UTC)

    clock.set(moment)
    first, second = clock.now(), clock.now()

    assert moment <= first <= second


def test_a_clock_that_was_advanced_is_ahead_by_that_much() -> None:
    clock = Clock()

    clock.advance(timedelta(days=2))

    assert clock.now() > datetime.now(UTC) + timedelta(days=1, hours=23)


def test_a_clock_that_was_stopped_moves_only_when_it_is_told_to() -> None:
    clock = Clock()

    clock.stop()
    stopped = clock.now()

    assert clock.now() == stopped
    clock.advance(timedelta(seconds=5))
    assert clock.now() == stopped + timedelta(seconds=5)


def test_a_vault_is_found_in_any_casing(cloud: Azure) -> None:
    vault = cloud.add_vault("Lab-One", subscription_id=SUBSCRIPTION)

    assert cloud.vault("LAB-ONE") is vault
    assert vault.uri == "https://lab-one.vault.azure.net/"
    assert (
        vault.resource_id
        == f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/Lab-One"
    )


def test_a_removed_vault_is_gone(cloud: Azure) -> None:
    cloud.remove_vault("Pay-Prod")

    with pytest.raises(KeyError):
        cloud.vault("pay-prod")


@pytest.mark.parametrize(
    ("days", "protected", "level"),
    [
        (90, False, "Recoverable+Purgeable"),
        (90, True, "Recoverable"),
        (7, False, "CustomizedRecoverable+Purgeable"),
        (7, True, "CustomizedRecoverable"),
    ],
)
def test_the_recovery_level_follows_from_the_vault(days: int, protected: bool, level: str, cloud: Azure) -> None:
    vault = cloud.add_vault("v", subscription_id=SUBSCRIPTION, soft_delete_days=days, purge_protection=protected)

    assert vault.recovery_level == level


def test_a_seeded_secret_is_as_old_as_it_was_said_to_be(cloud: Azure, wire: Wire) -> None:
    made = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    cloud.put_secret("pay-prod", "old", "x", at=made, not_before=made, expires_on=made + timedelta(days=1))

    attributes = wire.call("GET", "/secrets/old/").json()["attributes"]

    seconds = int(made.timestamp())
    assert (attributes["created"], attributes["updated"]) == (seconds, seconds)
    assert (attributes["nbf"], attributes["exp"]) == (seconds, seconds + 86_400)


def test_seeding_the_same_name_again_adds_a_version(cloud: Azure) -> None:
    cloud.put_secret("PAY-PROD", "DB-Password", "second")

    secret = cloud.vault("pay-prod").secrets.get("db-password")

    assert secret is not None
    assert (secret.name, len(secret.versions), secret.latest.value) == ("db-password", 2, "second")


def test_kvadmin_is_allowed_nothing_in_a_subscription_that_says_so() -> None:
    azure = Azure()
    azure.add_subscription(SUBSCRIPTION, "Closed", kvadmin_roles=())

    assert azure.can_read(KVADMIN, f"/subscriptions/{SUBSCRIPTION}") is False
