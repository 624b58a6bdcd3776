"""Azure Resource Manager, as far as kvadmin asks it: vaults, subscriptions, diagnostic settings, workspaces."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

from kvadmin.emulator import answers, armjson, authorization, graph
from kvadmin.emulator.answers import Refusal
from kvadmin.emulator.denials import denials_at
from kvadmin.emulator.faults import ARM
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import Identity, audience_of, from_token
from kvadmin.emulator.roles import SEE_DENIALS, SEE_EVERYTHING, SEE_ROLES, SEE_VAULTS
from kvadmin.emulator.state import Azure, Subscription, Vault

PAGE = 100
PROVIDER = "/providers/Microsoft.KeyVault/vaults"
SETTINGS = "/providers/Microsoft.Insights/diagnosticSettings"
ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments"
DENIALS = "/providers/Microsoft.Authorization/denyAssignments"
DEFINITIONS = authorization.DEFINITIONS


@dataclass(frozen=True)
class Call:
    """One authenticated request; `parts` are the named pieces of its path, lower-case."""

    azure: Azure
    request: Request
    identity: Identity
    parts: dict[str, str]


def handle(azure: Azure, request: Request) -> Response:
    """ARM's answer; raises NetworkError for a fault of the network, see `faults.ARM`."""
    with azure.lock:
        name, run, parts = _route(request)
        fault = azure.faults.take(ARM, name)
        replaced = answers.instead(fault, request.host)
        if replaced:
            return replaced
        try:
            call = Call(azure, request, _authenticate(azure, request), parts)
            if fault and fault.kind in REFUSALS:
                raise REFUSALS[fault.kind](fault.retry_after, fault.status, call)
            response = run(call)
        except Refusal as refusal:
            response = refusal.response()
        response.headers |= {"Cache-Control": "no-cache", "x-ms-request-id": str(uuid4()), "Date": _date(azure)}
        return answers.spoil(response, fault, request.host)


def _date(azure: Azure) -> str:
    return format_datetime(azure.clock.now(), usegmt=True)


def _route(request: Request) -> tuple[str, Callable[[Call], Response], dict[str, str]]:
    for name, method, pattern, run in ROUTES:
        found = pattern.fullmatch(request.path) if method == request.method else None
        if found:
            return name, run, {key: text.lower() for key, text in found.groupdict().items()}
    return "", _unknown, {}


def _authenticate(azure: Azure, request: Request) -> Identity:
    try:
        identity, audience = from_token(request.bearer), audience_of(request.bearer)
    except ValueError:
        message = "Authentication failed. The 'Authorization' header is missing."
        raise Refusal(401, "AuthenticationFailed", message, headers=_challenge(azure)) from None
    if audience not in azure.cloud.arm_audiences:
        message = "The access token has been obtained for wrong audience or resource."
        raise Refusal(401, "InvalidAuthenticationTokenAudience", message, headers=_challenge(azure))
    return identity


def _challenge(azure: Azure) -> dict[str, str]:
    authority = f"{azure.cloud.authority}/{azure.tenant_id}"
    return {"WWW-Authenticate": f'Bearer authorization_uri="{authority}", error="invalid_token"'}


def _unknown(call: Call) -> Response:
    raise Refusal(404, "NotFound", "No HTTP resource was found that matches the request URI.")


def _forbidden(call: Call, action: str, scope: str) -> Refusal:
    message = (
        f"The client '{call.identity.app_id}' with object id '{call.identity.object_id}' does not have authorization "
        f"to perform action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, "
        "please refresh your credentials."
    )
    return Refusal(403, "AuthorizationFailed", message)


def _require_api_version(call: Call) -> None:
    if not call.request.query.get("api-version"):
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise Refusal(400, "MissingApiVersionParameter", message)


def subscriptions_seen(call: Call) -> list[Subscription]:
    """The subscriptions in which the caller holds any role, by id."""
    seen = call.azure.assignments.touches
    found = (s for _, s in sorted(call.azure.subscriptions.items()))
    return [s for s in found if seen(call.identity.object_id, s.resource_id.lower())]


def vaults_seen(call: Call) -> list[Vault]:
    """The vaults that ARM shows the caller, by id."""
    found = (v for v in call.azure.vaults.values() if v.visible_in_arm)
    seen = [v for v in found if call.azure.can_read(call.identity, v.resource_id, SEE_VAULTS)]
    return sorted(seen, key=lambda vault: vault.resource_id.lower())


def list_subscriptions(call: Call) -> Response:
    """GET /subscriptions."""
    _require_api_version(call)
    rows = [armjson.subscription(call.azure, s) for s in subscriptions_seen(call)]
    return json_response(200, {"value": rows, "count": {"type": "Total", "value": len(rows)}})


def list_vaults(call: Call) -> Response:
    """GET /subscriptions/{s}/providers/Microsoft.KeyVault/vaults; a page that holds any is followed by another."""
    _require_api_version(call)
    subscription = call.azure.subscriptions.get(call.parts["subscription"])
    if subscription is None:
        message = f"The subscription '{call.parts['subscription']}' could not be found."
        raise Refusal(404, "SubscriptionNotFound", message)
    if subscription not in subscriptions_seen(call):
        raise _forbidden(call, "Microsoft.KeyVault/vaults/read", subscription.resource_id)
    start = _offset(call.request.query.get("$skiptoken", ""))
    vaults = [v for v in vaults_seen(call) if v.subscription_id.lower() == call.parts["subscription"]]
    return _vault_page(call, vaults[start : start + PAGE], start + PAGE)


def _vault_page(call: Call, vaults: list[Vault], following: int) -> Response:
    if not vaults:
        return json_response(200, {"value": []})
    link = _next(call, following)
    return json_response(200, {"value": [armjson.vault(call.azure, v) for v in vaults], "nextLink": link})


def _next(call: Call, following: int) -> str:
    version = call.request.query["api-version"]
    token = base64.urlsafe_b64encode(str(following).encode()).decode()
    return f"https://{call.request.host}{call.request.path}?api-version={version}&$skiptoken={token}"


def _offset(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token or "MA=="))
    except (binascii.Error, ValueError):
        raise Refusal(400, "InvalidSkipToken", "The $skiptoken is invalid.") from None


def get_vault(call: Call) -> Response:
    """GET a vault."""
    vault = _vault(call, SEE_VAULTS, "Microsoft.KeyVault/vaults/read")
    return json_response(200, armjson.vault(call.azure, vault))


def list_settings(call: Call) -> Response:
    """GET {vaultId}/providers/Microsoft.Insights/diagnosticSettings."""
    vault = _vault(call, SEE_EVERYTHING, "Microsoft.Insights/diagnosticSettings/read")
    settings = [armjson.diagnostic_setting(call.azure, vault)] if vault.workspace or vault.storage_account else []
    return json_response(200, {"value": settings})


def _vault(call: Call, right: str, action: str) -> Vault:
    """The vault of the path, for a caller who has the right there; raises the 404 or the 403."""
    _require_api_version(call)
    vault = call.azure.vaults.get(call.parts["vault"])
    if vault is None or not f"{call.request.path.lower()}/".startswith(vault.resource_id.lower() + "/"):
        raise _not_found("Microsoft.KeyVault/vaults", call.parts["vault"], call.parts["group"])
    if not call.azure.can_read(call.identity, vault.resource_id, right):
        raise _forbidden(call, action, vault.resource_id)
    return vault


def list_assignments(call: Call) -> Response:
    """GET {vaultId}/providers/Microsoft.Authorization/roleAssignments, perhaps with $filter=atScope()."""
    scope = _scope_seen(call, ASSIGNMENTS, SEE_ROLES)
    below = call.request.query.get("$filter", "") != "atScope()"
    return _page(call, authorization.assignments_at(call.azure, scope, below=below))


def list_denials(call: Call) -> Response:
    """GET {vaultId}/providers/Microsoft.Authorization/denyAssignments."""
    return _page(call, denials_at(call.azure.denials, _scope_seen(call, DENIALS, SEE_DENIALS)))


def _scope_seen(call: Call, suffix: str, action: str) -> str:
    """The lower-case id of the vault in the path, for a caller who may do this there; raises the 404 or the 403."""
    _require_api_version(call)
    scope = call.request.path[: -len(suffix)]
    if call.parts["vault"] not in call.azure.vaults:
        raise _not_found("Microsoft.KeyVault/vaults", call.parts["vault"], call.parts["group"])
    if not call.azure.assignments.action(call.identity.object_id, action, scope.lower()):
        raise _forbidden(call, action, scope)
    return scope.lower()


def _page(call: Call, rows: list[dict[str, Any]]) -> Response:
    start = _offset(call.request.query.get("$skiptoken", ""))
    more = _next(call, start + PAGE) if start + PAGE < len(rows) else None
    return json_response(200, {"value": rows[start : start + PAGE], "nextLink": more})


def get_definition(call: Call) -> Response:
    """GET {subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}."""
    _require_api_version(call)
    scope = f"/subscriptions/{call.parts['subscription']}"
    if not call.azure.assignments.touches(call.identity.object_id, scope):
        raise _forbidden(call, "Microsoft.Authorization/roleDefinitions/read", scope)
    found = authorization.definition(call.azure, call.parts["role"], scope)
    if found is None:
        message = f"The specified role definition with ID '{call.parts['role']}' does not exist."
        raise Refusal(404, "RoleDefinitionDoesNotExist", message)
    return json_response(200, found)


def get_workspace(call: Call) -> Response:
    """GET a Log Analytics workspace."""
    _require_api_version(call)
    workspace = call.azure.workspaces.get(call.request.path.lower())
    if workspace is None:
        kind = "Microsoft.OperationalInsights/workspaces"
        raise _not_found(kind, call.parts["workspace"], call.parts["group"])
    if not call.azure.can_read(call.identity, workspace.resource_id):
        raise _forbidden(call, "Microsoft.OperationalInsights/workspaces/read", workspace.resource_id)
    return json_response(200, armjson.workspace(workspace))


def _not_found(kind: str, name: str, group: str) -> Refusal:
    message = (
        f"The Resource '{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix"
    )
    return Refusal(404, "ResourceNotFound", message)


def query_graph(call: Call) -> Response:
    """POST /providers/Microsoft.ResourceGraph/resources: the vaults or the subscriptions that the caller may see."""
    _require_api_version(call)
    tables = {
        graph.VAULTS: [armjson.graph_row(armjson.vault(call.azure, v), v) for v in vaults_seen(call)],
        graph.SUBSCRIPTIONS: [armjson.container_row(call.azure, s) for s in subscriptions_seen(call)],
    }
    try:
        body = json.loads(call.request.body)
        return json_response(200, graph.answer(body, tables))
    except ValueError as error:
        details = [{"code": "InvalidQuery", "message": str(error)}]
        refused = {
            "code": "BadRequest",
            "message": "Please provide below info when asking for support.",
            "details": details,
        }
        return json_response(400, {"error": refused})


REFUSALS: dict[str, Callable[[int | None, int, Call], Refusal]] = {
    "throttled": lambda after, status, call: answers.throttled(after),
    "server": lambda after, status, call: answers.server_error(status),
    "rbac": lambda after, status, call: _forbidden(call, "*/read", call.request.path),
}


def _route_of(name: str, method: str, path: str, run: Callable[[Call], Response]) -> Route:
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    return name, method, re.compile(pattern, re.IGNORECASE), run


Route = tuple[str, str, re.Pattern[str], Callable[[Call], Response]]
GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
WORKSPACE = f"{GROUP}/providers/Microsoft.OperationalInsights/workspaces/{{workspace}}"
ROUTES: tuple[Route, ...] = (
    _route_of("ResourceGraph", "POST", "/providers/Microsoft.ResourceGraph/resources", query_graph),
    _route_of("Subscriptions", "GET", "/subscriptions", list_subscriptions),
    _route_of("Vaults", "GET", "/subscriptions/{subscription}" + PROVIDER, list_vaults),
    _route_of("Vault", "GET", GROUP + PROVIDER + "/{vault}", get_vault),
    _route_of("RoleAssignments", "GET", GROUP + PROVIDER + "/{vault}" + ASSIGNMENTS, list_assignments),
    _route_of("DenyAssignments", "GET", GROUP + PROVIDER + "/{vault}" + DENIALS, list_denials),
    _route_of("RoleDefinition", "GET", "/subscriptions/{subscription}" + DEFINITIONS + "{role}", get_definition),
    _route_of("DiagnosticSettings", "GET", GROUP + PROVIDER + "/{vault}" + SETTINGS, list_settings),
    _route_of("Workspace", "GET", WORKSPACE, get_workspace),
)
