"""manage.py restore_vault: an archive of a whole vault, back into a vault. Nothing is uploaded, and no key is kept."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyrage
from django.core.management.base import BaseCommand, CommandError

from audit import ledger
from audit.ledger import LedgerUnavailable
from kvadmin.gateway.values import SecretValue
from vaults import restores
from vaults.archive_file import Facts
from vaults.archive_reading import Archive, BadArchive, identity_of
from vaults.models import Vault
from vaults.pace import REAL, Clock, Pace
from vaults.restore_one import Result, at_pace, restore


class Command(BaseCommand):
    stealth_options = ("stdin", "clock")
    help = "Restores an archive of a whole vault. The private key is asked for, or is read from standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("archive", type=Path, help="the file that was downloaded")
        parser.add_argument("--vault", required=True, help="the name of the vault that it goes into")
        parser.add_argument("--identity", type=Path, help="a file with the private key, instead of typing it")
        parser.add_argument("--reason", default="", help="kept in the ledger; needed unless --preview is given")
        parser.add_argument("--preview", action="store_true", help="only tell what would happen to each secret")

    def handle(self, *, vault: str, reason: str, preview: bool, **options: Any) -> None:
        place = Vault.objects.select_related("subscription").filter(name=vault.lower(), vanished_at=None).first()
        if place is None:
            raise CommandError("kvadmin knows no vault of this name. Run manage.py sync_inventory, or register it.")
        if not preview and len(reason.strip()) < 3:
            raise CommandError("Say why with --reason: it is kept in the ledger.")
        run = _Run(place, f"{reason} (manage.py restore_vault)", preview, options.get("clock") or REAL)
        try:
            with options["archive"].open("rb") as file:
                run.restore(Archive(file, _identity(options)), self.stdout.write)
        except OSError as error:
            raise CommandError(f"{options['archive']}: {error.strerror}.") from None
        except (BadArchive, LedgerUnavailable) as error:
            raise CommandError(str(error)) from None
        if run.counts["failed"]:
            sys.exit(1)


@dataclass
class _Run:
    """One run of the command. `preview`: nothing is restored."""

    vault: Vault
    reason: str
    preview: bool
    clock: Clock
    counts: dict[str, int] = field(default_factory=lambda: {"done": 0, "skipped": 0, "failed": 0})

    def __post_init__(self) -> None:
        self.pace = Pace(clock=self.clock)

    def restore(self, archive: Archive, say: Callable[[str], object]) -> None:
        """Each secret of the archive, a part in memory at a time; one line for each that is not simply restored."""
        say(f"{archive.summary['secrets']} secrets of {archive.summary['vault']}, made {archive.summary['made']}.")
        for doubt in restores.doubts(self.vault, archive.summary):
            say(doubt)
        state = restores.states_of(self.vault, archive.summary)
        for _, secrets in archive.parts():
            for facts, blob in secrets:
                result = self._one(state(facts["name"].lower()), facts, blob)
                self.counts[result.state] += 1
                if self.preview or result.sentence:
                    say(f"{facts['name']}: {result.sentence or 'will be restored'}")
        said = "to restore" if self.preview else "restored"
        say("{done} {said}, {skipped} left alone, {failed} failed.".format(said=said, **self.counts))

    def _one(self, state: str, facts: Facts, blob: SecretValue) -> Result:
        if state != "free":
            return Result("skipped", state, restores.WHY_NOT[state])
        if self.preview:
            return Result("done")
        work = partial(restore, ledger.CLOCK, self.vault, facts, blob, reason=self.reason)
        return at_pace(work, self.pace, rest=self.clock.sleep, throttled=lambda _: None)


def _identity(options: dict[str, Any]) -> pyrage.x25519.Identity:
    """The private key from its file, typed at a terminal so that it stands in no history, or from another program."""
    stdin, place = options.get("stdin") or sys.stdin, options["identity"]
    try:
        text = place.read_text() if place else getpass.getpass("Private key: ") if stdin.isatty() else stdin.read()
        return identity_of(text)
    except OSError as error:
        raise CommandError(f"{place}: {error.strerror}.") from None
    except BadArchive as error:
        raise CommandError(error.sentence) from None
