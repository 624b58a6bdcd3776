"""What is learned from the log, so that no rule and no page has to look for it in every row.

Since when a vault is heard of; which user name goes with which object id; at which hours, from which addresses, and
which secrets an identity reads. Only first and last moments are kept, so that learning a row again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, IntegerField, Max, Min, Q, QuerySet, Value
from django.db.models.functions import Cast, Concat, ExtractHour
from django.utils import timezone

from audit.finding_models import ReaderHabit, ReaderHeard, RuleMark, VaultHeard
from audit.models import AccessEvent
from audit.readers import READER
from kvadmin.actions import UNSEEN

EVENTS = 2000  # that are looked at in one transaction
AGAIN = 1000  # rows before a mark that are looked at again: a file is taken in without a lock
HEARD = "heard"  # the mark of what is learned
BATCH = 500
Kind = ReaderHabit.Kind
# A backup or a comparison is read whenever a worker comes to it, which tells nothing of whoever asked for it.
SEEN = ~Q(action__in=UNSEEN)
Span = tuple[datetime, datetime]


# --- How far ---------------------------------------------------------------------------------------------------------
def mark_of(word: str) -> RuleMark:
    """How far a rule has come. Whoever looks at rows does it from here, without a lock: it takes long."""
    return RuleMark.objects.get_or_create(rule=word)[0]


def lock(seen: RuleMark) -> bool:
    """Lock a mark until the caller's transaction ends; false when another run has moved it since it was seen."""
    return RuleMark.objects.select_for_update().get(pk=seen.pk).judged_at == seen.judged_at


def next_place(place: int, up_to: int) -> int | None:
    """The id of the last event of the next batch; None when there is none."""
    fresh = AccessEvent.objects.filter(id__gt=place, id__lte=up_to).order_by("id").values_list("id", flat=True)
    return max(fresh[:EVENTS], default=None)


# --- Learning --------------------------------------------------------------------------------------------------------
def listen_once(up_to: int) -> bool:
    """Learn from the next batch of events; whether there are more.

    The log is asked before the lock is taken: on SQLite, what is locked makes every other writer wait.
    """
    mark = mark_of(HEARD)
    last = next_place(mark.place, up_to)
    if last is None:
        return False
    events = AccessEvent.objects.filter(id__gt=mark.place - AGAIN, id__lte=last).order_by()
    vaults, readers = _vaults(events), _readers(events)
    spans = {Kind.HOUR: _hours(events), Kind.ADDRESS: _addresses(events), Kind.SECRET: _secrets(events)}
    with transaction.atomic():
        if not lock(mark):
            return True  # another run learned this meanwhile
        _hear(vaults, readers)
        for kind, told in spans.items():
            _learn(kind, told)
        mark.place, mark.judged_at = last, timezone.now()
        mark.save()
    return last < up_to


def _vaults(events: QuerySet[AccessEvent]) -> dict[str, Span]:
    return {row[0]: row[1:] for row in events.values_list("vault").annotate(first=Min("at"), last=Max("at"))}


def _readers(events: QuerySet[AccessEvent]) -> list[ReaderHeard]:
    told = events.exclude(who="").values_list("who", "object_id", "who_kind").distinct()
    return [ReaderHeard(who=who, object_id=object_id, kind=kind) for who, object_id, kind in told]


def _hear(told: dict[str, Span], readers: list[ReaderHeard]) -> None:
    ReaderHeard.objects.bulk_create(readers, ignore_conflicts=True, batch_size=BATCH)
    known = {row.vault: row for row in VaultHeard.objects.filter(vault__in=told)}
    new = [VaultHeard(vault=name, first_at=told[name][0], last_at=told[name][1]) for name in told if name not in known]
    VaultHeard.objects.bulk_create(new)
    wider = [row for name, row in known.items() if _widen(row, told[name])]
    VaultHeard.objects.bulk_update(wider, ["first_at", "last_at"], batch_size=BATCH)


def _hours(events: QuerySet[AccessEvent]) -> dict[tuple[str, str], Span]:
    hour = Cast(ExtractHour("at", tzinfo=UTC), IntegerField())
    return _spans(events.filter(SEEN, is_read=True).annotate(value=hour))


def _addresses(events: QuerySet[AccessEvent]) -> dict[tuple[str, str], Span]:
    programs = events.filter(who_kind=AccessEvent.Kind.MANAGED_IDENTITY, person_id="").exclude(address="")
    return _spans(programs.annotate(value=F("address")))


def _secrets(events: QuerySet[AccessEvent]) -> dict[tuple[str, str], Span]:
    around = events.filter(is_read=True, match=AccessEvent.Match.AROUND).exclude(name="")
    return _spans(around.annotate(value=Concat("vault", Value("/"), "name")))


def _spans(events: QuerySet[Any]) -> dict[tuple[str, str], Span]:
    """From when to when each identity did each of these. One query."""
    by_reader = events.annotate(reader=READER).exclude(reader="").values_list("reader", "value")
    found = by_reader.annotate(first=Min("at"), last=Max("at"))
    return {(reader, str(value)[:260]): (first, last) for reader, value, first, last in found}


def _learn(kind: str, told: dict[tuple[str, str], Span]) -> None:
    known = {(row.reader, row.value): row for row in habits(kind, told)}
    new = [
        ReaderHabit(reader=key[0], kind=kind, value=key[1], first_at=span[0], last_at=span[1])
        for key, span in told.items() if key not in known
    ]  # fmt: skip
    ReaderHabit.objects.bulk_create(new, batch_size=BATCH)
    wider = [row for key, row in known.items() if _widen(row, told[key])]
    ReaderHabit.objects.bulk_update(wider, ["first_at", "last_at"], batch_size=BATCH)


def habits(kind: str, keys: Iterable[tuple[str, str]]) -> list[ReaderHabit]:
    """What is known of these identities and values."""
    wanted = set(keys)
    readers, values = {reader for reader, _ in wanted}, {value for _, value in wanted}
    rows = ReaderHabit.objects.filter(kind=kind, reader__in=readers, value__in=values)
    return [row for row in rows if (row.reader, row.value) in wanted]


def _widen(row: VaultHeard | ReaderHabit, span: Span) -> bool:
    """Take the moments into the row; whether that changes it."""
    before = row.first_at, row.last_at
    row.first_at, row.last_at = min(row.first_at, span[0]), max(row.last_at, span[1])
    return before != (row.first_at, row.last_at)


# --- Asking ----------------------------------------------------------------------------------------------------------
def first_times(kind: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
    """When each identity did each of these for the first time, as far as the log tells. One query."""
    return {(row.reader, row.value): row.first_at for row in habits(kind, keys)}


def known_since(kind: str, readers: Iterable[str]) -> dict[str, datetime]:
    """Since when each identity is known to do anything of this kind. One query."""
    rows = ReaderHabit.objects.filter(kind=kind, reader__in=set(readers)).values_list("reader")
    return dict(rows.annotate(first=Min("first_at")))


def vaults_since(vaults: Iterable[str]) -> dict[str, datetime]:
    """Since when the log tells of each vault. One query."""
    return dict(VaultHeard.objects.filter(vault__in=set(vaults)).values_list("vault", "first_at"))
