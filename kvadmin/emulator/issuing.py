"""Makes keys and certificates for a fake cloud. The same version id always gives the same public key, and nothing is
ever signed by it: an emulated authority signs every certificate, so that no private key needs to be kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, TypedDict
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kvadmin.emulator.objects import CertificateVersion, KeyVersion, seconds
from kvadmin.emulator.store import Version

PFX = "application/x-pkcs12"
CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
    "P-256K": ec.SECP256K1(),
}
OPERATIONS = {
    "RSA": ("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"),
    "EC": ("sign", "verify"),
    "oct": ("wrapKey", "unwrapKey", "encrypt", "decrypt"),
}
AUTHORITY = "CN=Emulated Authority R1,O=Emulated Authority,C=NL"
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class KeyFacts(TypedDict, total=False):
    """What can be said of a key; `at` is when the version was made."""

    kty: str
    size: int
    curve: str
    operations: Sequence[str]
    enabled: bool
    not_before: datetime | None
    expires_on: datetime | None
    tags: Mapping[str, str] | None
    exportable: bool | None
    rotation: dict[str, Any] | None
    at: datetime | None
    version_id: str


class CertificateFacts(TypedDict, total=False):
    """What can be said of a certificate; `at` is when the version was made, and it is valid from then on.

    `issuer` is the name of the vault's issuer: "Self", "Unknown" or a certificate authority. `actions` are pairs such
    as ("AutoRenew", {"days_before_expiry": 30}).
    """

    subject: str
    dns_names: Sequence[str]
    issuer: str
    kty: str
    size: int
    curve: str
    months: int
    expires_on: datetime | None
    actions: Sequence[tuple[str, Mapping[str, int]]]
    exportable: bool
    reuse_key: bool
    content_type: str
    enabled: bool
    tags: Mapping[str, str] | None
    at: datetime | None
    version_id: str
    value: str


@dataclass(frozen=True)
class Made:
    """A certificate's version with the key and the secret that come with it, and the policy that it was made by."""

    version: CertificateVersion
    key: KeyVersion
    secret: Version
    policy: dict[str, Any]


def make_key(now: datetime, facts: KeyFacts) -> KeyVersion:
    """A version of a key."""
    kty, curve = facts.get("kty", "RSA"), facts.get("curve", "")
    if kty.startswith("EC"):
        curve = curve or "P-256"
    return KeyVersion(
        int((facts.get("at") or now).timestamp()),
        kty,
        0 if curve else facts.get("size", 2048),
        curve,
        tuple(facts.get("operations", OPERATIONS[kty.removesuffix("-HSM")])),
        facts.get("enabled", True),
        seconds(facts.get("not_before")),
        seconds(facts.get("expires_on")),
        _tags(facts.get("tags")),
        facts.get("exportable"),
        facts.get("version_id") or uuid4().hex,
    )


def _tags(tags: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if tags is None else dict(tags)


def public_key(version: KeyVersion) -> PublicKey:
    """The public half, which the version's id decides. Nobody has the other one: an RSA modulus here has no factors."""
    if version.curve:
        curve = CURVES[version.curve]
        number = int.from_bytes(hashlib.sha256(version.id.encode()).digest()) % (2**250) + 1
        return ec.derive_private_key(number, curve).public_key()
    size = version.size
    drawn = int.from_bytes(hashlib.shake_256(version.id.encode()).digest(size // 8))
    return rsa.RSAPublicNumbers(65537, drawn | 1 | 1 << (size - 1)).public_key()


def make_certificate(now: datetime, name: str, facts: CertificateFacts) -> Made:
    """A version of a certificate, valid for `months` unless `expires_on` says otherwise."""
    begins = (facts.get("at") or now).replace(microsecond=0)
    ends = facts.get("expires_on") or begins + timedelta(days=30 * facts.get("months", 12))
    version_id = facts.get("version_id") or uuid4().hex
    key = make_key(now, _key_facts(facts, begins, ends, version_id))
    der = _der(name, facts, public_key(key), begins, ends, version_id)
    dates = (int(begins.timestamp()), int(ends.timestamp()))
    kind, tags, enabled = facts.get("content_type", PFX), _tags(facts.get("tags")), facts.get("enabled", True)
    made = CertificateVersion(dates[0], der, version_id, enabled, *dates, tags, kind)
    value = facts.get("value", "not a real certificate")
    secret = Version(value, dates[0], kind, tags, enabled, *dates, id=version_id)
    return Made(made, key, secret, _policy(name, facts, key))


def _key_facts(facts: CertificateFacts, begins: datetime, ends: datetime, version_id: str) -> KeyFacts:
    return {
        "kty": facts.get("kty", "RSA"),
        "size": facts.get("size", 2048),
        "curve": facts.get("curve", ""),
        "enabled": facts.get("enabled", True),
        "not_before": begins,
        "expires_on": ends,
        "tags": facts.get("tags"),
        "exportable": facts.get("exportable", True),
        "at": begins,
        "version_id": version_id,
    }


def _subject(name: str, facts: CertificateFacts) -> str:
    return facts.get("subject") or f"CN={name}"


def _der(
    name: str, facts: CertificateFacts, public: PublicKey, begins: datetime, ends: datetime, version_id: str
) -> bytes:
    """The certificate itself. One that is issued by "Self" names itself as its issuer."""
    subject = x509.Name.from_rfc4514_string(_subject(name, facts))
    issuer = subject if facts.get("issuer", "Self") == "Self" else x509.Name.from_rfc4514_string(AUTHORITY)
    builder = x509.CertificateBuilder(
        issuer, subject, public, int(version_id, 16) >> 8 or 1, begins.astimezone(UTC), ends.astimezone(UTC)
    )
    names: list[x509.GeneralName] = [_general(text) for text in facts.get("dns_names", ())]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signer = ec.derive_private_key(1_000_003, ec.SECP256R1())
    signed = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    return signed.public_bytes(serialization.Encoding.DER)


def _general(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _policy(name: str, facts: CertificateFacts, key: KeyVersion) -> dict[str, Any]:
    """The policy's body. What a key type does not have is left out, as Azure does."""
    size = {"crv": key.curve} if key.curve else {"key_size": key.size}
    x509_props: dict[str, Any] = {
        "subject": _subject(name, facts),
        "ekus": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
        "key_usage": ["digitalSignature", "keyEncipherment"],
        "validity_months": facts.get("months", 12),
        "basic_constraints": {"ca": False},
    }
    names = list(facts.get("dns_names", ()))
    x509_props |= {"sans": {"dns_names": names}} if names else {}
    actions = facts.get("actions", (("AutoRenew", {"lifetime_percentage": 80}),))
    return {
        "key_props": {
            "exportable": facts.get("exportable", True),
            "kty": key.kty,
            **size,
            "reuse_key": facts.get("reuse_key", False),
        },
        "secret_props": {"contentType": facts.get("content_type", PFX)},
        "x509_props": x509_props,
        "lifetime_actions": [{"trigger": dict(when), "action": {"action_type": what}} for what, when in actions],
        "issuer": {"name": facts.get("issuer", "Self")},
        "attributes": {"enabled": True, "created": key.created, "updated": key.created},
    }
