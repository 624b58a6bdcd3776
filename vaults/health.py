"""What kvadmin met when it listed a vault: remembered with since-when and what to do."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from audit.coverage import remember_retention
from kvadmin.gateway.diagnostics import Diagnostics
from kvadmin.gateway.errors import GatewayError
from vaults import described
from vaults.models import Health, LogState, Vault

# Every code that is a word of Health stands for itself; these are near enough to one of its words.
_NEAR = {"timeout": Health.UNREACHABLE, "policy": Health.ACCESS_POLICY, "not-found": Health.DNS}
_WORDS = set(Health.values)
_FIELDS = ["health", "health_since", "health_note", "checked_at"]


def health_of(error: GatewayError) -> Health:
    """The word for an error of the gateway; OTHER for one that says nothing about the vault."""
    return Health(error.code) if error.code in _WORDS else _NEAR.get(error.code, Health.OTHER)


def listed(vault: Vault, secrets: int, now: datetime) -> None:
    """The vault was listed to its end, and holds this many secrets."""
    vault.listed_at, vault.secret_count = now, secrets
    _note(vault, Health.OK, "", now)
    vault.save(update_fields=[*_FIELDS, "listed_at", "secret_count"])


def failed(vault: Vault, error: GatewayError, now: datetime) -> None:
    """The listing failed, perhaps in the middle: what is known of the vault stays, as of `listed_at`."""
    _note(vault, health_of(error), f"{error.lasting} {error.advice}", now)
    vault.save(update_fields=_FIELDS)


def _note(vault: Vault, health: Health, note: str, now: datetime) -> None:
    """`health_since` moves only when the word changes: it says for how long the vault has been like this."""
    if vault.health != health or vault.health_since is None:
        vault.health, vault.health_since = health, now
    vault.health_note, vault.checked_at = note[:300], now


def logged(vault: Vault, found: Diagnostics) -> None:
    """Where the vault's access log goes, written when it differs from what is known."""
    before = vault.log_state, vault.workspace_id
    vault.log_state, vault.workspace_id = LogState(found.state), found.workspace_id
    if (vault.log_state, vault.workspace_id) != before:
        vault.save(update_fields=["log_state", "workspace_id"])
    described.keep_settings(vault, found, timezone.now())
    remember_retention(found.workspace_id, found.retention_days)
