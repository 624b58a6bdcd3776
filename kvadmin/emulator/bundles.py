"""Secrets as JSON: the forms in which Key Vault shows them. A key that is not set is left out, never null."""

from __future__ import annotations

import json
from typing import Any

from kvadmin.emulator.resources import Vault
from kvadmin.emulator.store import Deleted, Secret, Version


def bundle(vault: Vault, secret: Secret, version: Version, *, value: bool = False) -> dict[str, Any]:
    """One version; `value` only where Azure gives it out: the answers to set and get."""
    return present(
        value=version.value if value else None,
        contentType=version.content_type,
        id=version_id(vault, secret, version),
        managed=secret.managed or None,
        attributes=attributes(vault, version, version.updated),
        tags=version.tags,
        kid=version.kid,
    )


def deleted_bundle(vault: Vault, entry: Deleted) -> dict[str, Any]:
    """A deleted secret, with the id of its newest version."""
    return {**_deletion(vault, entry), **bundle(vault, entry.secret, entry.secret.latest)}


def deleted_item(vault: Vault, entry: Deleted) -> dict[str, Any]:
    """A deleted secret in a list: its id has no version."""
    return {**_deletion(vault, entry), **_item(vault, entry.secret, entry.secret.latest, "")}


def item(vault: Vault, secret: Secret) -> bytes:
    """A secret in a list, as JSON that is built once: its id has no version."""
    if secret.item is None:
        secret.item = dump(_item(vault, secret, secret.latest, ""))
    return secret.item


def version_item(vault: Vault, secret: Secret, version: Version) -> bytes:
    """A version in the list of a secret's versions, as JSON."""
    return dump(_item(vault, secret, version, f"/{version.id}"))


def secret_id(vault: Vault, name: str, *, collection: str = "secrets") -> str:
    """The id without a version."""
    return f"{vault.uri}{collection}/{name}"


def version_id(vault: Vault, secret: Secret, version: Version) -> str:
    """The id with the version."""
    return f"{secret_id(vault, secret.name)}/{version.id}"


def list_page(items: list[bytes], next_link: str | None) -> bytes:
    """A page; the last one has a null nextLink."""
    return b'{"value":[' + b",".join(items) + b'],"nextLink":' + json.dumps(next_link).encode() + b"}"


def _item(vault: Vault, secret: Secret, version: Version, suffix: str) -> dict[str, Any]:
    return present(
        contentType=version.content_type,
        id=secret_id(vault, secret.name) + suffix,
        managed=secret.managed or None,
        attributes=attributes(vault, version, version.updated),
        tags=version.tags,
    )


def attributes(vault: Vault, version: Any, updated: int) -> dict[str, Any]:
    """The attributes of a version, of whatever kind."""
    return present(
        enabled=version.enabled,
        nbf=version.not_before,
        exp=version.expires_on,
        created=version.created,
        updated=updated,
        recoveryLevel=vault.recovery_level,
        recoverableDays=vault.soft_delete_days,
    )


def _deletion(vault: Vault, entry: Deleted) -> dict[str, Any]:
    return {
        "recoveryId": secret_id(vault, entry.secret.name, collection="deletedsecrets"),
        "deletedDate": int(entry.deleted_on.timestamp()),
        "scheduledPurgeDate": int(entry.purge_on.timestamp()),
    }


def present(**fields: Any) -> dict[str, Any]:
    """The fields that are set."""
    return {key: value for key, value in fields.items() if value is not None}


def dump(obj: dict[str, Any]) -> bytes:
    """JSON as the service writes it into lists."""
    return json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode()
