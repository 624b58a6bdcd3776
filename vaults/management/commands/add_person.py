"""manage.py add_person: a local account, and, once, the first administrator."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from typing import IO, Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit import ledger
from kvadmin import actions as a
from vaults.models import Person, Role, RoleAssignment, ScopeKind


class Command(BaseCommand):
    stealth_options = ("stdin",)
    help = "Adds somebody who signs in by name and password. It is asked for, or is the first line of standard input."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what they type at the sign-in")
        parser.add_argument("--first-name", default="")
        parser.add_argument("--last-name", default="")
        parser.add_argument(
            "--administrator",
            action="store_true",
            help="the role Administrator on everything; refused while somebody holds it, who can give it then",
        )

    def handle(self, *, name: str, administrator: bool, **options: Any) -> None:
        if administrator and _administrators():
            raise CommandError("There is an administrator already: let them give the role.")
        person = Person(username=name, first_name=options["first_name"], last_name=options["last_name"])
        _valid(person.clean_fields, exclude=["password"])
        _valid(person.validate_unique)
        password = _password(options.get("stdin") or sys.stdin)
        _valid(validate_password, password, person)
        person.set_password(password)
        with transaction.atomic():
            person.save()
            if administrator:
                _make_administrator(person)
        self.stdout.write(f"{person} can sign in{' and is the administrator' if administrator else ''}.")


def _administrators() -> bool:
    return RoleAssignment.objects.in_force().filter(role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING).exists()


def _make_administrator(person: Person) -> None:
    """The one role that nobody can give, on record as kvadmin's own act."""
    role = RoleAssignment.objects.create(person=person, role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING)
    ledger.record(a.ROLE_ASSIGN, ledger.CLOCK, note=f"{role}, to {person}: the first administrator, by manage.py")


def _valid(check: Any, *args: Any, **options: Any) -> None:
    try:
        check(*args, **options)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None


def _password(stdin: IO[str]) -> str:
    """Typed twice at a terminal, so that it stands in no history; else one line, from another program."""
    if not stdin.isatty():
        return stdin.readline().rstrip("\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise CommandError("The two are not the same. Nobody was added.")
    return password
