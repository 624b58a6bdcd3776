"""Who called, and through which client: out of a token's claims and the User-Agent. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from audit.models import AccessEvent
from audit.shapes import SCHEMA_CLAIMS
from audit.texts import text

Kind = AccessEvent.Kind

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
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)


@dataclass(frozen=True, slots=True)
class Caller:
    who: str
    kind: str
    via: str
    app_id: str
    object_id: str


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


def _claim(claims: Mapping[str, Any], name: str) -> str:
    """A claim by its short name, else by the schema URI that rows of the control plane use."""
    return text(claims, name) or text(claims, SCHEMA_CLAIMS[name])
