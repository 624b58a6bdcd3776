"""manage.py add_person: a local account without any role."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from vaults.management import local_accounts


class Command(BaseCommand):
    stealth_options = ("stdin",)
    help = "Adds somebody who signs in by name and password. It is asked for, or is the first line of standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        local_accounts.add_arguments(parser)

    def handle(self, *, name: str, **options: Any) -> None:
        person = local_accounts.new_person(name, options)
        person.save()
        self.stdout.write(f"{person} can sign in.")
