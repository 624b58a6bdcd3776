"""Key Vault's certificates, and the policies that they are made by.

Their private keys are the values of their secrets, which nothing here asks for.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kvadmin.gateway.browsing import Common, Kind, Part, Versions, common, get, list_part, list_versions, text, unpadded
from kvadmin.gateway.classify import Need
from kvadmin.gateway.client import certificate_client
from kvadmin.gateway.keyvault import check_name

READER = "Key Vault Reader"
CERTIFICATES = Kind(
    "certificates", certificate_client, Need(READER, "list", "certificate"), Need(READER, "get", "certificate")
)


@dataclass(frozen=True, slots=True)
class CertificateProperties:
    """A certificate, or one version of it, as a list shows it; `thumbprint` is its SHA-1 in hex, "" when it has none
    yet."""

    common: Common
    thumbprint: str


@dataclass(frozen=True, slots=True)
class X509:
    """What stands in the certificate itself. Names are written as RFC 4514 has them, spaced; `serial` in hex."""

    subject: str
    issuer: str
    serial: str
    names: list[str]
    key_type: str
    key_size: int
    signature: str
    sha256: str

    @property
    def self_signed(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject == self.issuer


@dataclass(frozen=True, slots=True)
class LifetimeAction:
    """What Azure does by itself, "AutoRenew" or "EmailContacts", and when: one of the two numbers, the other is 0."""

    action: str
    days_before_expiry: int
    lifetime_percentage: int


@dataclass(frozen=True, slots=True)
class Policy:
    """How the next version is made. `issuer` is the vault's name of it: "Self", "Unknown" or an authority's."""

    issuer: str
    subject: str
    names: list[str]
    key_type: str
    key_size: int
    curve: str
    exportable: bool
    reuse_key: bool
    content_type: str
    validity_months: int
    key_usage: list[str]
    actions: list[LifetimeAction]


@dataclass(frozen=True, slots=True)
class Certificate:
    """One version of a certificate. `x509` is None when the certificate is not there yet or can't be read; `policy`
    is None for a version that was asked for by its id."""

    common: Common
    thumbprint: str
    content_type: str
    x509: X509 | None
    policy: Policy | None


def list_properties_of_certificates(
    vault_uri: str, *, token: str = "", least: int = 100
) -> Part[CertificateProperties]:
    """A part of a vault's certificates; see `browsing.list_part`."""
    return list_part(vault_uri, CERTIFICATES, token, least, _item)


def list_properties_of_certificate_versions(vault_uri: str, name: str) -> Versions[CertificateProperties]:
    """The versions of a certificate, newest created first.

    Raises:
        GatewayError: "refused" when no certificate can have that name; nothing is sent then.
    """
    check_name(name)
    return list_versions(vault_uri, CERTIFICATES, name, _item)


def get_certificate(vault_uri: str, name: str, version: str = "") -> Certificate:
    """One version of a certificate, an empty `version` being the latest, which comes with its policy.

    Raises:
        GatewayError: "not-found" when there is no such certificate or version.
    """
    check_name(name, version)
    return get(vault_uri, CERTIFICATES, f"{name}/{version}", _certificate)


def _item(item: Mapping[str, Any]) -> CertificateProperties:
    return CertificateProperties(common(item["id"], item), _thumbprint(item))


def _thumbprint(item: Mapping[str, Any]) -> str:
    return unpadded(item["x5t"]).hex().upper() if item.get("x5t") else ""


def _certificate(body: dict[str, Any]) -> Certificate:
    policy = body.get("policy")
    return Certificate(
        common(body["id"], body),
        _thumbprint(body),
        text(body.get("contentType")),
        _x509(base64.b64decode(body["cer"])) if body.get("cer") else None,
        _policy(policy) if isinstance(policy, dict) else None,
    )


def _x509(der: bytes) -> X509 | None:
    """What stands in it; None when it breaks a rule that its issuer did not mind."""
    try:
        found = x509.load_der_x509_certificate(der)
        key = found.public_key()
        signature = found.signature_algorithm_oid
        return X509(
            _written(found.subject),
            _written(found.issuer),
            f"{found.serial_number:X}",
            _names(found),
            _key_type(key),
            getattr(key, "key_size", 0),
            getattr(signature, "_name", "") or signature.dotted_string,
            hashlib.sha256(der).hexdigest().upper(),
        )
    except (ValueError, x509.UnsupportedGeneralNameType):
        return None


def _written(name: x509.Name) -> str:
    """The name as RFC 4514 has it, with a space after each comma, where a line can break."""
    return ", ".join(part.rfc4514_string() for part in reversed(name.rdns))


def _names(found: x509.Certificate) -> list[str]:
    """The alternative names: of hosts, addresses and people."""
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    plain = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return [str(name.value) for name in names if isinstance(name, plain)]


def _key_type(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _policy(policy: Mapping[str, Any]) -> Policy:
    key, certificate = policy.get("key_props") or {}, policy.get("x509_props") or {}
    return Policy(
        text((policy.get("issuer") or {}).get("name")),
        text(certificate.get("subject")),
        [text(name) for names in (certificate.get("sans") or {}).values() for name in names or ()],
        text(key.get("kty")),
        key.get("key_size") or 0,
        text(key.get("crv")),
        key.get("exportable") is True,
        key.get("reuse_key") is True,
        text((policy.get("secret_props") or {}).get("contentType")),
        certificate.get("validity_months") or 0,
        [text(usage) for usage in certificate.get("key_usage") or ()],
        [_action(entry) for entry in policy.get("lifetime_actions") or ()],
    )


def _action(entry: Mapping[str, Any]) -> LifetimeAction:
    trigger = entry.get("trigger") or {}
    return LifetimeAction(
        text((entry.get("action") or {}).get("action_type")),
        trigger.get("days_before_expiry") or 0,
        trigger.get("lifetime_percentage") or 0,
    )
