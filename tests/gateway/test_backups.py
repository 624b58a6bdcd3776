from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kvadmin import __version__
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.http import json_response
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway.backups import backup_secret, restore_secret_backup
from kvadmin.gateway.errors import BadAnswer, Conflict, GatewayError, Refused, Throttled
from kvadmin.gateway.paging import Patience
from kvadmin.gateway.values import SecretValue
from tests.gateway.conftest import SUBSCRIPTION

ACT = "5b0e3a52-0d4f-4f0e-9a57-3a1f6c2d8e90"


def blob_of(vault: Vault, name: str = "db-password") -> SecretValue:
    return backup_secret(vault.uri, name, act_id=ACT).blob


def failed_restore(vault: Vault, blob: SecretValue) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        restore_secret_backup(vault.uri, blob, act_id=ACT)
    return caught.value


def test_a_backup_is_opaque_and_carries_azures_evidence(azure: Azure, vault: Vault):
    backup = backup_secret(vault.uri, "db-password", act_id=ACT)

    assert [(row.operation, row.correlation_id) for row in azure.log[1:]] == [("SecretBackup", backup.request_id)]
    assert azure.log[-1].client_info.startswith(f"kvadmin/{__version__} act/{ACT} ")
    assert (backup.blob.expose() in repr(backup), backup.region) == (False, "westeurope")


def test_a_restored_secret_equals_its_source_with_all_versions(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "db-password", "newer", tags={"a": "b"}, enabled=False)
    other = azure.add_vault("pay-restored", subscription_id=SUBSCRIPTION)

    made = restore_secret_backup(other.uri, blob_of(vault), act_id=ACT)

    assert other.secrets.get("db-password").versions == vault.secrets.get("db-password").versions
    assert (made.properties.tags, made.properties.enabled, made.request_id) == (
        {"a": "b"},
        False,
        azure.log[-1].correlation_id,
    )


def test_a_taken_name_is_a_conflict(azure: Azure, vault: Vault):
    blob = blob_of(vault)
    live = failed_restore(vault, blob)
    vault.secrets.delete("db-password", azure.clock.now(), timedelta(0), timedelta(days=7))
    deleted = failed_restore(vault, blob)

    assert [(type(error), error.code, error.definite) for error in (live, deleted)] == [
        (Conflict, "conflict", True)
    ] * 2


def test_a_backup_that_azure_cannot_open_says_so(vault: Vault):
    error = failed_restore(vault, SecretValue("bm90IGEgYmFja3Vw"))

    assert (type(error), error.code, str(error)) == (Refused, "bad-backup", "Azure cannot open this backup.")


def test_a_backup_of_another_subscription_is_refused(azure: Azure, vault: Vault):
    azure.add_subscription("22222222-0000-4000-8000-000000000002", "Other")
    other = azure.add_vault("elsewhere", subscription_id="22222222-0000-4000-8000-000000000002")

    assert failed_restore(other, blob_of(vault)).code == "refused"


def test_a_secret_with_too_many_versions_is_refused(azure: Azure, vault: Vault):
    for number in range(500):
        azure.put_secret("pay-prod", "db-password", str(number))

    with pytest.raises(Refused) as caught:
        blob_of(vault)
    assert caught.value.request_id == azure.log[-1].correlation_id


def test_a_disabled_secret_can_be_backed_up(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "off", "x", enabled=False)

    assert blob_of(vault, "off").expose() != ""


@pytest.mark.parametrize("body", [{}, {"value": ""}, {"value": None}, [], {"value": 5}])
def test_an_answer_without_a_backup_is_none(scripted: Any, vault: Vault, body: Any):
    scripted(lambda request: json_response(200, body, {"x-ms-request-id": "r-3"}))

    with pytest.raises(BadAnswer) as caught:
        blob_of(vault)
    assert (caught.value.request_id, caught.value.definite) == ("r-3", False)


def test_a_backup_waits_when_azure_asks_for_it(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("throttled", retry_after=3, times=1))
    pauses: list[float] = []

    backup_secret(vault.uri, "db-password", act_id=ACT, patience=Patience(sleep=pauses.append))

    assert (pauses, [row.operation for row in azure.log[1:]]) == ([3.0], ["SecretBackup"])


def test_a_restore_that_may_have_happened_is_not_tried_again(azure: Azure, vault: Vault):
    blob, other = blob_of(vault), azure.add_vault("pay-restored", subscription_id=SUBSCRIPTION)
    azure.faults.set("pay-restored", Fault("lost", operations=frozenset({"SecretRestore"})))
    pauses: list[float] = []

    with pytest.raises(GatewayError) as caught:
        restore_secret_backup(other.uri, blob, act_id=ACT, patience=Patience(sleep=pauses.append))

    assert (caught.value.definite, pauses, len(other.secrets)) == (False, [], 1)


def test_a_throttled_backup_without_patience_fails_at_once(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("throttled"))

    with pytest.raises(Throttled):
        blob_of(vault)
