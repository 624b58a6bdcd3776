"""How current a set of vaults is: what every list that may be incomplete says where it is read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone

from vaults.models import Health, LogState, SyncRun, Vault

FEW = 6  # vaults that are named
LATELY = timedelta(days=30)  # for so long a vault that Azure no longer shows needs somebody
LISTED = Q(health=Health.OK)
UNCHECKED = Q(health=Health.UNKNOWN)
FAILED = ~(LISTED | UNCHECKED)
BLIND = Q(log_state__in=(LogState.NO_SETTING, LogState.NOT_TO_WORKSPACE, LogState.UNREADABLE))
THERE = Q(vanished_at=None)
GONE = ~THERE


@dataclass(frozen=True, slots=True)
class Standing:
    """Of some vaults: how many there are, how many could be listed, and as of when what is shown of those is true.

    `as_of` is the oldest of their last complete listings; `named` are the first FEW of those that failed. None of these
    counts the `gone`, which Azure no longer shows: deleted, or kvadmin lost its right to see them, and Azure does not
    say which. `gone_lately` of them within LATELY. `undiscovered`: when Azure, asked last, did not fully answer which
    vaults there are, so that new ones may be missing; None when it did.
    """

    total: int
    listed: int
    unchecked: int
    failed: int
    blind: int
    as_of: datetime | None
    gone: int
    gone_lately: int
    gone_first: datetime | None
    gone_last: datetime | None
    named: list[Vault]
    undiscovered: datetime | None

    @property
    def incomplete(self) -> bool:
        """Whether there may be vaults that no list shows."""
        return bool(self.gone or self.undiscovered)


def standing(vaults: QuerySet[Vault]) -> Standing:
    """Of these vaults, vanished ones among them. Three queries."""
    counts = vaults.aggregate(
        total=Count("pk", filter=THERE),
        listed=Count("pk", filter=THERE & LISTED),
        unchecked=Count("pk", filter=THERE & UNCHECKED),
        failed=Count("pk", filter=THERE & FAILED),
        blind=Count("pk", filter=THERE & BLIND),
        as_of=Min("listed_at", filter=THERE & LISTED),
        gone=Count("pk", filter=GONE),
        gone_lately=Count("pk", filter=Q(vanished_at__gte=timezone.now() - LATELY)),
        gone_first=Min("vanished_at"),
        gone_last=Max("vanished_at"),
    )
    named = list(vaults.filter(THERE, FAILED).defer("tags").order_by("name")[:FEW])
    return Standing(**counts, named=named, undiscovered=_undiscovered())


def _undiscovered() -> datetime | None:
    """The note of a sweep that is done says what Azure did not answer. It names subscriptions, so it is not shown."""
    last = SyncRun.objects.filter(state=SyncRun.State.DONE).values_list("note", "started_at").first()
    return last[1] if last and last[0] else None


def blind(vaults: QuerySet[Vault]) -> list[Vault]:
    """The first FEW of those whose access log cannot be read."""
    return list(vaults.filter(BLIND, vanished_at=None).defer("tags").order_by("name")[:FEW])
