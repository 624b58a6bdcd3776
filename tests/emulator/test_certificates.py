from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.secrets import SecretClient
from cryptography import x509

from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import SUBSCRIPTION, VAULT, Credential

START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def certificates(session: requests.Session) -> CertificateClient:
    """The unchanged SDK."""
    return CertificateClient(
        VAULT, Credential(KVADMIN), transport=RequestsTransport(session=session, session_owner=False), retry_total=0
    )


def test_a_certificate_is_one_and_shows_no_private_key(cloud: Azure, certificates: CertificateClient) -> None:
    cloud.put_certificate("pay-prod", "tls", subject="CN=pay.example,O=Fernhill", dns_names=["pay.example"], at=START)

    found = certificates.get_certificate("tls")

    read = x509.load_der_x509_certificate(bytes(found.cer or b""))
    assert (read.subject.rfc4514_string(), read.not_valid_before_utc) == ("CN=pay.example,O=Fernhill", START)
    assert (
        bytes(found.properties.x509_thumbprint or b"")
        == hashlib.sha1(bytes(found.cer or b""), usedforsecurity=False).digest()
    )
    assert b"PRIVATE" not in bytes(found.cer or b"")


def test_the_newest_certificate_comes_with_its_policy(cloud: Azure, certificates: CertificateClient) -> None:
    cloud.put_certificate(
        "pay-prod",
        "tls",
        subject="CN=pay.example",
        dns_names=["pay.example"],
        issuer="DigiCert",
        kty="EC",
        curve="P-384",
        months=6,
        actions=[("EmailContacts", {"days_before_expiry": 30})],
    )

    policy = certificates.get_certificate("tls").policy
    alone = certificates.get_certificate_policy("tls")

    assert policy is not None
    assert (policy.issuer_name, policy.key_type, policy.key_curve_name, policy.validity_in_months) == (
        "DigiCert",
        "EC",
        "P-384",
        6,
    )
    assert policy.lifetime_actions is not None
    assert [(action.action, action.days_before_expiry) for action in policy.lifetime_actions] == [("EmailContacts", 30)]
    assert (alone.subject, alone.san_dns_names) == ("CN=pay.example", ["pay.example"])


def test_an_old_version_can_be_seen_by_its_id(cloud: Azure, certificates: CertificateClient) -> None:
    old = cloud.put_certificate("pay-prod", "tls", at=START, months=3)
    cloud.put_certificate("pay-prod", "tls", at=START + timedelta(days=80), months=3)

    found = certificates.get_certificate_version("tls", old.id)
    listed = {item.version for item in certificates.list_properties_of_certificate_versions("tls")}

    assert (found.properties.version, found.properties.expires_on) == (old.id, START + timedelta(days=90))
    assert (len(listed), old.id in listed) == (2, True)


def test_the_key_and_the_secret_of_a_certificate_belong_to_it(
    cloud: Azure, certificates: CertificateClient, client: SecretClient
) -> None:
    cloud.put_certificate("pay-prod", "tls", at=START, tags={"a": "b"})

    found, secret = certificates.get_certificate("tls"), client.get_secret("tls")

    assert (found.secret_id, found.key_id) == (secret.id, secret.properties.key_id)
    assert (secret.properties.managed, secret.properties.content_type) == (True, "application/x-pkcs12")
    assert (secret.properties.expires_on, secret.properties.tags) == (found.properties.expires_on, {"a": "b"})
    with pytest.raises(HttpResponseError) as caught:
        client.set_secret("tls", "x")
    assert caught.value.error is not None
    assert caught.value.error.innererror == {"code": "SecretManagedByKeyVault"}


def test_a_list_of_certificates_is_complete_and_in_pages(cloud: Azure, certificates: CertificateClient) -> None:
    for number in range(30):
        cloud.put_certificate("pay-prod", f"tls-{number:02}")

    found = [item.name for item in certificates.list_properties_of_certificates()]

    assert found == [f"tls-{number:02}" for number in range(30)]
    assert [row.operation for row in cloud.log].count("CertificateList") == 2


def test_an_unknown_certificate_is_not_found_and_has_no_versions(certificates: CertificateClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        certificates.get_certificate("unknown")

    listed = list(certificates.list_properties_of_certificate_versions("unknown"))
    assert caught.value.error is not None
    assert (caught.value.error.code, listed) == ("CertificateNotFound", [])


def test_the_log_names_the_operation_and_the_certificate(cloud: Azure, certificates: CertificateClient) -> None:
    made = cloud.put_certificate("pay-prod", "tls")
    certificates.get_certificate("tls")
    certificates.get_certificate_policy("tls")

    assert [(row.operation, row.object_id_url) for row in cloud.log if row.status == 200] == [
        ("CertificateGet", f"{VAULT}/certificates/tls/{made.id}"),
        ("CertificatePolicyGet", f"{VAULT}/certificates/tls"),
    ]


def test_a_right_to_keys_is_none_to_certificates(cloud: Azure, certificates: CertificateClient) -> None:
    cloud.put_certificate("pay-prod", "tls")
    cloud.revoke(KVADMIN)
    cloud.grant(KVADMIN, "Key Vault Secrets Officer", f"/subscriptions/{SUBSCRIPTION}")

    with pytest.raises(HttpResponseError) as caught:
        list(certificates.list_properties_of_certificates())

    assert "Action: 'Microsoft.KeyVault/vaults/certificates/read'" in caught.value.message


def test_the_same_version_is_the_same_certificate_each_time(cloud: Azure) -> None:
    facts = {"subject": "CN=a", "at": START, "version_id": "5" * 32}

    first = cloud.put_certificate("pay-prod", "a", **facts)  # type: ignore[arg-type]
    second = cloud.put_certificate("pay-prod", "a", **facts)  # type: ignore[arg-type]

    assert first.der == second.der
