"""Rows of Azure's access log, out of Log Analytics: raw columns of both tables, so that audit/parse.py decides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from azure.monitor.query import LogsQueryPartialResult, LogsQueryResult
from django.conf import settings

from kvadmin.gateway.classify import Need, call
from kvadmin.gateway.client import logs_client, logs_limiter
from kvadmin.gateway.errors import Throttled, refused
from kvadmin.gateway.paging import Patience

DEDICATED, SHARED = "AZKVAuditLogs", "AzureDiagnostics"
# The most rows of one answer: what a worker holds in memory. One more is asked for, so that a cut is noticed; Azure
# itself gives 500,000 or 64 MB.
MOST_ROWS = 10_000
# How long Azure may take, in seconds, and how much longer kvadmin waits for the answer to arrive.
SERVER_SECONDS, GRACE_SECONDS = 60, 15
NEED = Need(role="Log Analytics Data Reader")
# A job waits: a 429 is obeyed, and what heals within a minute or two is no failure.
INGEST = Patience(tries=4, longest=60.0)
Answer = LogsQueryResult | LogsQueryPartialResult

OBJECT_ID_URI = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN_URI = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
NAME_URI = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
ALIKE = ("OperationName", "ResultSignature", "ResultDescription", "CorrelationId", "TenantId")
# AzureDiagnostics makes a column out of every claim, with a suffix for the type of the value. The name of a claim in
# both tables' rows is the one on the left; a column can end in _s in one workspace and in _g in another.
CLAIM_COLUMNS = {
    "oid": "identity_claim_oid",
    "appid": "identity_claim_appid",
    "appidacr": "identity_claim_appidacr",
    "upn": "identity_claim_upn",
    "unique_name": "identity_claim_unique_name",
    "scp": "identity_claim_scp",
    "idtyp": "identity_claim_idtyp",
    "ipaddr": "identity_claim_ipaddr",
    "amr": "identity_claim_amr",
    "home_oid": "identity_claim_home_oid",
    "xms_mirid": "identity_claim_xms_mirid",
    "xms_az_nwperimid": "identity_claim_xms_az_nwperimid",
    OBJECT_ID_URI: "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier",
    UPN_URI: "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn",
    NAME_URI: "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_name",
}
# The rows come whole, as a bag of the columns that hold something: a column that no row has used yet does not exist
# (naming it would be refused), a full table moves columns into AdditionalFields, and the SDK spends its time per cell.
# Left out, because they would swamp everything else and tell nothing: Resource Graph's own reading of vaults, and the
# lists of kvadmin's sweep. The time asked for travels beside the query, as its timespan.
_AGENT = 'column_ifexists("clientInfo_s", "")'
_APP_ID = 'tostring(column_ifexists("identity_claim_appid_g", column_ifexists("identity_claim_appid_s", "")))'
QUERY = f"""
union isfuzzy=true
({DEDICATED}
 | where not(OperationName == "VaultGet" and ClientInfo startswith "AzureResourceGraph")
 | where not(OperationName startswith "SecretList" and ClientInfo startswith "kvadmin/"
             and (OWN == "" or tostring(Identity.claim.appid) == OWN))
 | project Source = "{DEDICATED}", TimeGenerated, VaultId = tolower(_ResourceId), Raw = pack_all(true)),
({SHARED}
 | where ResourceProvider == "MICROSOFT.KEYVAULT" and Category == "AuditEvent"
 | where not(OperationName == "VaultGet" and tostring({_AGENT}) startswith "AzureResourceGraph")
 | where not(OperationName startswith "SecretList" and tostring({_AGENT}) startswith "kvadmin/"
             and (OWN == "" or {_APP_ID} == OWN))
 | project Source = "{SHARED}", TimeGenerated, VaultId = tolower(_ResourceId), Raw = pack_all(true))
| order by TimeGenerated asc
| take {MOST_ROWS + 1}
""".strip()


def query() -> str:
    """QUERY with kvadmin's own app id in it, so that nobody lists unseen under a borrowed User-Agent.

    Where the app id is not told (a system-assigned identity), the User-Agent alone decides which lists are left out.
    """
    return QUERY.replace("OWN", literal(settings.KVADMIN_CLIENT_ID.lower()))


@dataclass(frozen=True)
class LogPage:
    """The rows of a window, oldest first. `partial`: Azure, or MOST_ROWS, left some out, and `note` says why.

    `complete_until`: where MOST_ROWS cut, the moment before which nothing is missing; None where Azure did.

    Each row has the keys Source, TimeGenerated (aware), VaultId (lower-case ARM id), OperationName, Status (int or
    None), ResultSignature, ResultDescription, CorrelationId, CallerIp, ClientInfo, ObjectUrl, RequestUri, DurationMs
    (int or None), TenantId, Claims (a dict, by the claims' own names) and Raw (the columns that had a value, as they
    came). Missing text is "".
    """

    rows: list[dict[str, Any]]
    partial: bool = False
    note: str = ""
    complete_until: datetime | None = None


def query_audit(workspace_id: str, start: datetime, end: datetime) -> LogPage:
    """The access log of every vault that sends it to this workspace, from `start` until `end` (aware datetimes).

    `workspace_id` is the workspace's GUID (its customerId). Every kind of row is there, the 401 of a first call too,
    except Resource Graph's VaultGet and kvadmin's own list calls.

    Raises:
        NoTable: neither table exists there yet ("no-table").
        NotFound: there is no such workspace.
        Denied, Throttled, ServerError, Unreachable, BadAnswer, SignInFailed, Refused: as their names say.
    """
    return _ask(lambda: logs_client().query_workspace(workspace_id, query(), **_window(start, end)))


def query_audit_of_vault(resource_id: str, start: datetime, end: datetime) -> LogPage:
    """The access log of one vault, wherever it sends it: for a vault whose workspace is not known or not readable.

    `resource_id` is the vault's ARM id. Azure leaves out without a word what lies in workspaces that the identity may
    not read; so an answer without rows does not say that there are none.

    Raises:
        NoTable: neither table exists in a workspace that can be read ("no-table").
        Denied, NotFound, Throttled, ServerError, Unreachable, BadAnswer, SignInFailed, Refused: as their names say.
    """
    return _ask(lambda: logs_client().query_resource(resource_id, query(), **_window(start, end)))


def literal(text: str) -> str:
    """`text` as a KQL literal that Azure keeps out of its own query log; compare it only with `==` or `in`.

    Raises:
        Refused: the text has a line break or another control character, which no literal can hold.
    """
    if any(ord(character) < 32 or character in "\x7f\x85\u2028\u2029" for character in text):
        raise refused("A search text for the access log cannot contain line breaks or control characters.")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'h"{escaped}"'


def _ask(ask: Callable[[], Answer]) -> LogPage:
    """One query, when it is its turn: Azure counts all of an identity's queries together."""
    limiter = logs_limiter()
    with limiter.turn():
        try:
            answer = call(ask, NEED)
        except Throttled as error:
            if error.retry_after:
                limiter.hold(error.retry_after)
            raise
    # A row that cannot be read is an answer that cannot be trusted: the same care as for the call itself.
    return call(lambda: _page(answer))


def _window(start: datetime, end: datetime) -> dict[str, Any]:
    return {
        "timespan": (start.astimezone(UTC), end.astimezone(UTC)),
        "server_timeout": SERVER_SECONDS,
        "read_timeout": SERVER_SECONDS + GRACE_SECONDS,
    }


def _page(answer: Answer) -> LogPage:
    partial = isinstance(answer, LogsQueryPartialResult)
    tables = answer.partial_data if isinstance(answer, LogsQueryPartialResult) else answer.tables
    rows = [_row(dict(zip(table.columns, row, strict=True))) for table in tables for row in table.rows]
    if partial:
        return LogPage(rows, partial=True, note=_note(cast(LogsQueryPartialResult, answer)))
    if len(rows) > MOST_ROWS:
        note = f"There are more than {MOST_ROWS:,} rows in this window."
        return LogPage(rows[:MOST_ROWS], partial=True, note=note, complete_until=rows[MOST_ROWS]["TimeGenerated"])
    return LogPage(rows)


def _note(answer: LogsQueryPartialResult) -> str:
    """Why it is partial. The telling text stands only in the details' inner errors (azure-sdk-for-python#25137)."""
    details = getattr(answer.partial_error, "details", None) or []
    inner = (detail.get("innererror") for detail in details if isinstance(detail, Mapping))
    texts = [str(error.get("message", "")) for error in inner if isinstance(error, Mapping)]
    return " ".join(filter(None, texts)) or "Azure left rows out, and gave no reason."


def _row(cells: Mapping[str, Any]) -> dict[str, Any]:
    source, raw = cells["Source"], _object(cells["Raw"])
    return {
        "Source": source,
        "TimeGenerated": cells["TimeGenerated"].astimezone(UTC),
        "VaultId": cells["VaultId"],
        **{name: raw.get(name, "") for name in ALIKE},
        "DurationMs": _number(raw.get("DurationMs")),
        **(_dedicated(raw) if source == DEDICATED else _shared(raw)),
        "Raw": raw,
    }


def _dedicated(raw: dict[str, Any]) -> dict[str, Any]:
    if "Identity" in raw:
        raw["Identity"] = _object(raw["Identity"])
    return {
        "Status": _number(raw.get("HttpStatusCode")),
        "CallerIp": raw.get("CallerIpAddress", ""),
        "ClientInfo": raw.get("ClientInfo", ""),
        "ObjectUrl": raw.get("Id", ""),
        "RequestUri": raw.get("RequestUri", ""),
        "Claims": _object(raw.get("Identity", {}).get("claim")),
    }


def _shared(raw: dict[str, Any]) -> dict[str, Any]:
    """AzureDiagnostics; the columns that a full table had no room for stand in AdditionalFields."""
    if "AdditionalFields" in raw:
        raw["AdditionalFields"] = _object(raw["AdditionalFields"])
    cells = {**raw.get("AdditionalFields", {}), **raw}
    return {
        "Status": _number(cells.get("httpStatusCode_d", cells.get("httpStatusCode_s"))),
        "CallerIp": cells.get("CallerIPAddress", ""),
        "ClientInfo": cells.get("clientInfo_s", ""),
        "ObjectUrl": cells.get("id_s", ""),
        "RequestUri": cells.get("requestUri_s", ""),
        "Claims": _claims(cells),
    }


def _claims(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The claims under their own names; the suffix of a column follows the type that Azure took the value for."""
    found = {name: cells.get(f"{column}_g") or cells.get(f"{column}_s") for name, column in CLAIM_COLUMNS.items()}
    return {name: value for name, value in found.items() if value}


def _object(value: Any) -> dict[str, Any]:
    """A dynamic value, which travels as JSON text; {} when it holds no object."""
    read = json.loads(value) if isinstance(value, str) and value else value
    return read if isinstance(read, dict) else {}


def _number(value: Any) -> int | None:
    """A whole number: AzureDiagnostics keeps it as a real, and the raw events as text."""
    return None if value in (None, "") else int(float(value))
