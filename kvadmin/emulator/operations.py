"""The operations on secrets, by the names that the audit log gives them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from kvadmin.emulator import answers, backup, rules
from kvadmin.emulator.bundles import (
    bundle,
    deleted_bundle,
    deleted_item,
    item,
    list_page,
    secret_id,
    version_id,
    version_item,
)
from kvadmin.emulator.http import JSON_TYPE, Request, Response, json_response
from kvadmin.emulator.roles import DATA_ACTION, GET, PURGE, READ_METADATA
from kvadmin.emulator.state import Azure, Vault
from kvadmin.emulator.store import Deleted, Secret, Version, page

BACKUP_VERSIONS = 500


@dataclass
class Call:
    """One authorized request. `object_id` is what the audit log will name as the object, "" for nothing."""

    azure: Azure
    vault: Vault
    request: Request
    name: str
    version: str
    now: datetime
    endless: bool = False
    object_id: str = field(default="")

    @property
    def secret(self) -> Secret:
        """The live secret that is meant; raises the 404."""
        secret = self.vault.secrets.get(self.name)
        if secret is None or (secret.readable_from or self.now) > self.now:
            raise answers.secret_not_found(self.name)
        return secret

    @property
    def one_version(self) -> tuple[Secret, Version]:
        """The version that is meant, the newest without one; raises the 404."""
        secret = self.secret
        version = secret.versions.get(self.version.lower()) if self.version else secret.latest
        if version is None:
            raise answers.secret_not_found(f"{self.name}/{self.version}")
        return secret, version

    @property
    def deleted(self) -> Deleted:
        """The deleted secret that is meant; raises the 409 while Azure is not done deleting, and the 404."""
        entry = self.vault.secrets.deleted(self.name, self.now)
        if entry is None:
            raise answers.deleted_not_found(self.name)
        if entry.visible_from > self.now:
            raise answers.being_deleted(self.name)
        return entry


def _answer(call: Call, secret: Secret, version: Version, *, value: bool) -> Response:
    call.object_id = version_id(call.vault, secret, version)
    return json_response(200, bundle(call.vault, secret, version, value=value))


def set_secret(call: Call) -> Response:
    """A new version, which makes the secret if there is none."""
    body = rules.json_body(call.request)
    value, content_type, tags = rules.check_value(body), rules.check_content_type(body), rules.check_tags(body)
    attributes = rules.check_attributes(body)
    _refuse_taken_name(call)
    secret = call.vault.secrets.get(call.name) or Secret(call.name)
    if secret.managed:
        raise answers.managed("set")
    version = secret.add(Version(value, int(call.now.timestamp()), content_type, tags, **attributes))
    if len(secret.versions) == 1:
        call.vault.secrets.add(secret)
    return _answer(call, secret, version, value=True)


def _refuse_taken_name(call: Call) -> None:
    entry = call.vault.secrets.deleted(call.name, call.now)
    if call.vault.secrets.blocked(call.name, call.now) or (entry and entry.visible_from > call.now):
        raise answers.being_deleted(call.name)
    if entry:
        raise answers.deleted_but_recoverable(call.name)


def get_secret(call: Call) -> Response:
    """A value. Dates do not matter: an expired secret is served."""
    secret, version = call.one_version
    if not version.enabled:
        raise answers.disabled()
    return _answer(call, secret, version, value=True)


def update_secret(call: Call) -> Response:
    """New content type, tags or attributes of a version; what is not sent stays, and the value always does."""
    body = rules.json_body(call.request)
    content_type, tags = rules.check_content_type(body), rules.check_tags(body)
    changes = rules.check_attributes(body)
    changes |= {"content_type": content_type} if content_type is not None else {}
    changes |= {"tags": tags} if tags is not None else {}
    secret, version = call.one_version
    changed = replace(version, updated=int(call.now.timestamp()), **changes)
    secret.versions[version.id] = changed
    secret.item = None
    return _answer(call, secret, changed, value=False)


def list_secrets(call: Call) -> Response:
    """A page of secrets by name, which is no order that Azure promises."""
    size = rules.page_size(call.request)
    marker, skipped = _marker(call.request)
    secrets, following = call.vault.secrets.page(marker, size)
    if call.vault.empty_pages and not following and not skipped:
        return _page(call, [], {"NextMarker": marker, "Skipped": True}, size)
    items = [item(call.vault, secret) for secret in secrets]
    return _page(call, items, {"NextMarker": following} if following else None, size)


def list_versions(call: Call) -> Response:
    """A page of a secret's versions by their id, so by chance; an unknown secret has none."""
    size = rules.page_size(call.request)
    secret = call.vault.secrets.get(call.name)
    versions = secret.versions if secret else {}
    ids, following = page(sorted(versions), _marker(call.request)[0], size)
    items = [version_item(call.vault, secret, versions[key]) for key in ids] if secret else []
    return _page(call, items, {"NextMarker": following} if following else None, size)


def list_deleted(call: Call) -> Response:
    """A page of deleted secrets by name."""
    size = rules.page_size(call.request)
    entries = {entry.secret.name.lower(): entry for entry in call.vault.secrets.all_deleted(call.now)}
    names, following = page(sorted(entries), _marker(call.request)[0], size)
    items = [json.dumps(deleted_item(call.vault, entries[name])).encode() for name in names]
    return _page(call, items, {"NextMarker": following} if following else None, size)


def _page(call: Call, items: list[bytes], token: dict[str, Any] | None, size: int) -> Response:
    """A page with the link to the next one, port and all as Azure writes it; an endless list links to its start."""
    token = {"NextMarker": ""} if call.endless else token
    link = None
    if token is not None:
        skip = base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")
        version = call.request.query["api-version"]
        query = f"api-version={version}&$skiptoken={skip}&maxresults={size}"
        link = f"https://{call.vault.host}:443{call.request.path}?{query}"
    return Response(200, {"Content-Type": JSON_TYPE}, list_page(items, link))


def _marker(request: Request) -> tuple[str, bool]:
    """Where the page starts, and whether its empty predecessor was given already."""
    text = request.query.get("$skiptoken", "")
    if not text:
        return "", False
    try:
        token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return str(token["NextMarker"]), bool(token.get("Skipped"))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise answers.bad_parameter("The request URI contains an invalid $skiptoken.") from None


def delete_secret(call: Call) -> Response:
    """Delete; the answer comes before Azure is done."""
    if call.secret.managed:
        raise answers.managed("delete")
    keep = timedelta(days=call.vault.soft_delete_days)
    entry = call.vault.secrets.delete(call.name, call.now, call.azure.delete_delay, keep)
    return json_response(200, deleted_bundle(call.vault, entry))


def get_deleted(call: Call) -> Response:
    """A deleted secret; 404 until Azure is done deleting."""
    entry = call.vault.secrets.deleted(call.name, call.now)
    if entry is None or entry.visible_from > call.now:
        raise answers.deleted_not_found(call.name)
    return json_response(200, deleted_bundle(call.vault, entry))


def recover_secret(call: Call) -> Response:
    """Bring a deleted secret back with all of its versions."""
    if call.vault.secrets.get(call.name):
        raise answers.not_deleted(call.name)
    if call.vault.secrets.deleted(call.name, call.now) is None:
        raise answers.secret_not_found(call.name)
    name = call.deleted.secret.name
    secret = call.vault.secrets.recover(name, call.now + call.azure.recover_delay)
    return json_response(200, bundle(call.vault, secret, secret.latest))


def purge_secret(call: Call) -> Response:
    """Forget a deleted secret; its name stays blocked for a while."""
    name = call.deleted.secret.name
    if call.vault.purge_protection:
        raise answers.purge_protected()
    call.vault.secrets.purge(name, call.now + call.azure.purge_delay)
    return Response(204)


def backup_secret(call: Call) -> Response:
    """All versions in one opaque text."""
    secret = call.secret
    if len(secret.versions) > BACKUP_VERSIONS:
        raise answers.bad_parameter(f"A secret with more than {BACKUP_VERSIONS} versions cannot be backed up.")
    return json_response(200, {"value": backup.pack(secret, call.vault.subscription_id)})


def restore_secret(call: Call) -> Response:
    """A secret out of a backup made in the same subscription; its name must be free."""
    try:
        secret, subscription_id = backup.unpack(str(rules.json_body(call.request).get("value", "")))
    except ValueError:
        raise answers.malformed_backup() from None
    call.object_id = secret_id(call.vault, secret.name)
    if subscription_id != call.vault.subscription_id.lower():
        raise answers.bad_parameter("The backup was made in another subscription and cannot be restored here.")
    store = call.vault.secrets
    taken = store.get(secret.name) or store.deleted(secret.name, call.now) or store.blocked(secret.name, call.now)
    if taken:
        raise answers.restore_conflict(version_id(call.vault, secret, secret.latest))
    store.add(secret)
    return json_response(200, bundle(call.vault, secret, secret.latest))


@dataclass(frozen=True)
class Operation:
    """An operation: its name in the log, its place on the wire, and what a caller needs for it."""

    name: str
    method: str
    path: re.Pattern[str]
    data_action: str
    permission: str
    run: Callable[[Call], Response]


def _operation(
    name: str, method: str, path: str, data_action: str, permission: str, run: Callable[[Call], Response]
) -> Operation:
    pattern = path.replace("{n}", "(?P<name>[^/]*)").replace("{v}", "(?P<version>[^/]*)")
    return Operation(name, method, re.compile(pattern), data_action, permission, run)


def _action(verb: str) -> str:
    return f"{DATA_ACTION}{verb}/action"


# The first that fits is meant, so "/secrets/restore" with POST comes before names.
OPERATIONS = (
    _operation("SecretRestore", "POST", "/secrets/restore", _action("restore"), "restore", restore_secret),
    _operation("SecretSet", "PUT", "/secrets/{n}", _action("setSecret"), "set", set_secret),
    _operation("SecretList", "GET", "/secrets/?", READ_METADATA, "list", list_secrets),
    _operation("SecretListVersions", "GET", "/secrets/{n}/versions/?", READ_METADATA, "list", list_versions),
    _operation("SecretGet", "GET", "/secrets/{n}(?:/{v})?", GET, "get", get_secret),
    _operation("SecretUpdate", "PATCH", "/secrets/{n}(?:/{v})?", _action("update"), "set", update_secret),
    _operation("SecretBackup", "POST", "/secrets/{n}/backup", _action("backup"), "backup", backup_secret),
    _operation("SecretDelete", "DELETE", "/secrets/{n}", DATA_ACTION + "delete", "delete", delete_secret),
    _operation("SecretListDeleted", "GET", "/deletedsecrets/?", READ_METADATA, "list", list_deleted),
    _operation("SecretGetDeleted", "GET", "/deletedsecrets/{n}", READ_METADATA, "get", get_deleted),
    _operation("SecretPurge", "DELETE", "/deletedsecrets/{n}", PURGE, "purge", purge_secret),
    _operation("SecretRecover", "POST", "/deletedsecrets/{n}/recover", _action("recover"), "recover", recover_secret),
)
