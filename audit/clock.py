"""One clock for everything that is decided by time: the database's, and never earlier than the last fact on record."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.utils import timezone

from audit.models import LedgerHead


def database_now() -> datetime:
    """The database server's present moment in UTC, to the microsecond; with SQLite that is this process's clock.

    PostgreSQL's `now()` is the transaction's start, which a late commit would stretch: this is `clock_timestamp()`.
    """
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]  # type: ignore[no-any-return] # psycopg gives an aware datetime


def now() -> datetime:
    """The moment by which a request or a window is judged. A clock that is set back revives nothing."""
    last = LedgerHead.objects.filter(pk=1).values_list("at", flat=True).first()
    return max(database_now(), last) if last else database_now()
