"""Walk the ledger's chain. Ends with status 1 and the first bad row when it does not hold, so that cron can tell."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import chains, checkpoints
from audit.explain import explain_chain, explain_mismatch


class Command(BaseCommand):
    help = "Verify the ledger: every row in place, unchanged, following the one before it, and as checkpoints say."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--checkpoint", nargs="+", default=[], metavar="FILE", help="Files of signed checkpoints.")
        parser.add_argument(
            "--key",
            nargs="+",
            default=[],
            help="Public keys to trust (checkpoint_ledger --show-key). Without one: that of KVADMIN_CHECKPOINT_KEY.",
        )

    def handle(self, *, checkpoint: Sequence[str] = (), key: Sequence[str] = (), **options: Any) -> None:
        chain = chains.verify()
        if not chain.intact:
            raise CommandError(explain_chain(chain))
        said = explain_chain(chain)
        if checkpoint:
            said += f" {_compared(checkpoint, key)}"
        self.stdout.write(said)
        # Rows have no gap, so the last one's number is how many there are.
        self.stdout.write(f"Head, to note elsewhere: rows={chain.rows} seq={chain.rows} hash={chain.head}")


def _compared(files: Sequence[str], keys: Sequence[str]) -> str:
    try:
        found = [made for file in files for made in checkpoints.read(file, keys)]
    except (checkpoints.NoKey, checkpoints.Unreadable) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from None
    if not found:
        raise CommandError("There is no checkpoint in these files.")
    mismatch = checkpoints.first_mismatch(found)
    if mismatch:
        raise CommandError(explain_mismatch(mismatch))
    return f"It agrees with {len(found):,} checkpoint{'s' if len(found) != 1 else ''}."
