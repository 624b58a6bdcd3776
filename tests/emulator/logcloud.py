"""What the tests of the access log share: workspaces, rows, and the official SDK to query them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.monitor.query import LogsQueryClient

from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.resources import AuditRow, Workspace
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import ANN, SUBSCRIPTION, Credential

WORKSPACE = "33333333-0000-4000-8000-000000000003"
OTHER_WORKSPACE = "44444444-0000-4000-8000-000000000004"
VERSION = "0123456789abcdef0123456789abcdef"
AGENT = "AZURECLI/2.79.0 azsdk-python-keyvault-secrets/4.9.0"
BATCH = Identity("app", str(UUID(int=7)), str(UUID(int=8)), name="batch", address="198.51.100.7")
ROBOT = Identity(
    "managed-identity",
    str(UUID(int=9)),
    str(UUID(int=10)),
    name="robot",
    resource_id="/subscriptions/x/resourcegroups/rg/providers/Microsoft.Web/sites/robot",
)
GUEST = Identity("person", str(UUID(int=11)), ANN.app_id, "live.com#ivy@mail.example", "Ivy")


def add_workspace(azure: Azure, *tables: str, customer_id: str = WORKSPACE, **options: Any) -> Workspace:
    """A workspace called law-N that the vault pay-prod sends its log to from now on."""
    workspace = azure.add_workspace(
        f"law-{len(azure.workspaces)}",
        subscription_id=SUBSCRIPTION,
        customer_id=customer_id,
        tables=tables or ("AZKVAuditLogs",),
        **options,
    )
    azure.vault("pay-prod").workspace = workspace.resource_id
    return workspace


def read(name: str = "db-password", *, azure: Azure, ago: timedelta = timedelta(minutes=5), **facts: Any) -> AuditRow:
    """Log one read of a secret's newest version; `facts` are fields of the row that differ."""
    vault = azure.vault(facts.pop("vault_name", "pay-prod"))
    row = AuditRow(
        time=azure.clock.now() - ago,
        operation="SecretGet",
        status=200,
        vault=vault,
        identity=ANN,
        caller_address="203.0.113.20",
        client_info=AGENT,
        request_uri=f"{vault.uri}secrets/{name}/?api-version=7.4",
        object_id_url=f"{vault.uri}secrets/{name}/{VERSION}",
        correlation_id=str(uuid4()),
        api_version="7.4",
    )
    row = replace(row, **facts)
    azure.record(row)
    return row


def logs_client(session: requests.Session, identity: Identity = KVADMIN, **options: Any) -> LogsQueryClient:
    """The unchanged SDK on this session, without retries."""
    transport = RequestsTransport(session=session, session_owner=False)
    return LogsQueryClient(Credential(identity), transport=transport, **{"retry_total": 0, **options})


def rows_of(answer: Any) -> list[dict[str, Any]]:
    """The first table's rows, by column."""
    (table,) = answer.tables
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def to_the_millisecond(moment: datetime) -> datetime:
    """Without what is smaller."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
