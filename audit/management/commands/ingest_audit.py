"""Take in what Azure's log has shown since the last time, now and in this process; or a file of audit events."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import findings, ingest, shapes
from audit.ingest import Counts
from vaults.inventory import StoredInventory
from vaults.tasks import vaults_alone, workspaces


class Command(BaseCommand):
    help = "Ingest Azure's access log: from the workspaces, or from a file with one JSON record a line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file",
            help="Audit events as a storage account keeps them (PT1H.json), or rows of either table; one a line.",
        )

    def handle(self, *, file: str | None = None, **options: Any) -> None:
        counts = ingest.ingest_rows(_rows(file)) if file else ingest.ingest_audit(workspaces(), vaults_alone())
        self.stdout.write(_sentence(counts))
        opened = findings.judge(StoredInventory()).opened.total()
        self.stdout.write(f"{opened:,} finding{'s' if opened != 1 else ''} opened.")
        if not (file or counts.logs):
            raise CommandError(
                "No log was read: kvadmin knows none yet. A sweep finds out where the vaults send theirs."
            )
        if counts.failed:
            raise CommandError(f"Not read: {counts.failed} of {counts.logs} logs. The coverage page says why.")


def _rows(file: str) -> Iterator[dict[str, Any]]:
    try:
        with Path(file).open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, number)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from None


def _row(line: str, number: int) -> dict[str, Any]:
    record = shapes.as_dict(_json(line, number))
    if not record:
        raise CommandError(f"Line {number} is no JSON object.")
    return shapes.to_row(record)


def _json(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise CommandError(f"Line {number} is no JSON.") from None


def _sentence(counts: Counts) -> str:
    moved = counts.moved
    return (
        f"{counts.rows:,} rows, {counts.new:,} of them new, {counts.unreadable:,} not readable; "
        f"moved to explained {moved.explained:,}, around {moved.around:,}, unexplained {moved.unexplained:,}."
    )
