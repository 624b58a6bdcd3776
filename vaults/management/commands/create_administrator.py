"""manage.py create_administrator: the first administrator, whom nobody else can make."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Q

from audit import ledger
from kvadmin import actions as a
from vaults.management import local_accounts
from vaults.models import Person, Role, RoleAssignment, ScopeKind


class Command(BaseCommand):
    stealth_options = ("stdin",)
    help = (
        "Makes a local account that administers everything. Its password is asked for, or is a line of standard input."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        local_accounts.add_arguments(parser)
        parser.add_argument(
            "--another",
            action="store_true",
            help="although there is an administrator who can sign in and could give the role: in an emergency",
        )

    def handle(self, *, name: str, another: bool, **options: Any) -> None:
        if _administrators() and not another:
            raise CommandError(
                "There is an administrator already: let them give the role. If none of them can sign in any more, add "
                "--another."
            )
        person = local_accounts.new_person(name, options)
        with transaction.atomic():
            person.save()
            _make_administrator(person, "another" if another else "the first")
        self.stdout.write(f"{person} can sign in and is an administrator of everything.")


def _administrators() -> bool:
    """Whether somebody whose account is open holds the role on everything, by themselves or by a group."""
    roles = RoleAssignment.objects.in_force().filter(role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING)
    holds = Q(pk__in=roles.values("person")) | Q(groups__in=roles.values("group"))
    return Person.objects.filter(holds, is_active=True).exists()


def _make_administrator(person: Person, which: str) -> None:
    """The one role that nobody can give, on record as kvadmin's own act."""
    role = RoleAssignment.objects.create(person=person, role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING)
    ledger.record(a.ROLE_ASSIGN, ledger.CLOCK, note=f"{role}, to {person}: {which} administrator, by manage.py")
