"""The operations on keys that read: lists, versions, one key, its rotation policy. Only what is public leaves."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from kvadmin.emulator import answers
from kvadmin.emulator.bundles import attributes, dump, present
from kvadmin.emulator.calls import Call, operation, page_answer
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.issuing import public_key
from kvadmin.emulator.objects import Key, KeyVersion
from kvadmin.emulator.resources import Vault

READ_KEYS = "Microsoft.KeyVault/vaults/keys/read"
READ_ROTATION = "Microsoft.KeyVault/vaults/keyrotationpolicies/read"


def list_keys(call: Call) -> Response:
    """A page of keys by name."""
    return page_answer(call, call.vault.keys, lambda key: _item(call.vault, key, key.latest, ""))


def list_versions(call: Call) -> Response:
    """A page of a key's versions by their id; an unknown key has none."""
    key = call.vault.keys.get(call.name.lower()) or Key(call.name)
    return page_answer(call, key.versions, lambda version: _item(call.vault, key, version, f"/{version.id}"))


def get_key(call: Call) -> Response:
    """The public part of a key, with its attributes."""
    key = _key(call)
    version = key.version(call.version)
    if version is None:
        raise answers.not_found("key", f"{call.name}/{call.version}")
    call.object_id = f"{call.vault.uri}keys/{key.name}"  # without the version, even on success
    jwk = {
        "kid": f"{call.vault.uri}keys/{key.name}/{version.id}",
        "kty": version.kty,
        "key_ops": list(version.operations),
        **_public(version),
    }
    return json_response(200, {"key": jwk, **_shown(call.vault, key, version)})


def get_rotation_policy(call: Call) -> Response:
    """A key's rotation policy; Azure has one for every key, that does no more than notify unless somebody set it."""
    key = _key(call)
    call.object_id = f"{call.vault.uri}keys/{key.name}"
    notify = {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}
    body = key.rotation or {"lifetimeActions": [notify], "attributes": {}}
    return json_response(200, {"id": f"{call.vault.uri}keys/{key.name}/rotationpolicy", **body})


def _key(call: Call) -> Key:
    key = call.vault.keys.get(call.name.lower())
    if key is None:
        raise answers.not_found("key", call.name)
    return key


def _item(vault: Vault, key: Key, version: KeyVersion, suffix: str) -> bytes:
    return dump({"kid": f"{vault.uri}keys/{key.name}{suffix}", **_shown(vault, key, version)})


def _shown(vault: Vault, key: Key, version: KeyVersion) -> dict[str, Any]:
    return present(
        attributes=attributes(vault, version, version.created) | present(exportable=version.exportable),
        tags=version.tags,
        managed=key.managed or None,
    )


def _public(version: KeyVersion) -> dict[str, str]:
    if version.kty.startswith("oct"):
        return {}  # a symmetric key has no public half
    numbers = public_key(version).public_numbers()
    if isinstance(numbers, rsa.RSAPublicNumbers):
        return {"n": _text(numbers.n), "e": _text(numbers.e)}
    return {"crv": version.curve, "x": _text(numbers.x), "y": _text(numbers.y)}


def _text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).decode().rstrip("=")


OPERATIONS = (
    operation("KeyList", "GET", "/keys/?", READ_KEYS, "keys/list", list_keys),
    operation("KeyListVersions", "GET", "/keys/{n}/versions/?", READ_KEYS, "keys/list", list_versions),
    operation(
        "KeyRotationPolicyGet",
        "GET",
        "/keys/{n}/rotationpolicy/?",
        READ_ROTATION,
        "keys/getrotationpolicy",
        get_rotation_policy,
    ),
    operation("KeyGet", "GET", "/keys/{n}(?:/{v})?", READ_KEYS, "keys/get", get_key),
)
