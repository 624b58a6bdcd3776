"""Sign the ledger's end, so that a ledger that is cut or written anew can be told: keep the file elsewhere."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import checkpoints
from audit.ledger import LedgerUnavailable


class Command(BaseCommand):
    help = "Sign the ledger's end with KVADMIN_CHECKPOINT_KEY."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--out", metavar="FILE", help="Add the checkpoint to this file, one JSON object a line.")
        what.add_argument("--show-key", action="store_true", help="Print the public key, which verifies checkpoints.")

    def handle(self, *, out: str | None = None, show_key: bool = False, **options: Any) -> None:
        try:
            self.stdout.write(checkpoints.public_key() if show_key else _made(str(out)))
        except (checkpoints.NoKey, LedgerUnavailable) as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror}.") from None


def _made(out: str) -> str:
    checkpoint = checkpoints.append(out)
    return f"Row {checkpoint.seq:,} with hash {checkpoint.hash} is signed in {out}."
