"""Raw log row -> who, via which client, what, and what came of it. Pure functions: no database, no clock, no network.

A row has the keys of kvadmin.gateway.logs.query_audit. The rules are Azure's own habits, seen in real records:
ResultType says "Success" on refused calls too, so only the HTTP status counts; a successful read of the latest version
names the version in the object's URL and not in the request's; lists and challenges name no object at all.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from audit.callers import caller_of
from audit.models import AccessEvent
from audit.shapes import as_dict, as_int
from audit.texts import fit, storable, text

Outcome = AccessEvent.Outcome

# Operations that hand out a value. A backup holds every version; a certificate's private key is read as a secret.
READS = frozenset({"SecretGet", "SecretBackup"})

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
        vault=fit(vault_of(row), 127),
        operation=fit(operation, 64),
        object_kind=fit(thing.kind, 20),
        name=fit(thing.name, 127),
        version=fit(thing.version, 32),
        status=status,
        outcome=outcome,
        who=fit(caller.who, 300),
        who_kind=caller.kind,
        via=fit(caller.via, 100),
        app_id=fit(caller.app_id, 36),
        object_id=fit(caller.object_id, 36),
        address=fit(text(row, "CallerIp"), 45),
        agent=fit(agent, 500),
        correlation_id=fit(text(row, "CorrelationId").lower(), 64),
        reveal_id=reveal_id_of(agent),
        is_read=is_read(operation, outcome),
        source=fit(text(row, "Source"), 20),
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
