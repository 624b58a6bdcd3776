"""The operations on keys that read: lists, versions, one key, its rotation policy. Only what is public leaves."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from kvadmin.emulator import answers, rules
from kvadmin.emulator.calls import Call, list_answer, marker_of, operation
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.issuing import public_key
from kvadmin.emulator.objects import Key, KeyVersion
from kvadmin.emulator.resources import Vault
from kvadmin.emulator.store import page

READ_KEYS = "Microsoft.KeyVault/vaults/keys/read"
READ_ROTATION = "Microsoft.KeyVault/vaults/keyrotationpolicies/read"


def list_keys(call: Call) -> Response:
    """A page of keys by name."""
    size = rules.page_size(call.request)
    names, following = page(sorted(call.vault.keys), marker_of(call.request)[0], size)
    items = [_item(call.vault, key, key.latest, "") for name in names if (key := call.vault.keys[name])]
    return list_answer(call, items, {"NextMarker": following} if following else None, size)


def list_versions(call: Call) -> Response:
    """A page of a key's versions by their id; an unknown key has none."""
    size = rules.page_size(call.request)
    key = call.vault.keys.get(call.name.lower())
    versions = key.versions if key else {}
    ids, following = page(sorted(versions), marker_of(call.request)[0], size)
    items = [_item(call.vault, key, versions[id], f"/{id}") for id in ids] if key else []  # noqa: A001
    return list_answer(call, items, {"NextMarker": following} if following else None, size)


def get_key(call: Call) -> Response:
    """The public part of a key, with its attributes."""
    key = _key(call)
    version = key.versions.get(call.version.lower()) if call.version else key.latest
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
    shown = {"kid": f"{vault.uri}keys/{key.name}{suffix}", **_shown(vault, key, version)}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode()


def _shown(vault: Vault, key: Key, version: KeyVersion) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "attributes": attributes(vault, version) | _exportable(version),
        "tags": version.tags,
        "managed": key.managed or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _exportable(version: KeyVersion) -> dict[str, Any]:
    return {} if version.exportable is None else {"exportable": version.exportable}


def attributes(vault: Vault, version: Any) -> dict[str, Any]:
    """The attributes of a version of a key or of a certificate; what is not set is left out."""
    fields = {
        "enabled": version.enabled,
        "nbf": version.not_before,
        "exp": version.expires_on,
        "created": version.created,
        "updated": version.created,
        "recoveryLevel": vault.recovery_level,
        "recoverableDays": vault.soft_delete_days,
    }
    return {name: value for name, value in fields.items() if value is not None}


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
