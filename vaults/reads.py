"""Reads that kvadmin makes for somebody without showing them the value: to compare it, or to copy it elsewhere."""

from __future__ import annotations

from audit import ledger
from kvadmin.actions import Action
from kvadmin.gateway import keyvault
from kvadmin.gateway.keyvault import Read
from vaults.models import Secret


def read_unseen(
    action: Action, actor: ledger.Actor, secret: Secret, *, version: str = "", reason: str, note: str
) -> Read:
    """Read one value, on record before and after; `note` says what for. The caller has asked policy.

    An empty `version` is the latest. Requires secrets/get on the vault. Raises LedgerUnavailable or a GatewayError;
    neither carries the value.
    """
    target = ledger.Target(secret.vault.name, secret.key, version)
    with ledger.attempt(action, actor, target, reason=reason) as act:
        return read_begun(act, secret, version=version, note=note)


def read_begun(act: ledger.Attempt, secret: Secret, *, version: str = "", note: str) -> Read:
    """The same, for an act whose intent is on record; the caller closes it if this raises."""
    read = keyvault.get_secret(secret.vault.uri, secret.name, version, act_id=str(act.id))
    act.read(version=read.properties.version, request_id=read.request_id, region=read.region, note=note)
    return read
