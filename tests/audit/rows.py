"""Rows of Azure's log for tests, as the gateway hands them on, and the acts of the ledger that they belong to."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from audit.ledger import NO_MOVE, Actor, Attempt, Target, begin
from audit.models import AccessEvent
from kvadmin import actions as a
from kvadmin.actions import Action
from kvadmin.emulator.identities import AZURE_CLI, KVADMIN

ADA = Actor("7", "Ada Example", "192.0.2.1")
VERSION = "6b1f0c0a9d3e4f0f8f3c2b1a09876543"
OURS = {"oid": KVADMIN.object_id, "appid": KVADMIN.app_id, "idtyp": "app", "xms_mirid": KVADMIN.resource_id}
EVE = "eve@contoso.example"
STRANGER = {"oid": "0d5e0000-0000-4000-8000-000000000001", "appid": AZURE_CLI, "idtyp": "user", "upn": EVE}
PAY, DB = "pay-prod", "db-password"


def agent(act: uuid.UUID | str, word: str = "reveal") -> str:
    return f"kvadmin/0.1.0 {word}/{act} kvadmin/0.1.0 azsdk-python-keyvault-secrets/4.12.0 Python/3.12"


def row(vault: str = PAY, secret: str = DB, *, claims: dict[str, Any] = OURS, **other: Any) -> dict[str, Any]:
    """A successful read of the latest version, a minute ago, by kvadmin's own identity unless claims are given."""
    host = f"https://{vault}.vault.azure.net"
    plain = {
        "Source": "AZKVAuditLogs",
        "TimeGenerated": timezone.now() - timedelta(minutes=1),
        "VaultId": f"/subscriptions/s/resourcegroups/rg/providers/microsoft.keyvault/vaults/{vault}",
        "OperationName": "SecretGet",
        "Status": 200,
        "ResultSignature": "OK",
        "ResultDescription": "",
        "CorrelationId": str(uuid.uuid4()),
        "CallerIp": "203.0.113.10",
        "ClientInfo": "curl/8.5.0",
        "ObjectUrl": f"{host}/secrets/{secret}/{VERSION}",
        "RequestUri": f"{host}/secrets/{secret}/?api-version=2026-04-01",
        "DurationMs": 18,
        "TenantId": "",
        "Claims": claims,
        "Raw": {"OperationName": "SecretGet"},
    }
    return plain | other


def challenge(vault: str = PAY, **other: Any) -> dict[str, Any]:
    """The 401 that the first call of a client meets."""
    return row(vault, claims={}, OperationName="Authentication", Status=401, ObjectUrl="", **other)


def revealed(
    vault: str = PAY, secret: str = DB, *, who: Actor = ADA, request_id: str = "", rights: str = ""
) -> Attempt:
    """A reveal that is on record; with no request id: one whose answer was lost on the way."""
    act = begin(a.SECRET_REVEAL, who, Target(vault, secret), reason="INC-1", move=NO_MOVE, rights=rights)
    if request_id:
        act.revealed(version=VERSION, request_id=request_id, region="westeurope")
    else:
        act.failed(TimeoutError())
    return act


def unseen(action: Action, *, version: str = "", request_id: str = "") -> Attempt:
    """A read of db-password for an act that shows it to nobody; with no request id: its answer was lost."""
    act = begin(action, ADA, Target(PAY, DB, version), reason="INC-1", move=NO_MOVE)
    if request_id:
        act.read(version=version, request_id=request_id, region="westeurope")
    else:
        act.failed(TimeoutError())
    return act


def event(**fields: Any) -> AccessEvent:
    """One stored row, for pages: a stranger's read of pay-prod / db-password a minute ago."""
    plain: dict[str, Any] = {
        "fingerprint": uuid.uuid4().hex,
        "at": timezone.now() - timedelta(minutes=1),
        "vault": "pay-prod",
        "operation": "SecretGet",
        "object_kind": "secrets",
        "name": "db-password",
        "version": VERSION,
        "status": 200,
        "outcome": "ok",
        "who": EVE,
        "who_kind": "person",
        "via": "Azure CLI",
        "address": "198.51.100.7",
        "agent": "curl/8.5.0",
        "correlation_id": str(uuid.uuid4()),
        "is_read": True,
        "match": "around",
        "source": "AZKVAuditLogs",
        "raw": {"OperationName": "SecretGet"},
    }
    return AccessEvent.objects.create(**plain | fields)
