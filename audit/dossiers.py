"""What one person read, and who read one secret: the log and the ledger joined, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet

from audit import names
from audit.models import AccessEvent, LedgerEntry
from audit.parse import READS
from audit.queries import unconfirmed
from audit.readers import READER

FEW = 50  # rows that are shown; the timeline has the others
MOST_READERS = 200


@dataclass(frozen=True, slots=True)
class Read:
    """One read, or a refused try: a row of Azure's log, or one of the ledger that Azure's log has not shown."""

    at: datetime
    event: AccessEvent | None = None
    entry: LedgerEntry | None = None


def reads(events: QuerySet[AccessEvent], entries: QuerySet[LedgerEntry]) -> list[Read]:
    """The newest reads and refused tries of these rows. Three queries."""
    rows = list(events.filter(operation__in=READS).defer("raw").order_by("-at", "-id")[:FEW])
    names.attach(rows)
    alone = list(unconfirmed(entries).order_by("-seq")[:FEW])
    merged = [*(Read(row.at, event=row) for row in rows), *(Read(row.at, entry=row) for row in alone)]
    return sorted(merged, key=lambda read: read.at, reverse=True)[:FEW]


@dataclass(slots=True)
class Readers:
    """One identity among those that read a secret: how often, between when and when, and through what."""

    reader: str
    who: str
    kind: str
    object_id: str
    through: bool
    reads: int
    refused: int
    first: datetime
    last: datetime
    named: str = ""


def readers(events: QuerySet[AccessEvent]) -> list[Readers]:
    """Who asked for these values, the latest first. Two queries."""
    counted = _grouped(events)
    found: dict[str, Readers] = {}
    for reader, who, person, kind, object_id, n, refused, first, last in counted:
        row = Readers(reader, person or who, kind, object_id, bool(person), 0, 0, first, last)
        row = found.setdefault(reader, row)
        row.reads, row.refused = row.reads + n, row.refused + refused
        row.first, row.last = min(row.first, first), max(row.last, last)
    names.attach_to_readers(found.values())
    return list(found.values())


def _grouped(events: QuerySet[AccessEvent]) -> Iterable[Any]:
    columns = ("reader", "who", "person", "who_kind", "object_id")
    asked = events.filter(operation__in=READS).annotate(reader=READER).order_by().values(*columns)
    numbers = {"n": Count("id", filter=Q(is_read=True)), "refused": Count("id", filter=Q(is_read=False))}
    counted = asked.annotate(**numbers, first=Min("at"), last=Max("at")).order_by("-last")
    return list(counted.values_list(*columns, "n", "refused", "first", "last")[:MOST_READERS])
