"""`manage.py worker`: runs jobs, and keeps the clock."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from kvadmin.jobs.worker import Worker


class Command(BaseCommand):
    help = "Runs jobs and keeps the clock. SIGTERM or Ctrl-C: finishes the job at hand, then stops."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", action="store_true", help="run what is due, then stop")

    def handle(self, *, batch: bool, **options: Any) -> None:
        if _behind():
            raise CommandError("The database is older than this version of kvadmin: run `manage.py migrate` first.")
        worker = Worker(batch=batch)
        worker.configure_signals()
        worker.work()


def _behind() -> bool:
    """Whether migrations wait to be applied. Raises CommandError when the database does not answer."""
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from None
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
