"""How much each identity did in one vault within one hour: what the rules about many events at once stand on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, Count, Max, Min, Q, QuerySet, Value, When
from django.db.models.functions import Concat, TruncHour

from audit.models import AccessEvent
from audit.readers import READER


@dataclass(frozen=True, slots=True)
class Hour:
    """One identity, one vault, one clock hour, and the number that was asked for; `who` is the log's name for it."""

    reader: str
    vault: str
    at: datetime
    who: str
    n: int

    @property
    def key(self) -> tuple[str, str, datetime]:
        return self.reader, self.vault, self.at


def busy(fresh: QuerySet[AccessEvent], which: Q, number: Count, least: int) -> list[Hour]:
    """The hours that fresh rows fall into, counted in full, with at least so many. Three queries."""
    rows = fresh.filter(which)
    bounds = rows.aggregate(first=Min("at"), last=Max("at"))
    if bounds["first"] is None:
        return []
    whos = set(rows.order_by().values_list("who", flat=True).distinct())
    first = bounds["first"].replace(minute=0, second=0, microsecond=0)
    full = AccessEvent.objects.filter(which, who__in=whos, at__gte=first, at__lt=bounds["last"] + timedelta(hours=1))
    return _counted(full, number, least)


def before(hours: list[Hour], length: timedelta, which: Q, number: Count, least: int) -> list[Hour]:
    """What the same identities did in the same vaults in each hour before, with at least so many. One query."""
    if not hours:
        return []
    first, last = min(hour.at for hour in hours), max(hour.at for hour in hours)
    rows = AccessEvent.objects.filter(_of(hours), which, at__gte=first - length, at__lt=last)
    return _counted(rows, number, least)


def evidence(hours: list[Hour], which: Q) -> dict[tuple[str, str, datetime], list[AccessEvent]]:
    """The rows that each hour was counted from, oldest first, by the hour's key. One query."""
    found: dict[tuple[str, str, datetime], list[AccessEvent]] = {hour.key: [] for hour in hours}
    if not hours:
        return found
    within = Q(pk__in=[])
    for hour in hours:
        within |= Q(at__gte=hour.at, at__lt=hour.at + timedelta(hours=1))
    rows = _by_hour(AccessEvent.objects.filter(_of(hours), which, within))
    for row in rows.defer("raw", "agent", "reason").order_by("at", "id"):
        found.get((row.reader, row.vault, row.hour), []).append(row)
    return found


def _counted(events: QuerySet[AccessEvent], number: Count, least: int) -> list[Hour]:
    grouped = _by_hour(events).order_by().values("reader", "vault", "hour").annotate(login=Min("who"), n=number)
    return [Hour(*row) for row in grouped.filter(n__gte=least).values_list("reader", "vault", "hour", "login", "n")]


def _by_hour(events: QuerySet[AccessEvent]) -> QuerySet[Any]:
    """Whoever is not named goes by their address."""
    unnamed = When(Q(who="", person_id=""), then=Concat(Value("from "), "address"))
    return events.annotate(reader=Case(unnamed, default=READER), hour=TruncHour("at", tzinfo=UTC))


def _of(hours: Iterable[Hour]) -> Q:
    """Rows of these identities in these vaults, by what is indexed first."""
    some = list(hours)
    return Q(who__in={hour.who for hour in some}, vault__in={hour.vault for hour in some})
