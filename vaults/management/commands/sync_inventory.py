"""manage.py sync_inventory: one sweep, now and here."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vaults.models import SyncRun
from vaults.sync import sync_inventory


class Command(BaseCommand):
    help = "Bring the inventory up to date: vaults, and their secrets without the values."

    def handle(self, *args: Any, **options: Any) -> None:
        run = sync_inventory()
        if run.state == SyncRun.State.SKIPPED:
            raise CommandError(run.note)
        self.stdout.write(
            f"{run.vaults_done} of {run.vaults_total} vaults listed, {run.vaults_failed} failed; "
            f"{run.secrets_seen} secrets seen, {run.secrets_written} written, {run.secrets_vanished} vanished."
        )
        if run.note:
            self.stderr.write(run.note)
