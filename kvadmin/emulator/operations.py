"""The operations on secrets, by the names that the audit log gives them; and the table of all operations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from kvadmin.emulator import answers, backup, certificates, keys, rules
from kvadmin.emulator.bundles import (
    bundle,
    deleted_bundle,
    deleted_item,
    dump,
    item,
    secret_id,
    version_id,
    version_item,
)
from kvadmin.emulator.calls import Call, list_answer, marker_of, operation, page_answer
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.roles import DATA_ACTION, GET, PURGE, READ_METADATA
from kvadmin.emulator.store import Secret, Version

BACKUP_VERSIONS = 500


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
    marker, skipped = marker_of(call.request)
    secrets, following = call.vault.secrets.page(marker, size)
    if call.vault.empty_pages and not following and not skipped:
        return list_answer(call, [], {"NextMarker": marker, "Skipped": True}, size)
    items = [item(call.vault, secret) for secret in secrets]
    return list_answer(call, items, {"NextMarker": following} if following else None, size)


def list_versions(call: Call) -> Response:
    """A page of a secret's versions by their id, so by chance; an unknown secret has none."""
    secret = call.vault.secrets.get(call.name) or Secret(call.name)
    return page_answer(call, secret.versions, lambda version: version_item(call.vault, secret, version))


def list_deleted(call: Call) -> Response:
    """A page of deleted secrets by name."""
    entries = {entry.secret.name.lower(): entry for entry in call.vault.secrets.all_deleted(call.now)}
    return page_answer(call, entries, lambda entry: dump(deleted_item(call.vault, entry)))


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


def _action(verb: str) -> str:
    return f"{DATA_ACTION}{verb}/action"


# The first that fits is meant, so "/secrets/restore" with POST comes before names.
OPERATIONS = (
    operation("SecretRestore", "POST", "/secrets/restore", _action("restore"), "restore", restore_secret),
    operation("SecretSet", "PUT", "/secrets/{n}", _action("setSecret"), "set", set_secret),
    operation("SecretList", "GET", "/secrets/?", READ_METADATA, "list", list_secrets),
    operation("SecretListVersions", "GET", "/secrets/{n}/versions/?", READ_METADATA, "list", list_versions),
    operation("SecretGet", "GET", "/secrets/{n}(?:/{v})?", GET, "get", get_secret),
    operation("SecretUpdate", "PATCH", "/secrets/{n}(?:/{v})?", _action("update"), "set", update_secret),
    operation("SecretBackup", "POST", "/secrets/{n}/backup", _action("backup"), "backup", backup_secret),
    operation("SecretDelete", "DELETE", "/secrets/{n}", DATA_ACTION + "delete", "delete", delete_secret),
    operation("SecretListDeleted", "GET", "/deletedsecrets/?", READ_METADATA, "list", list_deleted),
    operation("SecretGetDeleted", "GET", "/deletedsecrets/{n}", READ_METADATA, "get", get_deleted),
    operation("SecretPurge", "DELETE", "/deletedsecrets/{n}", PURGE, "purge", purge_secret),
    operation("SecretRecover", "POST", "/deletedsecrets/{n}/recover", _action("recover"), "recover", recover_secret),
    *keys.OPERATIONS,
    *certificates.OPERATIONS,
)
