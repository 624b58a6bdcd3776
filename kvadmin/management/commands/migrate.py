"""`manage.py migrate`: Django's own, but where several replicas start at once, one migrates and the others wait."""

from __future__ import annotations

from typing import Any

from django.core.management.commands import migrate
from django.db import connections

from kvadmin import migrating


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        with migrating.one_at_a_time(connections[options["database"]]):
            super().handle(*args, **options)
