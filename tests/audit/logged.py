"""Rows in the emulated Azure's log, as tests of ingest write them, and what kvadmin has stored of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection
from django.utils import timezone

from audit.models import AccessEvent
from kvadmin.emulator.identities import AZURE_CLI, Identity
from kvadmin.emulator.state import AuditRow, Azure
from tests.audit.rows import VERSION

SUBSCRIPTION = "1a6f0000-0000-4000-8000-000000000001"
LOGS, MORE_LOGS = "99999999-0000-4000-8000-000000000001", "99999999-0000-4000-8000-000000000002"
EVE = Identity("person", "0d5e0000-0000-4000-8000-000000000001", AZURE_CLI, "eve@contoso.example")


def log(azure: Azure, at: datetime | None = None, *, vault: str = "pay-prod", **fields: Any) -> str:
    """Eve reads db-password, an hour ago unless told otherwise; the id under which Azure logs it."""
    home = azure.vault(vault)
    plain = {
        "time": at or timezone.now() - timedelta(hours=1),
        "operation": "SecretGet",
        "status": 200,
        "vault": home,
        "identity": EVE,
        "caller_address": "198.51.100.7",
        "client_info": "AZURECLI/2.79.0",
        "request_uri": f"{home.uri}secrets/db-password/?api-version=2026-04-01",
        "object_id_url": f"{home.uri}secrets/db-password/{VERSION}",
        "correlation_id": str(uuid.uuid4()),
        "visible_at": azure.clock.now() - timedelta(seconds=1),
    }
    row = AuditRow(**plain | fields)
    azure.record(row)
    return row.correlation_id


def stored() -> list[str]:
    return list(AccessEvent.objects.order_by("at", "id").values_list("correlation_id", flat=True))


@contextmanager
def broken_writes(table: str, *verbs: str) -> Iterator[None]:
    """The disk is full for this table, in the middle of the transaction."""
    verbs = verbs or ("INSERT INTO", "INSERT OR IGNORE INTO", "UPDATE")
    writes = tuple(f'{verb} "{table}"' for verb in verbs)

    def refuse(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        # A mark's first row, which tells that a run was tried, may be made.
        is_first_mark = table == "audit_watermark" and "RETURNING" in sql
        if sql.startswith(writes) and not is_first_mark:
            raise OperationalError("disk full")
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse):
        yield
