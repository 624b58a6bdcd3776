from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from kvadmin import __version__
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.http import json_response
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway.deleted import (
    begin_delete_secret,
    begin_recover_deleted_secret,
    get_deleted_secret,
    list_deleted_secrets,
    purge_deleted_secret,
)
from kvadmin.gateway.errors import Blocked, Conflict, Denied, GatewayError, NotFound, Refused
from kvadmin.gateway.paging import AT_ONCE
from tests.gateway.conftest import SUBSCRIPTION

ACT = "5b0e3a52-0d4f-4f0e-9a57-3a1f6c2d8e90"


def delete(vault: Vault, name: str = "db-password") -> Any:
    return begin_delete_secret(vault.uri, name, act_id=ACT).found


def listed(vault: Vault) -> list[str]:
    return [secret.name for page in list_deleted_secrets(vault.uri, patience=AT_ONCE) for secret in page]


def failed_purge(vault: Vault) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        purge_deleted_secret(vault.uri, "db-password", act_id=ACT)
    return caught.value


def test_a_deletion_says_until_when_the_secret_can_be_recovered(azure: Azure, vault: Vault):
    gone = delete(vault)

    assert (gone.name, gone.recovery_level, gone.recoverable_days, gone.purgeable) == (
        "db-password",
        "Recoverable+Purgeable",
        90,
        True,
    )
    assert gone.scheduled_purge_on - gone.deleted_on == timedelta(days=90)
    assert azure.log[-1].client_info.startswith(f"kvadmin/{__version__} act/{ACT} ")


def test_azure_is_not_done_when_a_deletion_returns(azure: Azure, vault: Vault):
    azure.delete_delay = timedelta(seconds=10)
    delete(vault)
    early = (get_deleted_secret(vault.uri, "db-password"), listed(vault))
    azure.clock.advance(timedelta(seconds=11))

    found = get_deleted_secret(vault.uri, "db-password")
    assert (early, found.name if found else "", listed(vault)) == ((None, []), "db-password", ["db-password"])


def test_a_deleted_secret_keeps_its_properties_in_the_list(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "api", "x", content_type="text/plain", tags={"a": "b"}, enabled=False)
    delete(vault, "api")

    (found,) = next(list_deleted_secrets(vault.uri))

    assert (found.content_type, found.tags, found.enabled, found.managed) == ("text/plain", {"a": "b"}, False, False)
    assert found == get_deleted_secret(vault.uri, "api")


@pytest.mark.parametrize("count", [0, 1, 26, 60])
def test_the_list_of_deleted_secrets_is_complete(azure: Azure, vault: Vault, count: int):
    for number in range(count):
        azure.put_secret("pay-prod", f"old-{number}", "x")
        vault.secrets.delete(f"old-{number}", azure.clock.now(), timedelta(0), timedelta(days=7))

    assert sorted(listed(vault)) == sorted(f"old-{number}" for number in range(count))


def test_a_failing_list_of_deleted_secrets_says_why(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("firewall"))

    with pytest.raises(Blocked):
        listed(vault)


def test_a_closed_door_is_not_taken_for_a_deleted_secret_that_is_gone(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("firewall"))

    with pytest.raises(Blocked):
        get_deleted_secret(vault.uri, "db-password")


def test_a_secret_that_is_not_there_cannot_be_deleted(vault: Vault):
    with pytest.raises(NotFound):
        delete(vault, "unknown")


def test_a_recovered_secret_has_all_of_its_versions(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "db-password", "newer")
    delete(vault)

    back = begin_recover_deleted_secret(vault.uri, "db-password", act_id=ACT).found

    assert (back.name, len(vault.secrets.get("db-password").versions)) == ("db-password", 2)


def test_a_secret_that_lives_has_nothing_to_recover(vault: Vault):
    with pytest.raises(Conflict) as caught:
        begin_recover_deleted_secret(vault.uri, "db-password", act_id=ACT)

    assert (caught.value.code, caught.value.definite) == ("not-deleted", True)
    assert str(caught.value) == "The secret is not deleted, so there is nothing to recover."


def test_a_recovery_right_after_the_deletion_comes_too_early(azure: Azure, vault: Vault):
    azure.delete_delay = timedelta(seconds=10)
    delete(vault)

    with pytest.raises(Conflict) as caught:
        begin_recover_deleted_secret(vault.uri, "db-password", act_id=ACT)
    assert caught.value.code == "being-deleted"


def test_a_purge_is_for_good_and_the_name_stays_taken_for_a_while(azure: Azure, vault: Vault):
    azure.purge_delay = timedelta(seconds=30)
    delete(vault)

    purge_deleted_secret(vault.uri, "db-password", act_id=ACT)

    assert (get_deleted_secret(vault.uri, "db-password"), vault.secrets.blocked("db-password", azure.clock.now())) == (
        None,
        True,
    )
    assert "SecretPurge" in [row.operation for row in azure.log]


def test_purge_protection_is_told_from_a_missing_right(azure: Azure, vault: Vault):
    vault.purge_protection = True
    delete(vault)
    protected = failed_purge(vault)
    azure.revoke(KVADMIN)
    denied = failed_purge(vault)

    assert (protected.code, protected.definite) == ("purge-protected", True)
    assert (type(denied), denied.code) == (Denied, "rbac")
    assert "the role Key Vault Purge Operator" in denied.advice


def test_a_refusal_of_a_purge_keeps_azures_request_id(azure: Azure, vault: Vault):
    vault.purge_protection = True
    delete(vault)

    error = failed_purge(vault)

    assert [row.correlation_id for row in azure.log if row.operation == "SecretPurge"] == [error.request_id]
    assert error.__context__ is None


def test_a_purge_without_a_deleted_secret_finds_none(vault: Vault):
    assert type(failed_purge(vault)) is NotFound


def test_a_lost_answer_to_a_deletion_is_no_certainty(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("lost", operations=frozenset({"SecretDelete"})))

    with pytest.raises(GatewayError) as caught:
        delete(vault)

    assert (caught.value.definite, vault.secrets.get("db-password")) == (False, None)


def test_the_secret_of_a_certificate_is_not_deleted_by_itself(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "tls", "pfx", managed=True)

    with pytest.raises(Refused) as caught:
        delete(vault, "tls")
    assert caught.value.code == "managed"


def test_an_absurd_purge_date_does_not_break_the_list(scripted: Any, azure: Azure):
    vault = azure.add_vault("odd", subscription_id=SUBSCRIPTION)
    item = {"id": f"{vault.uri}deletedsecrets/a", "deletedDate": 10**15}
    scripted(lambda request: json_response(200, {"value": [item], "nextLink": None}))

    (found,) = next(list_deleted_secrets(vault.uri))

    assert (found.name, found.deleted_on.year, found.scheduled_purge_on) == ("a", 9999, None)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b"])
def test_an_impossible_name_is_refused_before_anything_is_sent(azure: Azure, vault: Vault, name: str):
    acts = (begin_delete_secret, begin_recover_deleted_secret, purge_deleted_secret)
    for act in acts:
        with pytest.raises(Refused):
            act(vault.uri, name, act_id=ACT)
    assert azure.log == []


@pytest.mark.parametrize("name", ["000", "-abc", "new", "recover", "deleted", "x" * 127])
def test_odd_names_are_deleted_recovered_and_purged_like_others(azure: Azure, vault: Vault, name: str):
    azure.put_secret("pay-prod", name, "x")

    delete(vault, name)
    back = begin_recover_deleted_secret(vault.uri, name.upper(), act_id=ACT).found
    delete(vault, name.upper())
    purge_deleted_secret(vault.uri, name, act_id=ACT)

    assert (back.name, vault.secrets.get(name), listed(vault)) == (name, None, [])


def test_each_answer_bears_the_request_id_that_azure_logs(azure: Azure, vault: Vault):
    acts = (begin_delete_secret, begin_recover_deleted_secret, begin_delete_secret, purge_deleted_secret)
    answers = [act(vault.uri, "db-password", act_id=ACT) for act in acts]

    logged = [row.correlation_id for row in azure.log if row.operation != "Authentication"]
    assert [answer.request_id for answer in answers] == logged
    assert {answer.region for answer in answers} == {"westeurope"}


def test_deleting_and_recovering_reads_nothing(azure: Azure, vault: Vault):
    delete(vault)
    begin_recover_deleted_secret(vault.uri, "db-password", act_id=ACT)
    delete(vault)
    purge_deleted_secret(vault.uri, "db-password", act_id=ACT)

    assert [row.operation for row in azure.log if row.operation != "Authentication"] == [
        "SecretDelete",
        "SecretRecover",
        "SecretDelete",
        "SecretPurge",
    ]


def test_a_purge_that_azure_refuses_without_a_word_of_protection_stays_a_refusal(scripted: Any, vault: Vault):
    """A vault without soft delete answers 400, and has no deleted secrets to look at."""

    def answer(request: Any) -> Any:
        body = {"error": {"code": "NotSupported", "message": "Operation is not supported."}}
        missing = {"error": {"code": "SecretNotFound", "message": "Deleted Secret not found: db-password"}}
        return json_response(400, body) if request.method == "DELETE" else json_response(404, missing)

    scripted(answer)

    error = failed_purge(vault)

    assert (error.code, error.inner, error.definite) == ("refused", "NotSupported", True)


@pytest.mark.parametrize("level", ["Recoverable", "CustomizedRecoverable+ProtectedSubscription"])
def test_purge_protection_is_told_by_the_recovery_level_whatever_code_azure_gives(
    scripted: Any, vault: Vault, level: str
):
    def answer(request: Any) -> Any:
        body = {"error": {"code": "Forbidden", "message": "No.", "innererror": {"code": "ForbiddenByPolicy"}}}
        found = {"id": f"{vault.uri}secrets/db-password/{'a' * 32}", "attributes": {"recoveryLevel": level}}
        return json_response(403, body) if request.method == "DELETE" else json_response(200, found)

    scripted(answer)

    assert failed_purge(vault).code == "purge-protected"
