from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class AuditConfig(AppConfig):
    name = "audit"
    verbose_name = "Audit"

    def ready(self) -> None:
        post_migrate.connect(guard_the_ledger, sender=self)


def guard_the_ledger(using: str, **kwargs: Any) -> None:
    """Put the ledger's triggers back after every migration: SQLite rebuilds a table to alter it, and drops them."""
    from audit import triggers  # noqa: PLC0415 - models are not loaded yet when this module is
    from audit.models import LedgerEntry  # noqa: PLC0415 - models are not loaded yet when this module is

    connection = connections[using]
    if LedgerEntry._meta.db_table in connection.introspection.table_names():
        triggers.install(connection)
