"""What a whole-vault backup asks Azure for, secret by secret, and what it makes of a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from audit.ledger import Attempt
from kvadmin.gateway import backups as gateway
from kvadmin.gateway import keyvault
from kvadmin.gateway.backups import TOO_MANY_VERSIONS, Backup
from kvadmin.gateway.errors import error_for
from kvadmin.gateway.keyvault import SecretProperties
from vaults.models import BatchItem

# Codes that meet every secret of the vault alike.
WIDE = frozenset({"rbac", "access-policy", "policy", "denied", "firewall", "private-link", "dns", "credential"})
HEALS = frozenset({"server", "timeout", "unreachable", "bad-answer"})
SKIPS = {
    "managed": "It belongs to a certificate: back the certificate up, and its secret comes with it.",
    "too-many-versions": f"It has more than {TOO_MANY_VERSIONS} versions, and Azure backs up no more.",
    "disabled": "It is disabled, and Azure did not give its backup out.",
    "not-found": "It was deleted while the backup ran.",
}


class TooManyVersions(Exception):
    """Azure would refuse the backup, or let it time out."""

    code = "too-many-versions"


@dataclass(slots=True)
class Flight:
    """One secret that Azure was asked for."""

    item: BatchItem
    act: Attempt
    tries: int = 1


Answer = tuple[list[SecretProperties], Backup]


def fetch(vault_uri: str, name: str, act_id: str) -> Answer:
    """The versions, which tell what must be there again after a restore, and the backup itself. In a thread.

    The versions come first: one that is made in between is in the backup and not in the list, and not the other way
    round, so that a restore is never said to lack something that the backup never had. Raises TooManyVersions or a
    GatewayError.
    """
    listed = keyvault.list_properties_of_secret_versions(vault_uri, name, most=TOO_MANY_VERSIONS)
    if listed.cut:
        raise TooManyVersions
    if not listed.versions:
        raise error_for("not-found")
    return listed.versions, gateway.backup_secret(vault_uri, name, act_id=act_id)
