"""Key Vault's keys: what is public of them. Azure never gives a private part out, and nothing here would take one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kvadmin.gateway.browsing import Common, Kind, Part, Versions, common, get, list_part, list_versions, text, unpadded
from kvadmin.gateway.classify import Need
from kvadmin.gateway.client import key_client
from kvadmin.gateway.keyvault import check_name

READER = "Key Vault Reader"
ROTATION = Need(READER, "getrotationpolicy", "key")
KEYS = Kind("keys", key_client, Need(READER, "list", "key"), Need(READER, "get", "key"))


@dataclass(frozen=True, slots=True)
class KeyProperties:
    """A key, or one version of it, as a list shows it. `managed`: it belongs to the certificate of the same name."""

    common: Common
    managed: bool


@dataclass(frozen=True, slots=True)
class Key:
    """One version of a key. `key_type` is Azure's word: RSA, EC, oct, with -HSM when hardware keeps it. RSA keys have a
    `size` in bits (0: Azure does not say), elliptic ones a `curve`."""

    common: Common
    managed: bool
    exportable: bool
    key_type: str
    size: int
    curve: str
    operations: tuple[str, ...]

    @property
    def hardware(self) -> bool:
        """Whether it is kept in hardware, which it never leaves."""
        return self.key_type.endswith("-HSM")


@dataclass(frozen=True, slots=True)
class RotationAction:
    """What Azure does by itself, "Rotate" or "Notify", and when: durations as ISO 8601 has them, such as P90D."""

    action: str
    after_creation: str
    before_expiry: str


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How a key is rotated; `expires_in` is how long a new version is valid, or ""."""

    actions: list[RotationAction]
    expires_in: str


def list_properties_of_keys(vault_uri: str, *, token: str = "", least: int = 100) -> Part[KeyProperties]:
    """A part of a vault's keys; see `browsing.list_part`."""
    return list_part(vault_uri, KEYS, token, least, _item)


def list_properties_of_key_versions(vault_uri: str, name: str) -> Versions[KeyProperties]:
    """The versions of a key, newest created first.

    Raises:
        GatewayError: "refused" when no key can have that name; nothing is sent then.
    """
    check_name(name)
    return list_versions(vault_uri, KEYS, name, _item)


def get_key(vault_uri: str, name: str, version: str = "") -> Key:
    """One version of a key, an empty `version` being the latest: what is public of it.

    Raises:
        GatewayError: "not-found" when there is no such key or version.
    """
    check_name(name, version)
    return get(vault_uri, KEYS, f"{name}/{version}", _key)


def get_key_rotation_policy(vault_uri: str, name: str) -> RotationPolicy:
    """How Azure rotates the key; every key has a policy, if only to notify.

    Raises:
        GatewayError: also when kvadmin may read the key and not its policy.
    """
    check_name(name)
    return get(vault_uri, KEYS, f"{name}/rotationpolicy", _rotation, ROTATION)


def _item(item: Mapping[str, Any]) -> KeyProperties:
    return KeyProperties(common(item["kid"], item), item.get("managed") is True)


def _key(body: dict[str, Any]) -> Key:
    jwk = body["key"]
    return Key(
        common(jwk["kid"], body),
        body.get("managed") is True,
        (body.get("attributes") or {}).get("exportable") is True,
        text(jwk.get("kty")),
        int.from_bytes(unpadded(jwk["n"])).bit_length() if isinstance(jwk.get("n"), str) else 0,
        text(jwk.get("crv")),
        tuple(text(operation) for operation in jwk.get("key_ops") or ()),
    )


def _rotation(body: dict[str, Any]) -> RotationPolicy:
    actions = [
        RotationAction(
            text(entry["action"].get("type")),
            text((entry.get("trigger") or {}).get("timeAfterCreate")),
            text((entry.get("trigger") or {}).get("timeBeforeExpiry")),
        )
        for entry in body.get("lifetimeActions") or ()
    ]
    return RotationPolicy(actions, text((body.get("attributes") or {}).get("expiryTime")))
