"""Questions to the access log, answered in a fixed number of queries whatever its size."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from django.db.models import CharField, Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Cast, Substr

from audit.confirm import READ_PHASES
from audit.coverage import Logged, silence, watermarks
from audit.models import AccessEvent, LedgerEntry
from audit.parse import READS
from audit.readers import READER, named_like

PAGE = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
_MOST = 2**63


class BadCursor(ValueError):
    """The place in the list that a link names cannot be read."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a list by time: the last row that was shown. Opaque in URLs, and worth nothing to whoever edits it."""

    at: datetime
    pk: int
    newer: bool = False

    def __str__(self) -> str:
        micros = (self.at - EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(f"{'n' if self.newer else 'o'}{micros}.{self.pk}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, word: str) -> Self:
        """Raises BadCursor."""
        try:
            text = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True).decode("ascii")
            micros, pk = (int(part) for part in text[1:].split("."))
            at = EPOCH + timedelta(microseconds=micros)
        except (ValueError, OverflowError, binascii.Error):
            raise BadCursor from None
        if text[0] not in "no" or not 0 < pk < _MOST:
            raise BadCursor
        return cls(at, pk, newer=text[0] == "n")


@dataclass(frozen=True, slots=True)
class Filters:
    """What the timeline is asked for. Empty texts ask for everything; a name may end in * for all that begin so."""

    start: datetime
    end: datetime
    person: str = ""
    vault: str = ""
    secret: str = ""
    operation: str = ""  # "reads": every operation that hands out a value, when it did
    outcome: str = ""
    match: str = ""
    noise: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[AccessEvent]
    newer: Cursor | None = None
    older: Cursor | None = None


# --- The timeline ----------------------------------------------------------------------------------------------------
def filtered(events: QuerySet[AccessEvent], by: Filters) -> QuerySet[AccessEvent]:
    """The events that the filters let through. Names are compared whole: "db" does not find "db2"."""
    found = events.filter(at__gte=by.start, at__lt=by.end)
    if not by.noise:
        found = found.filter(is_noise=False)
    if by.person:
        found = found.filter(Q(person__icontains=by.person) | Q(who__icontains=by.person) | named_like(by.person))
    if by.operation == "reads":
        found = found.filter(is_read=True)
    elif by.operation:
        found = found.filter(operation=by.operation)
    exact = {"outcome": by.outcome, "match": by.match}
    found = found.filter(**{name: word for name, word in exact.items() if word})
    return found.filter(named("vault", by.vault), named("name", by.secret))


def named(field: str, name: str) -> Q:
    """Rows whose field is this name, in any case; with a * at its end, begins with it."""
    name = name.lower()
    if name.endswith("*"):
        return Q(**{f"{field}__startswith": name[:-1]})
    return Q(**{field: name}) if name else Q()


def page(events: QuerySet[AccessEvent], cursor: Cursor | None = None) -> Page:
    """One page, newest first: after the cursor or, if it says newer, before it. One query, however far down."""
    rows = list(_beyond(events.defer("raw"), cursor)[: PAGE + 1])
    more, rows = len(rows) > PAGE, rows[:PAGE]
    going_up = cursor is not None and cursor.newer
    if going_up:
        rows.reverse()
    if not rows:
        return Page([])
    first, last = rows[0], rows[-1]
    has_newer, has_older = (more, True) if going_up else (cursor is not None, more)
    return Page(
        rows,
        Cursor(first.at, first.pk, newer=True) if has_newer else None,
        Cursor(last.at, last.pk) if has_older else None,
    )


def _beyond(events: QuerySet[AccessEvent], cursor: Cursor | None) -> QuerySet[AccessEvent]:
    if cursor is None:
        return events.order_by("-at", "-id")
    if cursor.newer:
        after = Q(at__gt=cursor.at) | Q(id__gt=cursor.pk)
        return events.filter(after, at__gte=cursor.at).order_by("at", "id")
    return events.filter(Q(at__lt=cursor.at) | Q(id__lt=cursor.pk), at__lte=cursor.at).order_by("-at", "-id")


# --- The chart -------------------------------------------------------------------------------------------------------
UNSORTED = AccessEvent.Match.OTHER.value  # reads that no run has sorted yet
SERIES = ("explained", "around", "unexplained", UNSORTED, "refused")


@dataclass(frozen=True, slots=True)
class Bucket:
    """An hour, a day or a month, and how many reads of each kind fell into it."""

    start: datetime
    counts: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Reads:
    """`start` and `end` are what was asked for: the first and the last bucket may reach beyond."""

    unit: str  # "hour", "day" or "month"
    buckets: list[Bucket]
    start: datetime = EPOCH
    end: datetime = NEVER

    def end_of(self, place: int) -> datetime:
        return _next(self.buckets[place].start, self.unit)

    @property
    def totals(self) -> dict[str, int]:
        return {kind: sum(bucket.counts[kind] for bucket in self.buckets) for kind in SERIES}


# How many characters of "2026-12-01 14:30:00" name the hour, the day or the month. Both databases write a moment so, in
# UTC; to cut the text is many times faster than Django's own truncation, which on SQLite is a call of Python per row.
_UNITS = {"hour": 13, "day": 10, "month": 7}


def _start(unit: str) -> Substr:
    return Substr(Cast("at", CharField()), 1, _UNITS[unit])


def reads_over_time(events: QuerySet[AccessEvent], start: datetime, end: datetime) -> Reads:
    """Reads by list, and refused or failed tries, per hour, day or month (UTC) as suits the range. One query."""
    unit = "hour" if end - start <= timedelta(days=2) else "day" if end - start <= timedelta(days=100) else "month"
    counted = (
        events.filter(operation__in=READS)
        .annotate(start=_start(unit))
        .order_by()
        .values_list("start", "is_read", "match")
        .annotate(n=Count("*"))
    )
    found = {
        str(moment)[: _UNITS[unit]]: Bucket(moment, dict.fromkeys(SERIES, 0)) for moment in _marks(start, end, unit)
    }
    for moment, is_read, match, n in counted:
        found[moment].counts[match if is_read else "refused"] += n
    return Reads(unit, list(found.values()), start, end)


def _marks(start: datetime, end: datetime, unit: str) -> Iterable[datetime]:
    """The beginnings of all hours, days or months that the range touches."""
    moment = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if unit != "hour":
        moment = moment.replace(hour=0)
    if unit == "month":
        moment = moment.replace(day=1)
    while moment < end:
        yield moment
        moment = _next(moment, unit)


def _next(moment: datetime, unit: str) -> datetime:
    if unit == "month":
        return (moment + timedelta(days=32)).replace(day=1)
    return moment + (timedelta(hours=1) if unit == "hour" else timedelta(days=1))


# --- Who reads most, and when -----------------------------------------------------------------------------------------
TOP_READERS = 10


@dataclass(slots=True)
class Top:
    """One identity and how many values it read. `named`: the name that somebody filled in for it."""

    reader: str
    who: str
    kind: str
    object_id: str
    through: bool
    reads: int
    named: str = ""


def top_readers(events: QuerySet[AccessEvent]) -> list[Top]:
    """Who read most values, those with the most first. One query."""
    columns = ("reader", "who", "person", "who_kind", "object_id")
    reads = events.filter(is_read=True).annotate(reader=READER).exclude(reader="").order_by().values(*columns)
    most = reads.annotate(n=Count("id")).order_by("-n", "reader").values_list(*columns, "n")[:TOP_READERS]
    return [Top(reader, person or who, kind, oid, bool(person), n) for reader, who, person, kind, oid, n in most]


def by_hour_of_week(events: QuerySet[AccessEvent]) -> dict[tuple[int, int], int]:
    """How many values were read in each hour of the week: (1 for Monday, the hour), both UTC. One query."""
    counted = events.filter(is_read=True).annotate(start=_start("hour")).order_by().values_list("start")
    hours: Counter[tuple[int, int]] = Counter()
    for start, n in counted.annotate(n=Count("*")):
        moment = datetime.strptime(start, "%Y-%m-%d %H").replace(tzinfo=UTC)
        hours[moment.isoweekday(), moment.hour] += n
    return dict(hours)


# --- One secret ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Read:
    """One read, or a refused try: a row of Azure's log, or one of the ledger that Azure's log has not shown."""

    at: datetime
    event: AccessEvent | None = None
    entry: LedgerEntry | None = None


def merged(events: Iterable[AccessEvent], entries: Iterable[LedgerEntry]) -> list[Read]:
    """Rows of the log, and of the ledger what it has not shown: the newest first."""
    found = [*(Read(row.at, event=row) for row in events), *(Read(row.at, entry=row) for row in entries)]
    return sorted(found, key=lambda read: read.at, reverse=True)


@dataclass(frozen=True, slots=True)
class LastReads:
    """The newest reads of one secret, and the sentence that says how much this list can know."""

    rows: list[Read]
    sentence: str


def last_reads(vault: Logged, key: str, limit: int = 5) -> LastReads:
    """Who read this secret's value lately. Three queries. `key` is the lower-case name.

    What kvadmin itself read is known by its ledger, whatever Azure's log shows. For people who hold audit:read there;
    the caller asks the policy.
    """
    reads = AccessEvent.objects.filter(vault=vault.name, name=key, is_read=True)
    shown = reads.defer("raw").order_by("-at", "-id")[:limit]
    alone = unconfirmed(LedgerEntry.objects.filter(vault=vault.name, secret=key)).order_by("-seq")[:limit]
    rows = merged(shown, alone)[:limit]
    mark = watermarks([vault]).get(vault.name)
    return LastReads(rows, silence(vault, mark, seen=bool(rows)))


# --- The ledger beside Azure's log -----------------------------------------------------------------------------------
def with_events(entries: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
    """Each row of a read with `event_id`: the row of Azure's log that confirms it, or None."""
    event = AccessEvent.objects.filter(ledger_act=OuterRef("act"), is_read=True).order_by("at", "id").values("pk")
    return entries.annotate(event_id=Subquery(event[:1]))


def unconfirmed(entries: QuerySet[LedgerEntry]) -> QuerySet[LedgerEntry]:
    """Reads that Azure's log has not shown: it is late, the vault is blind, or the log has lost them."""
    shown = AccessEvent.objects.filter(ledger_act=OuterRef("act"), is_read=True)
    return entries.filter(~Exists(shown), phase__in=READ_PHASES)
