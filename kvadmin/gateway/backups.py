"""Azure's own backup of one secret: all of its versions in one text that only Azure opens.

It can be restored into any vault of the same subscription and geography, as long as the name is free there.
Azure counts a backup as a read of all versions (SecretBackup in its log), and kvadmin treats the text like a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvadmin.gateway.classify import Need
from kvadmin.gateway.errors import error_for
from kvadmin.gateway.keyvault import MOST_VERSIONS, check_name, properties_of
from kvadmin.gateway.paging import AT_ONCE, Patience
from kvadmin.gateway.values import SecretValue
from kvadmin.gateway.writing import OFFICER, SLOW_SECONDS, Order, Written, send

BACKUP = Need(OFFICER, "backup")
RESTORE = Need(OFFICER, "restore")
TOO_MANY_VERSIONS = MOST_VERSIONS  # above it Azure refuses a backup, or lets it time out


@dataclass(frozen=True, slots=True)
class Backup:
    """The text (`blob.expose()`), and Azure's evidence: the request id that its log shows, and the vault's region."""

    blob: SecretValue
    request_id: str
    region: str


def backup_secret(vault_uri: str, name: str, *, act_id: str, patience: Patience = AT_ONCE) -> Backup:
    """All versions of a secret as one opaque text, disabled ones too.

    Raises:
        GatewayError: with `request_id` set whenever an answer came. "refused" is what is known of a secret with more
            than TOO_MANY_VERSIONS versions, and "timeout" as well.
    """
    check_name(name)
    order = Order("POST", f"/secrets/{name}/backup", BACKUP, act_id, _blob, seconds=SLOW_SECONDS)
    answer = send(vault_uri, order, patience)
    return Backup(answer.found, answer.request_id, answer.region)


def _blob(body: dict[str, Any]) -> SecretValue:
    text = body.get("value")
    if not isinstance(text, str) or not text:
        raise error_for("bad-answer", status=200)
    return SecretValue(text)


def restore_secret_backup(vault_uri: str, blob: SecretValue, *, act_id: str, patience: Patience = AT_ONCE) -> Written:
    """Put a secret back with all of its versions, under the name that it had; the newest one's properties come back.

    Raises:
        GatewayError: "conflict" when the name is taken, by a live secret, a deleted one or one being deleted;
            "bad-backup" when Azure can't open the text; "refused" is what is known of another subscription or
            geography; `definite` False when it may be restored all the same.
    """
    order = Order(
        "POST",
        "/secrets/restore",
        RESTORE,
        act_id,
        properties_of,
        lambda: {"value": blob.expose()},
        private=True,
        seconds=SLOW_SECONDS,
    )
    answer = send(vault_uri, order, patience)
    return Written(answer.found, answer.request_id, answer.region)
