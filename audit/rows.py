"""Events into their table, in bulk: plain SQL, because bulk_create takes most of the time of an ingest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field
from django.utils import timezone

from audit import parse
from audit.batches import batched
from audit.models import AccessEvent

BATCH = 500
_EVENT = tuple(parse.Event.__slots__)
_FRESH = "audit_fresh_accessevent"


def insert(events: Iterable[parse.Event]) -> int:
    """Add what is not there yet, in the caller's transaction; how many were added.

    In one order for all writers, so that two never wait for each other crosswise.
    """
    fresh = {event.fingerprint: event for event in events}
    now, added = timezone.now(), 0
    for some in batched(sorted(fresh), BATCH):
        known = set(AccessEvent.objects.filter(fingerprint__in=some).values_list("fingerprint", flat=True))
        added += _insert([fresh[key] for key in some if key not in known], now)
    return added


def _insert(events: list[parse.Event], now: datetime) -> int:
    """Another writer may have been faster with some: what the database counts is what was added."""
    if not events:
        return 0
    adapt, rest = _adapter(), _rest(now)
    values = [(*adapt(event), *rest) for event in events]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _copy(cursor, values)
        else:
            cursor.execute(_statement(len(events)), [value for row in values for value in row])
        return max(int(cursor.rowcount), 0)


def _copy(cursor: Any, values: Iterable[Iterable[Any]]) -> None:
    """COPY takes a fraction of the time of as many parameters, but refuses what is there: so by way of a table of the
    transaction's own."""
    table, names = AccessEvent._meta.db_table, ", ".join(_columns())
    cursor.execute(f'CREATE TEMP TABLE IF NOT EXISTS {_FRESH} ON COMMIT DROP AS SELECT {names} FROM "{table}" LIMIT 0')  # noqa: S608 - names
    cursor.execute(f"TRUNCATE {_FRESH}")
    with cursor.copy(f"COPY {_FRESH} ({names}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)
    cursor.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM {_FRESH} ON CONFLICT (fingerprint) DO NOTHING')  # noqa: S608 - names


def _adapter() -> Callable[[parse.Event], Iterable[Any]]:
    """Turns an event into what the database's driver takes, as the model's fields would."""
    special = {name: field for name, field in _fields().items() if name in {"at", "reveal_id", "raw"}}

    def adapt(event: parse.Event) -> Iterable[Any]:
        for name in _EVENT:
            value = getattr(event, name)
            yield special[name].get_db_prep_save(value, connection) if name in special else value

    return adapt


def _rest(now: datetime) -> list[Any]:
    """The columns that do not come from Azure, as a new row has them."""
    fields = _fields()
    values = {name: now if name == "ingested_at" else fields[name].get_default() for name in _other_columns()}
    return [fields[name].get_db_prep_save(value, connection) for name, value in values.items()]


def _fields() -> dict[str, Field[Any, Any]]:
    return {field.attname: field for field in AccessEvent._meta.concrete_fields}


@cache
def _other_columns() -> tuple[str, ...]:
    return tuple(name for name in _fields() if name != "id" and name not in _EVENT)


def _columns() -> tuple[str, ...]:
    return (*_EVENT, *_other_columns())


@cache
def _statement(many: int) -> str:
    row = f"({', '.join(['%s'] * len(_columns()))})"
    table, names, rows = AccessEvent._meta.db_table, ", ".join(_columns()), ", ".join([row] * many)
    return f'INSERT INTO "{table}" ({names}) VALUES {rows} ON CONFLICT (fingerprint) DO NOTHING'  # noqa: S608 - names
