"""Where a vault's access log goes: its diagnostic settings, and the workspaces that they name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from kvadmin.gateway.classify import Need, call
from kvadmin.gateway.errors import Denied, GatewayError, NotFound
from kvadmin.gateway.paging import SWEEP, Patience
from kvadmin.gateway.resources import one, pages, resource_path

SETTINGS_API = "2021-05-01-preview"
WORKSPACES_API = "2023-09-01"
SETTINGS_READER = Need("Monitoring Reader")
WORKSPACE_READER = Need("Log Analytics Reader")
# The groups of a diagnostic setting that hold a vault's access log, besides its own category AuditEvent.
_GROUPS = {"audit", "allLogs"}
# The subscription has never used diagnostic settings: the service behind them is not even registered.
_UNREGISTERED = {"NoRegisteredProviderFound", "MissingSubscriptionRegistration", "SubscriptionNotRegistered"}
Workspaces = dict[str, tuple[str, int | None]]  # ARM id in lower case: GUID, and the days it keeps its rows


@dataclass(frozen=True, slots=True)
class Setting:
    """One diagnostic setting: what it sends, and where to. Ids are ARM's; `retention_days` is the workspace's."""

    name: str
    categories: tuple[str, ...]
    workspace: str = ""
    storage_account: str = ""
    event_hub: str = ""
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Where a vault's access log goes.

    `state` is "ok", "no-setting", "not-to-workspace" or "unreadable"; `workspace_id` the GUID that queries name the
    workspace by; `dedicated` True for the table AZKVAuditLogs, False for AzureDiagnostics. `settings` are all that the
    vault has, also those that send no access log; two answers are equal when they come to the same.
    """

    state: str
    workspace_id: str = ""
    retention_days: int | None = None
    dedicated: bool = False
    settings: tuple[Setting, ...] = field(default=(), compare=False)


def diagnostics(vault_resource_id: str, *, known: Workspaces | None = None, patience: Patience = SWEEP) -> Diagnostics:
    """Where the vault's access log goes. `known` keeps workspaces for the next vault: hand the same one in again.

    A refusal is a state, "unreadable", and no error: kvadmin shows such a vault as one it is blind for.

    Raises:
        GatewayError: the vault is unknown, or Azure could not be asked.
    """
    path = (
        f"{resource_path(vault_resource_id)}/providers/Microsoft.Insights/diagnosticSettings?api-version={SETTINGS_API}"
    )
    try:
        items = [item for page in pages(path, patience, SETTINGS_READER) for item in page]
    except Denied:
        return Diagnostics("unreadable")
    except GatewayError as error:
        if error.inner not in _UNREGISTERED:
            raise
        items = []
    known = {} if known is None else known
    found = call(lambda: [item["properties"] for item in items if _logs_access(item["properties"])])
    best = _best(found, known, patience)
    return replace(best, settings=tuple(call(lambda: [_setting(item, known) for item in items])))


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
    try:
        body = one(f"{resource_path(resource_id)}?api-version={WORKSPACES_API}", patience, WORKSPACE_READER)
    except (Denied, NotFound):
        return "", None
    return call(lambda: (body["properties"]["customerId"], body["properties"].get("retentionInDays")))


def _setting(item: dict[str, Any], known: Workspaces) -> Setting:
    properties = item["properties"]
    logs = [log for log in properties.get("logs") or [] if log.get("enabled")]
    workspace = properties.get("workspaceId") or ""
    hub = properties.get("eventHubName") or properties.get("eventHubAuthorizationRuleId") or ""
    return Setting(
        name=str(item.get("name") or ""),
        categories=tuple(str(log.get("category") or log.get("categoryGroup") or "") for log in logs),
        workspace=workspace,
        storage_account=properties.get("storageAccountId") or "",
        event_hub=hub,
        retention_days=known.get(workspace.lower(), ("", None))[1],
    )
