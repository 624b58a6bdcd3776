"""The control plane: which vaults and subscriptions there are, and where a vault's access log goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core.rest import HttpRequest, HttpResponse
from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions, QueryResponse, ResultFormat
from django.conf import settings

from kvadmin.gateway.classify import Need, call, from_response
from kvadmin.gateway.client import arm_client, cloud, graph_client
from kvadmin.gateway.errors import Denied, GatewayError, NotFound, error_for, refused
from kvadmin.gateway.paging import SWEEP, Page, Patience, follow, read_page

SUBSCRIPTIONS_API = "2022-12-01"
VAULTS_API = "2026-05-15"
SETTINGS_API = "2021-05-01-preview"
WORKSPACES_API = "2023-09-01"
GRAPH_ROWS = 1_000
# Resource Graph pages only what projects `id`.
GRAPH_QUERY = (
    "Resources | where type =~ 'microsoft.keyvault/vaults' | extend p=properties "
    "| project id,name,subscriptionId,resourceGroup,location,tags,uri=tostring(p.vaultUri),"
    "rbac=tobool(p.enableRbacAuthorization),purgeProt=tobool(p.enablePurgeProtection),"
    "days=toint(p.softDeleteRetentionInDays),pna=tostring(p.publicNetworkAccess)"
)
READER = Need("Reader")
SETTINGS_READER = Need("Monitoring Reader")
WORKSPACE_READER = Need("Log Analytics Reader")
NOTHING_SHOWN = "Azure showed kvadmin no key vault at all: its identity may be missing the role Reader."
NOT_SEEN = "KVADMIN_SUBSCRIPTIONS names it, but Azure does not show it to kvadmin."
_VAULTS = f"/providers/Microsoft.KeyVault/vaults?api-version={VAULTS_API}"
_START = "first page"  # stands for the skip token that Resource Graph's first page has not
# The groups of a diagnostic setting that hold a vault's access log, besides its own category AuditEvent.
_GROUPS = {"audit", "allLogs"}
# The subscription has never used diagnostic settings: the service behind them is not even registered.
_UNREGISTERED = {"NoRegisteredProviderFound", "MissingSubscriptionRegistration", "SubscriptionNotRegistered"}


@dataclass(frozen=True, slots=True)
class VaultInfo:
    """A vault as Azure Resource Manager describes it. `resource_id` and `subscription_id` are lower-case."""

    resource_id: str
    name: str
    uri: str
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str]
    rbac: bool
    purge_protection: bool
    soft_delete_days: int
    public_network: bool


@dataclass(frozen=True, slots=True)
class Vaults:
    """The vaults that kvadmin may see. While there are problems, one that is missing is not known to be gone.

    `source` is "resource-graph" or "subscriptions", by whom they were told.
    """

    found: list[VaultInfo] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    source: str = "resource-graph"


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Where a vault's access log goes.

    `state` is "ok", "no-setting", "not-to-workspace" or "unreadable"; `workspace_id` the GUID that queries name the
    workspace by; `dedicated` True for the table AZKVAuditLogs, False for AzureDiagnostics.
    """

    state: str
    workspace_id: str = ""
    retention_days: int | None = None
    dedicated: bool = False


Workspaces = dict[str, tuple[str, int | None]]  # ARM id in lower case: GUID, and the days it keeps its rows


def list_subscriptions(*, patience: Patience = SWEEP) -> dict[str, str]:
    """The subscriptions that kvadmin sees, id to name; only those of KVADMIN_SUBSCRIPTIONS, if that is set.

    Raises:
        GatewayError: they could not be listed.
    """
    wanted = _wanted()
    found: dict[str, str] = {}
    for items in _pages(f"/subscriptions?api-version={SUBSCRIPTIONS_API}", patience):
        found |= _names(items)
    return {key: name for key, name in found.items() if not wanted or key in wanted}


def _names(items: list[dict[str, Any]]) -> dict[str, str]:
    return call(lambda: {item["subscriptionId"].lower(): item["displayName"] for item in items})


def _wanted() -> list[str]:
    return [subscription.lower() for subscription in settings.KVADMIN_SUBSCRIPTIONS]


def list_vaults(*, patience: Patience = SWEEP) -> Vaults:
    """The vaults of all subscriptions: from Resource Graph in a few calls, or, if that fails, one by one.

    Raises:
        GatewayError: not even the subscriptions could be listed.
    """
    try:
        found = _from_graph(patience)
    except GatewayError:
        found = None
    return _from_subscriptions(patience) if found is None else found


def _from_graph(patience: Patience) -> Vaults:
    vaults = Vaults()
    for rows in _graph_pages(patience):
        for row in rows:
            _add(vaults, row, dict)
    if not vaults.found:
        vaults.problems.append(NOTHING_SHOWN)
    if _wanted():  # Resource Graph passes over a subscription that it may not show
        unseen = set(_wanted()) - set(list_subscriptions(patience=patience))
        vaults.problems.extend(f"Subscription {subscription}: {NOT_SEEN}" for subscription in sorted(unseen))
    return vaults


def _graph_pages(patience: Patience) -> Iterator[list[dict[str, Any]]]:
    """Resource Graph's pages; its skip tokens are guarded as links are."""

    def fetch(token: str) -> Page:
        answer = patience.call(lambda: call(lambda: _ask_graph(token.removeprefix(_START)), READER))
        if not isinstance(answer.data, list):
            raise error_for("bad-answer", status=200)
        return Page(answer.data, answer.skip_token or "")

    return follow(fetch, _START)


def _ask_graph(token: str) -> QueryResponse:
    options = QueryRequestOptions(top=GRAPH_ROWS, skip_token=token or None, result_format=ResultFormat.OBJECT_ARRAY)
    request = QueryRequest(query=GRAPH_QUERY, subscriptions=_wanted() or None, options=options)
    return graph_client().resources(request)


def _from_subscriptions(patience: Patience) -> Vaults:
    vaults = Vaults(source="subscriptions")
    subscriptions = _wanted() or list(list_subscriptions(patience=patience))
    for subscription in subscriptions:
        try:
            for items in _pages(f"/subscriptions/{quote(subscription, safe='')}{_VAULTS}", patience):
                for item in items:
                    _add(vaults, item, _flat)
        except GatewayError as error:
            vaults.problems.append(f"Subscription {subscription}: {error.lasting}")
    if not subscriptions:
        vaults.problems.append(NOTHING_SHOWN)
    return vaults


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    """A vault of the list call in the form that GRAPH_QUERY gives."""
    properties, parts = item["properties"], item["id"].split("/")
    return {
        **item,
        "subscriptionId": parts[2],
        "resourceGroup": parts[4],
        "uri": properties.get("vaultUri"),
        "rbac": properties.get("enableRbacAuthorization"),
        "purgeProt": properties.get("enablePurgeProtection"),
        "days": properties.get("softDeleteRetentionInDays"),
        "pna": properties.get("publicNetworkAccess"),
    }


def _add(vaults: Vaults, item: dict[str, Any], flat: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """The item's vault, or, while Azure has not given it an address yet, a problem."""
    info = call(lambda: _info(flat(item)))
    if info.uri:
        vaults.found.append(info)
    else:
        vaults.problems.append(f"Vault {info.name}: Azure has not given it an address yet.")


def _info(row: dict[str, Any]) -> VaultInfo:
    return VaultInfo(
        resource_id=row["id"].lower(),
        name=row["name"],
        uri=row.get("uri") or "",
        subscription_id=row["subscriptionId"].lower(),
        resource_group=row["resourceGroup"],
        location=row.get("location") or "",
        tags={key: str(value or "") for key, value in (row.get("tags") or {}).items()},
        rbac=row.get("rbac") is True,
        purge_protection=row.get("purgeProt") is True,
        soft_delete_days=90 if row.get("days") is None else int(row["days"]),
        public_network=(row.get("pna") or "Enabled").lower() != "disabled",
    )


def diagnostics(vault_resource_id: str, *, known: Workspaces | None = None, patience: Patience = SWEEP) -> Diagnostics:
    """Where the vault's access log goes. `known` keeps workspaces for the next vault: hand the same one in again.

    A refusal is a state, "unreadable", and no error: kvadmin shows such a vault as one it is blind for.

    Raises:
        GatewayError: the vault is unknown, or Azure could not be asked.
    """
    path = f"{_path(vault_resource_id)}/providers/Microsoft.Insights/diagnosticSettings?api-version={SETTINGS_API}"
    try:
        items = [item for page in _pages(path, patience, SETTINGS_READER) for item in page]
    except Denied:
        return Diagnostics("unreadable")
    except GatewayError as error:
        if error.inner not in _UNREGISTERED:
            raise
        items = []
    found = call(lambda: [item["properties"] for item in items if _logs_access(item["properties"])])
    return _best(found, {} if known is None else known, patience)


def _logs_access(setting: dict[str, Any]) -> bool:
    """Whether the setting sends the access log anywhere at all."""
    return any(
        log.get("enabled") and (log.get("category") == "AuditEvent" or log.get("categoryGroup") in _GROUPS)
        for log in setting.get("logs") or []
    )


def _best(found: list[dict[str, Any]], known: Workspaces, patience: Patience) -> Diagnostics:
    """The first of up to five settings whose workspace can be read."""
    if not found:
        return Diagnostics("no-setting")
    with_workspace = [setting for setting in found if setting.get("workspaceId")]
    for setting in with_workspace:
        workspace_id, days = _workspace(setting["workspaceId"], known, patience)
        if workspace_id:
            dedicated = setting.get("logAnalyticsDestinationType") == "Dedicated"
            return Diagnostics("ok", workspace_id, days, dedicated)
    return Diagnostics("unreadable" if with_workspace else "not-to-workspace")


def _workspace(resource_id: str, known: Workspaces, patience: Patience) -> tuple[str, int | None]:
    """The workspace's GUID, "" when kvadmin may not see it, and for how many days it keeps what it gets."""
    key = resource_id.lower()
    if key not in known:
        known[key] = _read_workspace(resource_id, patience)
    return known[key]


def _read_workspace(resource_id: str, patience: Patience) -> tuple[str, int | None]:
    path = f"{_path(resource_id)}?api-version={WORKSPACES_API}"
    try:
        body = patience.call(lambda: call(lambda: _body(_get(path), WORKSPACE_READER)))
    except (Denied, NotFound):
        return "", None
    return call(lambda: (body["properties"]["customerId"], body["properties"].get("retentionInDays")))


def _pages(path: str, patience: Patience, need: Need = READER) -> Iterator[list[dict[str, Any]]]:
    host = urlsplit(cloud().arm).netloc

    def fetch(link: str) -> Page:
        return patience.call(lambda: call(lambda: read_page(_get(link), host, need)))

    return follow(fetch, path)


def _get(link: str) -> HttpResponse:
    url = link if link.startswith("https://") else f"{cloud().arm}{link}"
    return arm_client().send_request(HttpRequest("GET", url))


def _body(response: HttpResponse, need: Need) -> dict[str, Any]:
    if response.status_code != 200:
        raise from_response(response, need)
    body: dict[str, Any] = json.loads(response.content)
    return body


def _path(resource_id: str) -> str:
    """An ARM id as a path.

    Raises:
        Refused: it is no ARM id; nothing is sent.
    """
    parts = resource_id.strip("/").split("/")
    if len(parts) < 8 or parts[0].lower() != "subscriptions" or {"", ".", ".."} & set(parts):
        raise refused("This is not the id of a resource in Azure.")
    return "/" + "/".join(quote(part, safe="()") for part in parts)
