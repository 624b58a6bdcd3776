"""Take in older rows of Azure's log than the first look went back for, now and in this process."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from audit import backfill
from audit.models import Backfill
from vaults.tasks import vaults_alone, workspaces


class Command(BaseCommand):
    help = "Take in N days of Azure's access log, backwards from where it is complete. Killed, it goes on where it was."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, required=True, help="Days back from now, as far as logs are kept.")

    def handle(self, *, days: int, **options: Any) -> None:
        if not 1 <= days <= settings.KVADMIN_AUDIT_DAYS:
            raise CommandError(f"--days must be 1 to {settings.KVADMIN_AUDIT_DAYS}, for which kvadmin keeps events.")
        try:
            run = backfill.backfill_audit(Backfill.objects.create(days=days), workspaces(), vaults_alone())
        except backfill.Busy as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{run.logs_done} of {run.logs_total} logs: {run.rows:,} rows, {run.new:,} of them new.")
        if run.logs_failed:
            raise CommandError(run.note)
