"""How current a set of vaults is: what every list that may be incomplete says where it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from vaults.models import Health, LogState, Vault

FEW = 6  # vaults that are named
LISTED = Q(health=Health.OK)
UNCHECKED = Q(health=Health.UNKNOWN)
FAILED = ~(LISTED | UNCHECKED)
BLIND = Q(log_state__in=(LogState.NO_SETTING, LogState.NOT_TO_WORKSPACE, LogState.UNREADABLE))


@dataclass(frozen=True, slots=True)
class Standing:
    """Of some vaults: how many there are, how many could be listed, and as of when what is shown of those is true.

    `as_of` is the oldest of their last complete listings; `named` are the first FEW of those that failed.
    """

    total: int
    listed: int
    unchecked: int
    failed: int
    blind: int
    as_of: datetime | None
    named: list[Vault]


def standing(vaults: QuerySet[Vault]) -> Standing:
    """Of these vaults, those left out that vanished. Two queries."""
    there = vaults.filter(vanished_at=None)
    counts = there.aggregate(
        total=Count("pk"),
        listed=Count("pk", filter=LISTED),
        unchecked=Count("pk", filter=UNCHECKED),
        failed=Count("pk", filter=FAILED),
        blind=Count("pk", filter=BLIND),
        as_of=Min("listed_at", filter=LISTED),
    )
    return Standing(**counts, named=list(there.filter(FAILED).defer("tags").order_by("name")[:FEW]))


def blind(vaults: QuerySet[Vault]) -> list[Vault]:
    """The first FEW of those whose access log cannot be read."""
    return list(vaults.filter(BLIND, vanished_at=None).defer("tags").order_by("name")[:FEW])
