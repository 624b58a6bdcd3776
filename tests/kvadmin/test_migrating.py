"""Several replicas start at once, and each brings the database up to date: one does, the others wait."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder

from kvadmin import migrating
from tests.processes import database_url, environment, manage, python


def migrate(url: str) -> subprocess.Popen[str]:
    return manage("migrate", "--verbosity", "1", DATABASE_URL=url)


def applied(outputs: list[str]) -> list[int]:
    """How many migrations each process says it applied."""
    return sorted(output.count("... OK") for output in outputs)


def test_of_three_that_migrate_at_once_one_does_it(tmp_path: Path) -> None:
    processes = [migrate(f"sqlite:///{tmp_path}/new.sqlite3") for _ in range(3)]

    outputs = [process.communicate()[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    none, nothing, all_of_them = applied(outputs)
    assert (none, nothing) == (0, 0)
    assert all_of_them > 20


HOLDS = """
import django, time
django.setup()
from django.db import connection
from kvadmin import migrating
with migrating.one_at_a_time(connection):
    print("holds", flush=True)
    time.sleep(600)
"""


def test_one_that_is_killed_lets_go(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.sqlite3"
    killed = python("-c", HOLDS, env=environment(DATABASE_URL=url, DJANGO_SETTINGS_MODULE="kvadmin.settings"))
    assert killed.stdout
    assert killed.stdout.readline() == "holds\n"
    waits = migrate(url)
    killed.kill()
    killed.communicate()

    assert waits.communicate()[0].count("... OK") > 20
    assert waits.returncode == 0


@pytest.fixture
def other() -> Iterator[None]:
    """Another replica that migrates just now, in a session of its own."""
    holds, over = threading.Event(), threading.Event()

    def hold() -> None:
        with migrating.one_at_a_time(connections["default"]):
            holds.set()
            over.wait()
        connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait()
    yield
    over.set()
    thread.join()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_on_postgresql_a_second_one_waits_and_an_index_can_be_built_meanwhile(other: None) -> None:
    """A statement that waits for a lock would be waited for by CREATE INDEX CONCURRENTLY, for ever."""
    waits = migrate(database_url())
    while not heard_of("pg_try_advisory_lock"):
        assert waits.poll() is None, waits.communicate()[0]
        time.sleep(0.05)

    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX CONCURRENTLY for_this_test ON audit_watermark (tried_at)")
        cursor.execute("DROP INDEX for_this_test")

    assert waits.poll() is None
    waits.kill()
    waits.communicate()


def heard_of(statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE %s AND state = 'idle'",
            [f"%{statement}%"],
        )
        return bool(cursor.fetchone()[0] > 1)  # the one that holds it has asked as well


@pytest.mark.django_db
def test_behind_says_whether_a_migration_waits() -> None:
    assert not migrating.behind()

    MigrationRecorder(connection).record_unapplied("jobs", "0001_initial")

    assert migrating.behind()
