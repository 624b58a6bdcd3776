"""What one person read, and who read one secret: the log and the ledger joined, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet

from audit import names
from audit.models import AccessEvent, LedgerEntry
from audit.parse import READS
from audit.queries import Read, merged, unconfirmed
from audit.readers import OURS, READER

FEW = 50  # rows that are shown; the timeline has the others
MOST_READERS = 200


def reads(events: QuerySet[AccessEvent], entries: QuerySet[LedgerEntry]) -> list[Read]:
    """The newest reads and refused tries of these rows. Three queries."""
    rows = list(events.filter(operation__in=READS).defer("raw").order_by("-at", "-id")[:FEW])
    names.attach(rows)
    alone = list(unconfirmed(entries).order_by("-seq")[:FEW])
    return merged(rows, alone)[:FEW]


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


def readers(events: QuerySet[AccessEvent], entries: QuerySet[LedgerEntry]) -> tuple[list[Readers], bool]:
    """Who asked for these values, the latest first: also who read them through kvadmin unseen by Azure's log.

    And whether that is cut. Three queries.
    """
    counted, alone = _grouped(events), _alone(entries)
    found: dict[str, Readers] = {}
    for reader, who, person, kind, object_id, n, refused, first, last in counted[:MOST_READERS]:
        row = Readers(reader, person or who, kind, object_id, bool(person), 0, 0, first, last)
        row = found.setdefault(reader, row)
        row.reads, row.refused = row.reads + n, row.refused + refused
        row.first, row.last = min(row.first, first), max(row.last, last)
    for person_id, person, n, first, last in alone[:MOST_READERS]:
        reader = f"{OURS}{person_id}" if person_id else ""
        row = found.setdefault(reader, Readers(reader, person, "person", "", bool(person_id), 0, 0, first, last))
        row.reads, row.first, row.last = row.reads + n, min(row.first, first), max(row.last, last)
    names.attach_to_readers(found.values())
    cut = max(len(counted), len(alone)) > MOST_READERS
    return sorted(found.values(), key=lambda row: row.last, reverse=True), cut


def _alone(entries: QuerySet[LedgerEntry]) -> list[tuple[str, str, int, datetime, datetime]]:
    counted = unconfirmed(entries).order_by().values("person_id", "person")
    numbered = counted.annotate(n=Count("seq"), first=Min("at"), last=Max("at")).order_by("-last")
    return list(numbered.values_list("person_id", "person", "n", "first", "last")[: MOST_READERS + 1])


def _grouped(events: QuerySet[AccessEvent]) -> list[Any]:
    columns = ("reader", "who", "person", "who_kind", "object_id")
    asked = events.filter(operation__in=READS).annotate(reader=READER).order_by().values(*columns)
    numbers = {"n": Count("id", filter=Q(is_read=True)), "refused": Count("id", filter=Q(is_read=False))}
    counted = asked.annotate(**numbers, first=Min("at"), last=Max("at")).order_by("-last")
    return list(counted.values_list(*columns, "n", "refused", "first", "last")[: MOST_READERS + 1])
