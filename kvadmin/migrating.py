"""Whether the database is as new as the code, and who brings it there: one process at a time."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

LOCK = 5_846_137_201  # any number that nobody else takes in this database
PAUSE = 0.5  # seconds


@cache
def _newest() -> frozenset[tuple[str, str]]:
    """The last migration of each app, as the code has it."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def behind() -> bool:
    """Whether migrations wait to be applied. Raises a DatabaseError when the database does not answer.

    Anybody may ask (/readyz), so the usual answer is a cheap one; only where it is another one all are looked at.
    """
    if _newest() <= MigrationRecorder(connection).applied_migrations().keys():
        return False
    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@contextmanager
def one_at_a_time(database: BaseDatabaseWrapper) -> Iterator[None]:
    """Waits until nobody else migrates this database. A process that dies lets go of it."""
    if database.vendor == "postgresql":
        with _advisory_lock(database):
            yield
    else:
        # Beside SQLite's own files: whoever may write those may write this one.
        with Path(f"{database.settings_dict['NAME']}-migrate.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@contextmanager
def _advisory_lock(database: BaseDatabaseWrapper) -> Iterator[None]:
    """PostgreSQL's lock of this session. Asked for again and again, because a statement that waits would itself be
    waited for by an index that is built concurrently."""
    with database.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [LOCK])
            if cursor.fetchone()[0]:
                break
            time.sleep(PAUSE)
    try:
        yield
    finally:
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
