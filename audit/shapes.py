"""Azure writes one and the same event in three shapes. This turns each into the row that audit/parse.py reads.

The row's keys are those of kvadmin.gateway.logs.query_audit; missing text is "", a missing number None.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_SUFFIX = re.compile(r"_[sgdbt]$")
_CLAIM = "identity_claim_"
SCHEMA_CLAIMS = {
    "oid": "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "upn": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "name": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
}
# AzureDiagnostics flattens a claim's URI into a column name.
_FLATTENED = {re.sub(r"\W+", "_", uri): uri for uri in SCHEMA_CLAIMS.values()}


def to_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """A row, from an AuditEvent as Event Hubs and storage accounts hold it, or from the columns of either table.

    kvadmin's own exports (JSON Lines) hold the latter, under "raw".
    """
    if "fingerprint" in record:  # a line of kvadmin's own export
        record = as_dict(record.get("raw"))
    if "operationName" in record:
        return _from_audit_event(record)
    if record.keys() & {"HttpStatusCode", "ClientInfo", "Identity"}:
        return _from_dedicated(record)
    return _from_diagnostics(record)


def _from_audit_event(record: Mapping[str, Any]) -> dict[str, Any]:
    properties = as_dict(record.get("properties"))
    return {
        "Source": "AuditEvent",
        "TimeGenerated": record.get("time"),
        "VaultId": _text(record.get("resourceId")).lower(),
        "OperationName": _text(record.get("operationName")),
        "Status": as_int(properties.get("httpStatusCode")),
        "ResultSignature": _text(record.get("resultSignature")),
        "ResultDescription": _text(record.get("resultDescription")),
        "CorrelationId": _text(record.get("correlationId")),
        "CallerIp": _text(record.get("callerIpAddress")),
        "ClientInfo": _text(properties.get("clientInfo")),
        "ObjectUrl": _text(properties.get("id")),
        "RequestUri": _text(properties.get("requestUri")),
        "DurationMs": as_int(record.get("durationMs")),
        "Claims": as_dict(as_dict(record.get("identity")).get("claim")),
        "Raw": dict(record),
    }


def _from_dedicated(record: Mapping[str, Any]) -> dict[str, Any]:
    return _from_columns(
        record,
        Source="AZKVAuditLogs",
        Status=as_int(record.get("HttpStatusCode")),
        CallerIp=_text(record.get("CallerIpAddress")),
        ClientInfo=_text(record.get("ClientInfo")),
        ObjectUrl=_text(record.get("Id")),
        RequestUri=_text(record.get("RequestUri")),
        Claims=as_dict(as_dict(record.get("Identity")).get("claim")),
    )


def _from_diagnostics(record: Mapping[str, Any]) -> dict[str, Any]:
    """Columns beyond the table's 500th land in AdditionalFields, and a suffix follows the value's type."""
    columns = dict(record) | as_dict(record.get("AdditionalFields"))
    plain = {_SUFFIX.sub("", name): value for name, value in columns.items() if value is not None and value != ""}
    return _from_columns(
        record,
        Source="AzureDiagnostics",
        Status=as_int(plain.get("httpStatusCode")),
        CallerIp=_text(record.get("CallerIPAddress")),
        ClientInfo=_text(plain.get("clientInfo")),
        ObjectUrl=_text(plain.get("id")),
        RequestUri=_text(plain.get("requestUri")),
        Claims=_claims(plain),
    )


def _claims(plain: Mapping[str, Any]) -> dict[str, Any]:
    found = {name.removeprefix(_CLAIM): value for name, value in plain.items() if name.startswith(_CLAIM)}
    return {_FLATTENED.get(name, name): value for name, value in found.items()}


def _from_columns(record: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """The columns that both tables name alike, and each table's own."""
    shared = ("OperationName", "ResultSignature", "ResultDescription", "CorrelationId")
    return {
        "TimeGenerated": record.get("TimeGenerated"),
        "VaultId": _text(record.get("_ResourceId") or record.get("ResourceId")).lower(),
        "DurationMs": as_int(record.get("DurationMs")),
        "Raw": dict(record),
        **{name: _text(record.get(name)) for name in shared},
        **own,
    }


def as_dict(value: Any) -> dict[str, Any]:
    """A dynamic column: a dictionary already, or its JSON text; anything else is empty."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def as_int(value: Any) -> int | None:
    """A whole number, however it was written: 200, 200.0, "200"; None when it is no number."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
