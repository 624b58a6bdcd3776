"""manage.py remove_second_factors: for somebody whose phone and recovery codes are lost."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from audit import ledger
from kvadmin import actions as a
from kvadmin.second_factors import MAIN
from vaults import sessions
from vaults.models import Person


class Command(BaseCommand):
    help = "Removes somebody's second factors and ends their sessions: first make sure that it is they who ask."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what they type at the sign-in")

    def handle(self, *, name: str, **options: Any) -> None:
        person = Person.objects.filter(username=name).first()
        if person is None:
            raise CommandError(f"Nobody signs in as {name!r}.")
        with transaction.atomic():
            ended = sessions.live(person).count()
            person.sessions.all().delete()
            held = Authenticator.objects.filter(user=person)
            removed = held.filter(type__in=MAIN).count()
            held.delete()
            factors = f"{removed} second factor{'s' if removed != 1 else ''}"
            gone = f"{ended} session{'s' if ended != 1 else ''}"
            note = f"Removed {factors} of {person} ({person.username}) and ended {gone}, by manage.py."
            ledger.record(a.SESSION_REVOKE, ledger.CLOCK, note=note)
        self.stdout.write(f"{person} has no second factor any more; {gone} ended.")
