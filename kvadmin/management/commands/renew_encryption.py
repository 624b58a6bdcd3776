"""manage.py renew_encryption: what lies encrypted is encrypted with the newest key; the old ones are needless then."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from kvadmin import crypto
from kvadmin.second_factors.adapter import renew_all


class Command(BaseCommand):
    help = "Encrypt the stored secrets of second factors with KVADMIN_SECRET_KEY, after it was replaced."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with transaction.atomic():
                renewed = renew_all()
        except crypto.Unreadable:
            raise CommandError(
                "Something was encrypted with a key that is not here. Name the old key in KVADMIN_OLD_SECRET_KEYS."
            ) from None
        self.stdout.write(f"{renewed} secrets of second factors are encrypted with the new key.")
