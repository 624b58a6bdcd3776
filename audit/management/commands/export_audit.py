"""Write rows of Azure's log, or the ledger, to a file or to standard output: for cron, pipelines and archives."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit import coverage, export, ledger, queries
from audit.forms import RANGES
from audit.models import AccessEvent, LedgerEntry
from audit.queries import Filters
from kvadmin import actions as a
from vaults.inventory import StoredInventory


class Command(BaseCommand):
    help = "Export Azure's access log, or the ledger, as CSV, JSON Lines or CEF. The export is on record in the ledger."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=sorted(export.FORMATS), default="jsonl")
        parser.add_argument("--ledger", action="store_true", help="The ledger, whole, instead of the access log.")
        parser.add_argument("--start", help="From this moment on, as 2026-12-01T00:00Z. Without one: 30 days ago.")
        parser.add_argument("--end", help="Up to this moment. Without one: now.")
        for name in ("person", "vault", "secret", "operation", "outcome", "match"):
            parser.add_argument(f"--{name}", default="", help="As the filter on the audit page.")
        parser.add_argument("--noise", action="store_true", help="With the rows that the page hides.")
        parser.add_argument("--out", metavar="FILE", help="A file to write. Without one: standard output.")

    def handle(self, **options: Any) -> None:
        what = "ledger" if options["ledger"] else "access log"
        lines = _ledger(options) if options["ledger"] else _events(options)
        act = ledger.start(a.AUDIT_EXPORT, ledger.CLOCK, note=f"{what} as {options['format']}, by manage.py")
        sent = -1 if options["format"] == "csv" else 0
        try:
            with _opened(options["out"]) as file:
                for line in lines:
                    file.write(line)
                    sent += 1
        except BaseException as error:
            act.failed(error, note=f"{max(sent, 0):,} rows were written.")
            raise
        act.done(note=f"{sent:,} rows.")
        sys.stderr.write(f"{sent:,} rows.\n")
        if not options["ledger"]:
            sys.stderr.write(f"{coverage.in_words(StoredInventory().vaults())}\n")


def _events(options: dict[str, Any]) -> Iterator[str]:
    found = queries.filtered(AccessEvent.objects.all(), _filters(options))
    return export.events_as(options["format"], export.events_of(found))


def _ledger(options: dict[str, Any]) -> Iterator[str]:
    return export.entries_as(options["format"], export.entries_of(LedgerEntry.objects.all()))


def _filters(options: dict[str, Any]) -> Filters:
    names = ("person", "vault", "secret", "operation", "outcome", "match", "noise")
    end = _moment(options["end"]) or timezone.now()
    start = _moment(options["start"]) or end - RANGES["30d"]
    if start >= end:
        raise CommandError("The range must end after it begins.")
    return Filters(start=start, end=end, **{name: options[name] for name in names})


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None or moment.utcoffset() != timedelta(0):
        raise CommandError(f"{text!r} is no moment in UTC: write it as 2026-12-01T00:00Z.")
    return moment


@contextmanager
def _opened(out: str | None) -> Iterator[TextIO]:
    if not out:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with Path(out).open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}.") from None
