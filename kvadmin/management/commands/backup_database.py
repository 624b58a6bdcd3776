"""`manage.py backup_database FILE`: a copy of the SQLite database, taken while everything runs."""

from __future__ import annotations

import os
import sqlite3
from argparse import ArgumentParser
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

ELSEWHERE = "The database is PostgreSQL: back it up with `pg_dump --format custom`, see docs/operations.md."


class Command(BaseCommand):
    help = "Copies the SQLite database into a new file, whole and consistent, while everything runs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="where to; it must not exist yet")

    def handle(self, *, file: Path, **options: Any) -> None:
        if connection.vendor != "sqlite":
            raise CommandError(ELSEWHERE)
        _make(file)
        connection.ensure_connection()
        with closing(sqlite3.connect(file)) as copy:
            connection.connection.backup(copy)
            (sound,) = copy.execute("PRAGMA integrity_check").fetchone()
            head = copy.execute("SELECT seq, hash FROM audit_ledgerhead").fetchone()
        if sound != "ok":
            raise CommandError(f"The copy is not sound, and so the database may not be: {sound}")
        rows, digest = head or (0, "")
        self.stdout.write(f"{file}: {file.stat().st_size:,} bytes. The ledger in it: rows={rows} hash={digest}")


def _make(file: Path) -> None:
    """An empty file that only its owner may read: it will hold names, roles and history."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise CommandError(f"{file} cannot be made: {error.strerror}.") from None
