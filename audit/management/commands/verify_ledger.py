"""Walk the ledger's chain. Ends with status 1 and the first bad row when it does not hold, so that cron can tell."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import ledger
from audit.explain import explain_chain


class Command(BaseCommand):
    help = "Verify the ledger: every row in place, unchanged, and following the one before it."

    def handle(self, **options: Any) -> None:
        chain = ledger.verify()
        if not chain.intact:
            raise CommandError(explain_chain(chain))
        self.stdout.write(explain_chain(chain))
        # Rows have no gap, so the last one's number is how many there are.
        self.stdout.write(f"Head, to note elsewhere: rows={chain.rows} seq={chain.rows} hash={chain.head}")
