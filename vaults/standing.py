"""How current a set of vaults is: what every list that may be incomplete says where it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from vaults.models import Health, LogState, Vault

BLIND = {LogState.NO_SETTING, LogState.NOT_TO_WORKSPACE, LogState.UNREADABLE}


@dataclass(slots=True)
class Standing:
    """Of some vaults: how many there are, how many could be listed, and as of when what is shown of those is true."""

    total: int = 0
    listed: int = 0
    unchecked: int = 0
    as_of: datetime | None = None  # the oldest of their last complete listings
    failed: list[Vault] = field(default_factory=list)
    blind: list[Vault] = field(default_factory=list)


def standing(vaults: QuerySet[Vault]) -> Standing:
    """Of these vaults, those left out that vanished. One query."""
    found = Standing()
    for vault in vaults.filter(vanished_at=None).defer("tags").order_by("name"):
        found.total += 1
        if vault.log_state in BLIND:
            found.blind.append(vault)
        if vault.health == Health.UNKNOWN:
            found.unchecked += 1
        elif vault.health != Health.OK:
            found.failed.append(vault)
        elif vault.listed_at:
            found.listed += 1
            found.as_of = min(found.as_of or vault.listed_at, vault.listed_at)
    return found
