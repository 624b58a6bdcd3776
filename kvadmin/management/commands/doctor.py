"""manage.py doctor: does kvadmin have what it needs, and if not, what mends it?"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kvadmin.doctor.examine import examine
from kvadmin.doctor.results import Result, Seen, State

MARKS = {State.OK: "\u2713", State.LOOK: "!", State.WRONG: "\u2717", State.OFF: "\u2013"}


class Command(BaseCommand):
    help = "Examine what kvadmin needs of Azure and at home. Ends with status 1 if something needed fails."
    requires_system_checks = []  # it says itself what they find

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--vault", default="", metavar="NAME", help="the vault to list; without it: the first one")
        parser.add_argument("--mail", default="", metavar="ADDRESS", help="send a mail there, too")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")

    def handle(self, *, vault: str, mail: str, **options: Any) -> None:
        lines = []
        for name, result in examine(Seen(vault, mail)):
            lines.append((name, result))
            if not options["json"]:
                self.tell(name, result)
        bad = [name for name, result in lines if result.state is State.WRONG]
        if options["json"]:
            said = [{"name": name, **asdict(result)} for name, result in lines]
            self.stdout.write(json.dumps({"ok": not bad, "examinations": said}, indent=2))
        if bad:
            raise CommandError(f"Something needed fails: {', '.join(dict.fromkeys(bad))}.")

    def tell(self, name: str, result: Result) -> None:
        """One line; below it, further in, the command."""
        self.stdout.write(f"{MARKS[result.state]} {result.state:<6}{name:<21}{result.sentence}")
        for line in result.command.splitlines():
            self.stdout.write(f"{'':29}{line}")
