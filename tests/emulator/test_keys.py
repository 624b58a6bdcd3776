from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.keys import KeyClient

from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import SUBSCRIPTION, VAULT, Credential, Wire

MAY = datetime(2027, 5, 1, tzinfo=UTC)


@pytest.fixture
def keys(session: requests.Session) -> KeyClient:
    """The unchanged SDK."""
    return KeyClient(
        VAULT, Credential(KVADMIN), transport=RequestsTransport(session=session, session_owner=False), retry_total=0
    )


def test_a_key_shows_what_is_public_of_it(cloud: Azure, keys: KeyClient) -> None:
    version = cloud.put_key("pay-prod", "signing", size=3072, expires_on=MAY, tags={"a": "b"})

    found = keys.get_key("signing")

    assert (found.key_type, found.properties.version, found.properties.expires_on) == ("RSA", version.id, MAY)
    assert (len(found.key.n), found.key.e, found.properties.tags) == (384, b"\x01\x00\x01", {"a": "b"})
    assert found.key_operations == ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]
    private = ("d", "p", "q", "dp", "dq", "qi", "k", "t")
    assert [getattr(found.key, part, None) for part in private] == [None] * 8


@pytest.mark.parametrize(("curve", "size"), [("P-256", 32), ("P-384", 48), ("P-521", 66), ("P-256K", 32)])
def test_an_elliptic_key_has_its_curve(cloud: Azure, keys: KeyClient, curve: str, size: int) -> None:
    cloud.put_key("pay-prod", "curved", kty="EC-HSM", curve=curve)

    found = keys.get_key("curved")

    assert (found.key_type, found.key.crv, len(found.key.x) <= size) == ("EC-HSM", curve, True)


def test_a_symmetric_key_has_no_public_half(cloud: Azure, keys: KeyClient) -> None:
    cloud.put_key("pay-prod", "wrapping", kty="oct-HSM", size=256)

    found = keys.get_key("wrapping")

    assert (found.key_type, found.key.k, found.key.n) == ("oct-HSM", None, None)


def test_a_named_version_is_the_one_that_is_shown(cloud: Azure, keys: KeyClient) -> None:
    old = cloud.put_key("pay-prod", "turned", size=2048, at=MAY)
    cloud.put_key("pay-prod", "turned", size=4096, at=MAY + timedelta(days=1), enabled=False)

    assert (len(keys.get_key("turned", old.id).key.n), len(keys.get_key("TURNED").key.n)) == (256, 512)
    listed = {item.version: item.enabled for item in keys.list_properties_of_key_versions("turned")}
    assert (len(listed), listed[old.id]) == (2, True)


def test_a_list_of_keys_is_complete_and_in_pages(cloud: Azure, keys: KeyClient) -> None:
    for number in range(60):
        cloud.put_key("pay-prod", f"key-{number:02}", kty="EC")

    found = [item.name for item in keys.list_properties_of_keys()]

    assert found == [f"key-{number:02}" for number in range(60)]
    assert [row.operation for row in cloud.log].count("KeyList") == 3


def test_a_rotation_policy_is_the_keys_own_or_azures(cloud: Azure, keys: KeyClient) -> None:
    cloud.put_key("pay-prod", "plain")
    rotate = {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}
    cloud.put_key("pay-prod", "turning", rotation={"lifetimeActions": [rotate], "attributes": {"expiryTime": "P2Y"}})

    plain, turning = keys.get_key_rotation_policy("plain"), keys.get_key_rotation_policy("turning")

    assert [(action.action, action.time_before_expiry) for action in plain.lifetime_actions] == [("Notify", "P30D")]
    assert [(action.action, action.time_after_create) for action in turning.lifetime_actions] == [("Rotate", "P90D")]
    assert turning.expires_in == "P2Y"


def test_an_unknown_key_is_not_found_and_has_no_versions(keys: KeyClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        keys.get_key("unknown")

    assert caught.value.error is not None
    assert (caught.value.error.code, list(keys.list_properties_of_key_versions("unknown"))) == ("KeyNotFound", [])


def test_the_log_names_the_operation_and_the_key_without_a_version(cloud: Azure, keys: KeyClient) -> None:
    cloud.put_key("pay-prod", "Signing")
    keys.get_key("signing")
    list(keys.list_properties_of_key_versions("signing"))
    keys.get_key_rotation_policy("signing")

    assert [(row.operation, row.object_id_url) for row in cloud.log if row.status == 200] == [
        ("KeyGet", f"{VAULT}/keys/Signing"),
        ("KeyListVersions", ""),
        ("KeyRotationPolicyGet", f"{VAULT}/keys/Signing"),
    ]


def test_a_right_to_secrets_is_none_to_keys(cloud: Azure, keys: KeyClient) -> None:
    cloud.put_key("pay-prod", "signing")
    cloud.revoke(KVADMIN)
    cloud.grant(KVADMIN, "Key Vault Secrets Officer", f"/subscriptions/{SUBSCRIPTION}")

    with pytest.raises(HttpResponseError) as caught:
        keys.get_key("signing")

    assert "Action: 'Microsoft.KeyVault/vaults/keys/read'" in caught.value.message
    assert "/vaults/pay-prod/keys/signing'" in caught.value.message


def test_an_access_policy_names_each_kind_by_itself(cloud: Azure, wire: Wire) -> None:
    cloud.add_vault("old", subscription_id=SUBSCRIPTION, rbac=False)
    cloud.put_key("old", "signing")
    cloud.grant_access_policy(KVADMIN, "old", ["all", "keys/list"])
    address = "https://old.vault.azure.net"

    listed, read = wire.call("GET", "/keys", vault=address), wire.call("GET", "/keys/signing", vault=address)

    assert (listed.status_code, read.status_code) == (200, 403)
    assert "does not have keys get permission on key vault 'old;" in read.json()["error"]["message"]
