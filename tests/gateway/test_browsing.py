"""Keys and certificates: what is public of them, in parts, and nothing more."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway import certificates, keys
from kvadmin.gateway.browsing import MOST_CALLS
from kvadmin.gateway.certificates import LifetimeAction, get_certificate, list_properties_of_certificates
from kvadmin.gateway.errors import BadAnswer, Blocked, Denied, GatewayError, NotFound, Refused
from kvadmin.gateway.keys import (
    RotationAction,
    get_key,
    get_key_rotation_policy,
    list_properties_of_key_versions,
    list_properties_of_keys,
)
from tests.gateway.conftest import SUBSCRIPTION

START = datetime(2026, 5, 1, tzinfo=UTC)
CANARY = "cHJpdmF0ZS1jYW5hcnk"  # base64url, as the parts of a key are


def key_names(vault: Vault, **options: Any) -> tuple[list[str], str]:
    part = list_properties_of_keys(vault.uri, **options)
    return [item.common.name for item in part.items], part.token


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({}, ("RSA", 2048, "")),
        ({"kty": "RSA-HSM", "size": 4096}, ("RSA-HSM", 4096, "")),
        ({"kty": "EC", "curve": "P-521"}, ("EC", 0, "P-521")),
        ({"kty": "EC-HSM", "curve": "P-256K"}, ("EC-HSM", 0, "P-256K")),
        ({"kty": "oct-HSM", "size": 256}, ("oct-HSM", 0, "")),
    ],
)
def test_a_key_shows_its_type_and_its_size_or_curve(azure: Azure, vault: Vault, facts: Any, shown: Any):
    azure.put_key("pay-prod", "signing", **facts)

    found = get_key(vault.uri, "signing")

    assert (found.key_type, found.size, found.curve) == shown


def test_a_key_shows_what_it_is_for_and_until_when(azure: Azure, vault: Vault):
    made = azure.put_key(
        "pay-prod",
        "signing",
        operations=["sign", "verify"],
        enabled=False,
        expires_on=START,
        tags={"a": "b"},
        exportable=True,
    )

    found = get_key(vault.uri, "Signing")

    assert (found.common.version, found.common.expires_on, found.common.enabled) == (made.id, START, False)
    assert (found.operations, found.common.tags, found.exportable, found.managed) == (
        ("sign", "verify"),
        {"a": "b"},
        True,
        False,
    )


def test_a_private_part_that_should_never_come_is_not_kept(scripted: Any, vault: Vault):
    private = dict.fromkeys(("d", "p", "q", "dp", "dq", "qi", "k", "key_hsm", "t"), CANARY)
    jwk = {"kid": f"{vault.uri}keys/signing/{'a' * 32}", "kty": "RSA", "n": "AQAB", "e": "AQAB", **private}
    scripted(lambda request: json_response(200, {"key": jwk, "attributes": {}}))

    assert CANARY not in repr(get_key(vault.uri, "signing"))


def test_the_rotation_of_a_key_is_azures_own_words(azure: Azure, vault: Vault):
    rotate = {"trigger": {"timeAfterCreate": "P90D"}, "action": {"type": "Rotate"}}
    azure.put_key("pay-prod", "turning", rotation={"lifetimeActions": [rotate], "attributes": {"expiryTime": "P2Y"}})
    azure.put_key("pay-prod", "plain")

    turning, plain = (get_key_rotation_policy(vault.uri, name) for name in ("turning", "plain"))

    assert (turning.actions, turning.expires_in) == ([RotationAction("Rotate", "P90D", "")], "P2Y")
    assert (plain.actions, plain.expires_in) == ([RotationAction("Notify", "", "P30D")], "")


@pytest.mark.parametrize("count", [0, 1, 25, 26])
def test_a_short_list_of_keys_is_one_part(azure: Azure, vault: Vault, count: int):
    for number in range(count):
        azure.put_key("pay-prod", f"key-{number:03}", kty="EC")

    assert key_names(vault) == ([f"key-{number:03}" for number in range(count)], "")


def test_a_long_list_comes_in_parts_and_no_part_asks_for_more_than_it_shows(azure: Azure, vault: Vault):
    for number in range(230):
        azure.put_key("pay-prod", f"key-{number:03}", kty="EC")

    first, token = key_names(vault)
    asked = [row.operation for row in azure.log].count("KeyList")
    second, token = key_names(vault, token=token)
    third, end = key_names(vault, token=token)

    assert (len(first), asked, len(second), len(third), end) == (100, 4, 100, 30, "")
    assert first + second + third == [f"key-{number:03}" for number in range(230)]


def test_empty_pages_before_the_end_are_no_end_and_not_followed_for_ever(scripted: Any, vault: Vault):
    asked: list[str] = []

    def answer(request: Any) -> Response:
        asked.append(request.query.get("$skiptoken", ""))
        link = f"https://pay-prod.vault.azure.net:443/keys?api-version=7.4&$skiptoken=t{len(asked)}&maxresults=25"
        return json_response(200, {"value": [], "nextLink": link})

    scripted(answer)

    assert key_names(vault) == ([], f"t{MOST_CALLS}")
    assert asked == ["", *(f"t{number}" for number in range(1, MOST_CALLS))]


@pytest.mark.parametrize(
    "link", ["https://evil.example/keys?$skiptoken=x", "https://pay-prod.vault.azure.net/keys?page=2"]
)
def test_a_next_page_elsewhere_or_without_a_token_is_a_bad_answer(scripted: Any, vault: Vault, link: str):
    scripted(lambda request: json_response(200, {"value": [], "nextLink": link}))

    with pytest.raises(BadAnswer):
        list_properties_of_keys(vault.uri)


@pytest.mark.parametrize(
    "token", ["not-azures", "x&api-version=1", "../secrets/db-password", "https://evil.example/", "%00"]
)
def test_a_made_up_token_asks_the_vaults_list_and_nothing_else(azure: Azure, vault: Vault, token: str):
    with pytest.raises(Refused):
        list_properties_of_keys(vault.uri, token=token)

    assert [row.operation for row in azure.log if row.operation != "Authentication"] == ["KeyList"]


def test_an_endless_token_is_not_sent(azure: Azure, vault: Vault):
    with pytest.raises(Refused):
        list_properties_of_keys(vault.uri, token="x" * 2_001)

    assert azure.log == []


def test_versions_come_newest_created_first(azure: Azure, vault: Vault):
    for day in (3, 1, 2):
        azure.put_key("pay-prod", "turned", kty="EC", at=START + timedelta(days=day))

    found = list_properties_of_key_versions(vault.uri, "turned")

    assert [item.common.created_on.day for item in found.items if item.common.created_on] == [4, 3, 2]
    assert ({len(item.common.version) for item in found.items}, found.cut) == ({32}, False)


def test_too_many_versions_are_cut_and_say_so(azure: Azure, vault: Vault):
    for _ in range(501):
        azure.put_key("pay-prod", "turned", kty="EC")

    found = list_properties_of_key_versions(vault.uri, "turned")

    assert (len(found.items), found.cut) == (500, True)


def test_a_certificate_shows_what_stands_in_it(azure: Azure, vault: Vault):
    made = azure.put_certificate(
        "pay-prod",
        "tls",
        subject="CN=pay.example,O=Fernhill",
        dns_names=["pay.example", "10.0.0.5"],
        issuer="DigiCert",
        size=4096,
        at=START,
        months=6,
    )

    found = get_certificate(vault.uri, "tls")

    assert found.x509 is not None
    assert (found.x509.subject, found.x509.issuer, found.x509.self_signed) == (
        "CN=pay.example, O=Fernhill",
        "CN=Emulated Authority R1, O=Emulated Authority, C=NL",
        False,
    )
    assert (found.x509.names, found.x509.key_type, found.x509.key_size) == (["pay.example", "10.0.0.5"], "RSA", 4096)
    assert (found.x509.signature, found.x509.sha256) == (
        "ecdsa-with-SHA256",
        hashlib.sha256(made.der).hexdigest().upper(),
    )
    assert (found.common.expires_on, found.common.version) == (START + timedelta(days=180), made.id)
    assert found.thumbprint == hashlib.sha1(made.der, usedforsecurity=False).hexdigest().upper()


def test_a_certificate_comes_with_its_policy(azure: Azure, vault: Vault):
    azure.put_certificate(
        "pay-prod",
        "tls",
        subject="CN=pay.example",
        dns_names=["pay.example"],
        kty="EC",
        curve="P-384",
        exportable=False,
        reuse_key=True,
        months=24,
        actions=[("AutoRenew", {"days_before_expiry": 30}), ("EmailContacts", {"lifetime_percentage": 80})],
    )

    policy = get_certificate(vault.uri, "tls").policy

    assert policy is not None
    assert (policy.issuer, policy.subject, policy.names, policy.validity_months) == (
        "Self",
        "CN=pay.example",
        ["pay.example"],
        24,
    )
    assert (policy.key_type, policy.key_size, policy.curve, policy.exportable, policy.reuse_key) == (
        "EC",
        0,
        "P-384",
        False,
        True,
    )
    assert policy.actions == [LifetimeAction("AutoRenew", 30, 0), LifetimeAction("EmailContacts", 0, 80)]


def test_an_old_version_has_no_policy(azure: Azure, vault: Vault):
    old = azure.put_certificate("pay-prod", "tls", at=START)
    azure.put_certificate("pay-prod", "tls", at=START + timedelta(days=300))

    found = get_certificate(vault.uri, "tls", old.id)

    assert (found.common.created_on, found.policy) == (START, None)
    assert found.x509 is not None
    assert found.x509.self_signed is True


@pytest.mark.parametrize("cer", ["", None, "AAAA"])
def test_a_certificate_that_cannot_be_read_is_shown_without(scripted: Any, vault: Vault, cer: str | None):
    body = {"id": f"{vault.uri}certificates/tls/{'a' * 32}", "cer": cer, "attributes": {"enabled": True}}
    scripted(lambda request: json_response(200, body))

    found = get_certificate(vault.uri, "tls")

    assert (found.common.name, found.x509, found.thumbprint, found.policy) == ("tls", None, "", None)


def test_a_list_of_certificates_has_thumbprints_and_asks_for_no_secret(azure: Azure, vault: Vault):
    made = azure.put_certificate("pay-prod", "tls")

    (found,) = list_properties_of_certificates(vault.uri).items
    get_certificate(vault.uri, "tls")

    assert found.thumbprint == hashlib.sha1(made.der, usedforsecurity=False).hexdigest().upper()
    assert {row.operation for row in azure.log} == {"Authentication", "CertificateList", "CertificateGet"}


def test_an_unknown_key_or_certificate_is_not_found(vault: Vault):
    for ask in (get_key, get_certificate, get_key_rotation_policy):
        with pytest.raises(NotFound):
            ask(vault.uri, "unknown")
    assert list_properties_of_key_versions(vault.uri, "unknown").items == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "a_b", "x" * 128])
def test_an_impossible_name_is_refused_before_anything_is_sent(azure: Azure, vault: Vault, name: str):
    asks = (get_key, get_certificate, get_key_rotation_policy, list_properties_of_key_versions)
    for ask in (*asks, certificates.list_properties_of_certificate_versions):
        with pytest.raises(Refused):
            ask(vault.uri, name)  # type: ignore[operator]
    assert azure.log == []


def test_a_refusal_names_the_role_or_the_permission_that_is_missing(azure: Azure, vault: Vault):
    azure.revoke(KVADMIN)
    azure.add_vault("old", subscription_id=SUBSCRIPTION, rbac=False)

    def refused(ask: Any, address: str) -> GatewayError:
        with pytest.raises(Denied) as caught:
            ask(address)
        return caught.value

    assert "the role Key Vault Reader on the vault" in refused(list_properties_of_keys, vault.uri).advice
    assert (
        "Add the key permission 'list' for" in refused(list_properties_of_keys, "https://old.vault.azure.net/").advice
    )
    assert "Add the certificate permission 'list' for" in (
        refused(list_properties_of_certificates, "https://old.vault.azure.net/").advice
    )


def test_a_closed_door_is_told_as_for_secrets(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("firewall"))

    for ask in (list_properties_of_keys, list_properties_of_certificates):
        with pytest.raises(Blocked):
            ask(vault.uri)


@pytest.mark.parametrize("body", [{}, {"key": {}}, {"key": {"kid": 5}}, [], {"key": {"kid": "nowhere"}}])
def test_an_answer_that_is_no_key_is_a_bad_one(scripted: Any, vault: Vault, body: Any):
    scripted(lambda request: json_response(200, body))

    with pytest.raises(BadAnswer):
        keys.get_key(vault.uri, "signing")
