"""Raw log row -> who, via which client, what, and what came of it. Pure functions: no database, no clock, no network.

A row has the keys of kvadmin.gateway.logs.query_audit. The rules are Azure's own habits, seen in real records:
ResultType says "Success" on refused calls too, so only the HTTP status counts; a successful read of the latest version
names the version in the object's URL and not in the request's; lists and challenges name no object at all.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from audit.models import AccessEvent
from audit.shapes import SCHEMA_CLAIMS, as_dict, as_int

Outcome = AccessEvent.Outcome
Kind = AccessEvent.Kind

# Operations that hand out a value. A backup holds every version; a certificate's private key is read as a secret.
READS = frozenset({"SecretGet", "SecretBackup"})

# Client applications of Microsoft that act for a person: the token's appid.
CLIENTS = {
    "04b07795-8ddb-461a-bbee-02f9e1bf7b46": "Azure CLI",
    "1950a258-227b-4e31-a9cf-717495945fc2": "Azure PowerShell",
    "c44b4083-3bb0-49c1-b47d-974e53cbdf3c": "Azure portal",
    "3686488a-04fc-4d8a-b967-61f98ec41efe": "Azure portal",
}
# What a User-Agent says of itself, most telling first. It is the caller's own word: anybody can write anything there.
_AGENTS = (
    (re.compile(r"^kvadmin/", re.I), "kvadmin, by its own word"),
    (re.compile(r"\bAZURECLI/", re.I), "Azure CLI"),
    (re.compile(r"\bAzurePowershell|\bPSVersion", re.I), "Azure PowerShell"),
    (re.compile(r"\bterraform", re.I), "Terraform"),
    (re.compile(r"^AzureResourceGraph", re.I), "Azure Resource Graph"),
    (re.compile(r"\bazsdk-python-|\bAzure-SDK-For-Python", re.I), "Azure SDK for Python"),
    (re.compile(r"\bazsdk-net-", re.I), "Azure SDK for .NET"),
    (re.compile(r"\bazsdk-java-", re.I), "Azure SDK for Java"),
    (re.compile(r"\bazsdk-js-", re.I), "Azure SDK for JavaScript"),
    (re.compile(r"\bazsdk-go-", re.I), "Azure SDK for Go"),
    (re.compile(r"^Mozilla/"), "Browser"),
)
_SIGNATURES = {
    "ok": 200,
    "created": 201,
    "accepted": 202,
    "no content": 204,
    "bad request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not found": 404,
    "conflict": 409,
}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
_REVEAL = re.compile(r"\bkvadmin/\S+ (?:reveal|act)/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.I)
_VERSION = re.compile(r"[0-9a-f]{32}", re.I)
_FRACTION = re.compile(r"(\.\d{6})\d+")


class Unreadable(ValueError):
    """The row lacks what makes it an event: its time, its operation or its vault."""


@dataclass(frozen=True, slots=True)
class Event:
    """One row, normalised: the columns of AccessEvent that come from Azure. Texts fit their columns."""

    fingerprint: str
    at: datetime
    vault: str
    operation: str
    object_kind: str
    name: str
    version: str
    status: int | None
    outcome: str
    who: str
    who_kind: str
    via: str
    app_id: str
    object_id: str
    address: str
    agent: str
    correlation_id: str
    reveal_id: uuid.UUID | None
    is_read: bool
    source: str
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    who: str
    kind: str
    via: str
    app_id: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Thing:
    """What was acted on: "secrets", "deletedsecrets", "keys" ..., its lower-case name, and its version, if told."""

    kind: str = ""
    name: str = ""
    version: str = ""


def parse(row: Mapping[str, Any]) -> Event:
    """Normalise one row. Raises Unreadable when it has no time, operation or vault."""
    operation, agent = text(row, "OperationName"), text(row, "ClientInfo")
    if not operation:
        raise Unreadable("The row names no operation.")
    caller, thing = caller_of(as_dict(row.get("Claims")), agent), thing_of(row)
    status = status_of(row)
    outcome = outcome_of(status)
    return Event(
        fingerprint=fingerprint(row),
        at=time_of(row),
        vault=_fit(vault_of(row), 127),
        operation=_fit(operation, 64),
        object_kind=_fit(thing.kind, 20),
        name=_fit(thing.name, 127),
        version=_fit(thing.version, 32),
        status=status,
        outcome=outcome,
        who=_fit(caller.who, 300),
        who_kind=caller.kind,
        via=_fit(caller.via, 100),
        app_id=_fit(caller.app_id, 36),
        object_id=_fit(caller.object_id, 36),
        address=_fit(text(row, "CallerIp"), 45),
        agent=_fit(agent, 500),
        correlation_id=_fit(text(row, "CorrelationId").lower(), 64),
        reveal_id=reveal_id_of(agent),
        is_read=is_read(operation, outcome),
        source=_fit(text(row, "Source"), 20),
        raw=storable(as_dict(row.get("Raw"))),
    )


# --- When, where, what came of it ------------------------------------------------------------------------------------
def time_of(row: Mapping[str, Any]) -> datetime:
    """The event's time in UTC. Azure writes seven digits of a second; the seventh is dropped, as its SDK does."""
    value = row.get("TimeGenerated")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(_FRACTION.sub(r"\1", value.strip()))
        except ValueError:
            raise Unreadable("The row's time cannot be read.") from None
    if not isinstance(value, datetime):
        raise Unreadable("The row has no time.")
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def vault_of(row: Mapping[str, Any]) -> str:
    """The vault's lower-case name: the resource id's last part, else the first label of the vault's own host."""
    resource = text(row, "VaultId").lower().rstrip("/")
    if "/vaults/" in resource:
        return resource.rsplit("/", 1)[1]
    for url in (text(row, "ObjectUrl"), text(row, "RequestUri")):
        label, _, rest = _host(url).partition(".")
        if label and rest.startswith("vault."):
            return label
    raise Unreadable("The row names no vault.")


def status_of(row: Mapping[str, Any]) -> int | None:
    """The HTTP status, else the one that ResultSignature names, else None."""
    status = as_int(row.get("Status"))
    if status is None or not 100 <= status <= 599:
        status = _SIGNATURES.get(text(row, "ResultSignature").lower())
    return status


def outcome_of(status: int | None) -> str:
    """What came of it, from the HTTP status alone."""
    if status is None:
        return Outcome.UNKNOWN
    if status < 400:
        return Outcome.OK
    return {401: Outcome.DENIED, 403: Outcome.DENIED, 404: Outcome.MISSING}.get(status, Outcome.FAILED)


def is_read(operation: str, outcome: str) -> bool:
    """Whether a value left the vault. A read whose outcome Azure does not tell counts: better one too many."""
    return operation in READS and outcome in {Outcome.OK, Outcome.UNKNOWN}


# --- Who -------------------------------------------------------------------------------------------------------------
def caller_of(claims: Mapping[str, Any], agent: str) -> Caller:
    """Who called and through what. Rows of a challenge carry no claims: nobody has said who they are yet."""
    app_id, object_id = text(claims, "appid").lower(), _claim(claims, "oid").lower()
    kind = kind_of(claims)
    return Caller(
        who=_person(claims, object_id) if kind == Kind.PERSON else _application(claims, app_id, object_id),
        kind=kind,
        via=client_of(app_id, agent) if kind == Kind.PERSON else client_of("", agent),
        app_id=app_id,
        object_id=object_id,
    )


def kind_of(claims: Mapping[str, Any]) -> str:
    """A token is an application's if idtyp says so or, where idtyp is missing, if it has no scope and no user name."""
    if not _claim(claims, "oid") and not text(claims, "appid") and not _name(claims) and not text(claims, "xms_mirid"):
        return Kind.UNKNOWN
    idtyp = text(claims, "idtyp").lower()
    if idtyp == "user" or (not idtyp and (text(claims, "scp") or _name(claims))):
        return Kind.PERSON
    return Kind.MANAGED_IDENTITY if text(claims, "xms_mirid") else Kind.APP


def _name(claims: Mapping[str, Any]) -> str:
    """Guests with a Microsoft account have no upn. Their "live.com#" stays: it is what tells them from a namesake."""
    return _claim(claims, "upn") or text(claims, "unique_name") or _claim(claims, "name")


def _person(claims: Mapping[str, Any], object_id: str) -> str:
    """Never the appid: a person's token carries that of the client, which thousands share."""
    return _name(claims) or object_id


def _application(claims: Mapping[str, Any], app_id: str, object_id: str) -> str:
    """A managed identity is known by its resource, such as .../Microsoft.Web/sites/shop."""
    return text(claims, "xms_mirid").rstrip("/").rsplit("/", 1)[-1] or app_id or object_id


def client_of(app_id: str, agent: str) -> str:
    """The client: by the token's appid, which cannot be forged, else by what the User-Agent says of itself."""
    if app_id in CLIENTS:
        return CLIENTS[app_id]
    if _GUID.fullmatch(agent.strip()):
        return CLIENTS.get(agent.strip().lower(), "")
    for pattern, name in _AGENTS:
        if pattern.search(agent):
            return name
    return re.split(r"[/\s(]", agent.strip(), maxsplit=1)[0]


def reveal_id_of(agent: str) -> uuid.UUID | None:
    """The act that a User-Agent such as "kvadmin/1.0 act/<id> ..." claims to be: see audit/match.py.

    A reveal says "reveal/<id>", and every other act "act/<id>".
    """
    found = _REVEAL.search(agent)
    return uuid.UUID(found[1]) if found else None


# --- What ------------------------------------------------------------------------------------------------------------
def thing_of(row: Mapping[str, Any]) -> Thing:
    """What was acted on: the object's URL where the row has one, else the path of a request to the vault itself."""
    operation = text(row, "OperationName")
    if operation.startswith("CertificateContacts"):
        return Thing("contacts")  # /certificates/contacts is no certificate
    thing = _from_path(text(row, "ObjectUrl"))
    if thing.kind:
        return thing
    request = text(row, "RequestUri")
    if _is_control_plane(request):
        return Thing("vaults")
    thing = _from_path(request)
    if operation.endswith("Restore"):
        return Thing(thing.kind)  # POST /secrets/restore: "restore" is the verb there, and no secret's name
    return thing


def _from_path(url: str) -> Thing:
    """/secrets/NAME/VERSION, /deletedsecrets/NAME, /certificates/issuers/NAME: case, port and query do not matter."""
    parts = [unquote(part) for part in _path(url).lower().split("/") if part]
    if parts[:2] == ["certificates", "issuers"]:
        parts = parts[1:]
    kind, name, version = (*parts, "", "", "")[:3]
    return Thing(kind, name, version if _VERSION.fullmatch(version) else "")


def _is_control_plane(url: str) -> bool:
    """management.azure.com, REGION.management.azure.com, control-prod-*.vaultcore.azure.net, in any cloud."""
    host = _host(url)
    return host.startswith("management.") or ".management." in host or ".vaultcore." in host


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


# --- The same event twice --------------------------------------------------------------------------------------------
def fingerprint(row: Mapping[str, Any]) -> str:
    """The same for one event from either table, any workspace, any query. Without a correlation id more is asked.

    Not the caller or the status: they are written differently, or left out, from table to table.
    """
    correlation = text(row, "CorrelationId").lower()
    same = [correlation, text(row, "OperationName"), time_of(row).isoformat(timespec="microseconds")]
    same += [vault_of(row), text(row, "RequestUri")]
    if not correlation:
        same += [text(row, "ObjectUrl"), text(row, "CallerIp"), text(row, "ClientInfo")]
    return hashlib.sha256(json.dumps(same).encode()).hexdigest()


# --- Texts -----------------------------------------------------------------------------------------------------------
def text(row: Mapping[str, Any], key: str) -> str:
    """A cell's text; "" when absent. The SDK writes the word None for an empty cell of type guid."""
    value = row.get(key)
    return "" if value is None or value == "None" or isinstance(value, (dict, list)) else str(value)


def _claim(claims: Mapping[str, Any], name: str) -> str:
    """A claim by its short name, else by the schema URI that rows of the control plane use."""
    return text(claims, name) or text(claims, SCHEMA_CLAIMS[name])


def _fit(value: str, width: int) -> str:
    """Cut to the column, without what PostgreSQL cannot store: NUL and half a surrogate pair."""
    return value.replace("\x00", "�").encode("utf-8", "replace").decode()[:width]


def storable(value: Any) -> Any:
    """JSON that every database takes: no NUL, no half surrogates, no NaN; times as text."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return _storable(value)
    # What is in order already, as nearly every record is, is kept as it is: looking takes a tenth of the time.
    suspect = len(text) > 100_000 or "\\u0000" in text or "\\ud" in text
    return _storable(value) if suspect else value


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_fit(str(key), 500): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _fit(value.isoformat() if isinstance(value, datetime) else str(value), 100_000)
