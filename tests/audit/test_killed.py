"""kill -9 in the middle of an ingest, again and again, and the rows are those of a run that nothing disturbed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from kvadmin.emulator import doors
from kvadmin.emulator.state import Azure, Workspace
from tests.audit.logged import log
from tests.processes import environment, manage, python

KILLS = int(os.environ.get("KVADMIN_TEST_KILLS", "5"))
COLUMNS = "fingerprint, at, vault, operation, name, version, status, outcome, who, is_read, is_noise, match, raw"


@pytest.fixture
def door(azure: Azure, logs: Workspace) -> Iterator[str]:
    """The emulated Azure as other processes reach it: 400 rows of 20 days, some of them twice, cut after 60."""
    logs.duplicates, logs.row_limit = 0.1, 60
    start = timezone.now() - timedelta(days=20)
    for n in range(400):
        log(azure, start + timedelta(minutes=67 * n), visible_at=start)
    server = doors.serve(azure, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def ingest(database: Path, door: str, *dies_at: str) -> tuple[int, str]:
    """The exit code, and how many statements a run that lived to its end has sent."""
    env = environment(DATABASE_URL=f"sqlite:///{database}", KVADMIN_EMULATOR=door)
    process = python("-m", "tests.audit.killed", *dies_at, env=env)
    said = process.communicate()[0]
    return process.returncode, said.strip().splitlines()[-1] if said.strip() else ""


def rows(database: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(database) as connection:
        found = connection.execute(f"SELECT {COLUMNS} FROM audit_accessevent ORDER BY fingerprint").fetchall()  # noqa: S608
    connection.close()
    return found


def migrated(path: Path) -> Path:
    process = manage("migrate", "--verbosity", "0", DATABASE_URL=f"sqlite:///{path}")
    assert (process.communicate()[0], process.returncode) == ("", 0)
    return path


def test_a_run_that_is_killed_and_started_again_ends_with_the_same_rows(door: str, tmp_path: Path) -> None:
    undisturbed = migrated(tmp_path / "undisturbed.sqlite3")
    disturbed = tmp_path / "disturbed.sqlite3"
    disturbed.write_bytes(undisturbed.read_bytes())
    code, statements = ingest(undisturbed, door)
    assert (code, len(rows(undisturbed))) == (0, 400)

    chance, killed = random.Random(4), 0  # noqa: S311 - chance for a test
    for _ in range(KILLS):
        code, _ = ingest(disturbed, door, str(chance.randint(1, 2 * int(statements) // KILLS)))
        assert code in {-signal.SIGKILL, 0}  # what is left to do may take fewer statements than that
        killed += code == -signal.SIGKILL
    assert killed >= KILLS // 2
    assert ingest(disturbed, door)[0] == 0
    assert rows(disturbed) == rows(undisturbed)
