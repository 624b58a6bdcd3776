"""`manage.py worker`: runs jobs, and keeps the clock."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from kvadmin import migrating
from kvadmin.jobs import recovery
from kvadmin.jobs.worker import Worker


class Command(BaseCommand):
    help = "Runs jobs and keeps the clock. SIGTERM or Ctrl-C: finishes the job at hand, then stops."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", action="store_true", help="run what is due, then stop")
        parser.add_argument("--alive", action="store_true", help="say whether a worker of this host lives, and stop")

    def handle(self, *, batch: bool, alive: bool, **options: Any) -> None:
        if alive:
            self.tell_of_the_living()
            return
        if _behind():
            raise CommandError("The database is older than this version of kvadmin: run `manage.py migrate` first.")
        worker = Worker(batch=batch)
        worker.configure_signals()
        worker.work()

    def tell_of_the_living(self) -> None:
        """For an orchestrator, in the worker's own container. Raises CommandError when none lives."""
        name = recovery.alive_on(socket.gethostname())
        if not name:
            raise CommandError("No worker of this host was heard of within a minute.")
        self.stdout.write(f"{name} lives.")


def _behind() -> bool:
    """Whether migrations wait to be applied. Raises CommandError when the database does not answer."""
    try:
        return migrating.behind()
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from None
