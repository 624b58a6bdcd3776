"""Key Vault's data plane: one request in, one answer out, one row in the audit log."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from urllib.parse import unquote
from uuid import uuid4

from kvadmin.emulator import access, answers, rate, rules
from kvadmin.emulator.access import Caller
from kvadmin.emulator.answers import Refusal
from kvadmin.emulator.bundles import secret_id
from kvadmin.emulator.calls import Call, Operation
from kvadmin.emulator.faults import Fault, NetworkError
from kvadmin.emulator.http import Request, Response
from kvadmin.emulator.objects import Certificate, Key
from kvadmin.emulator.operations import OPERATIONS
from kvadmin.emulator.state import AuditRow, Azure, Vault
from kvadmin.emulator.store import Secret

# Before anybody is known, only the way to the vault can be broken.
NETWORK_FAULTS = frozenset({"dns", "reset"})
FIXED_HEADERS = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "x-ms-keyvault-service-version": "1.9.3070.1",
}


@dataclass
class Exchange:
    """One request on its way through the vault."""

    azure: Azure
    vault: Vault
    request: Request
    operation: Operation | None
    name: str = ""
    version: str = ""
    caller: Caller | None = None
    fault: Fault | None = None
    assignment_id: str = ""
    object_id: str = ""
    description: str = ""

    @property
    def logged_as(self) -> str:
        """The operation's name in the log, "" for a request that is none."""
        if self.caller is None:
            return "Authentication"
        return self.operation.name if self.operation else ""

    @property
    def address(self) -> str:
        """The address that the vault sees."""
        return self.caller.identity.address if self.caller else self.azure.egress_address


def handle(azure: Azure, request: Request) -> Response:
    """The vault's answer; raises NetworkError when there is no such vault or the way to it is broken."""
    with azure.lock:
        exchange = _route(azure, request)
        operation = exchange.operation.name if exchange.operation else ""
        if not request.bearer:
            answers.instead(azure.faults.take(exchange.vault.name, operation, NETWORK_FAULTS), request.host)
            return _finish(exchange, _respond(exchange))
        exchange.fault = azure.faults.take(exchange.vault.name, operation)
        replaced = answers.instead(exchange.fault, request.host)
        return replaced or answers.spoil(_finish(exchange, _respond(exchange)), exchange.fault, request.host)


def _route(azure: Azure, request: Request) -> Exchange:
    name, _, suffix = request.host.partition(".")
    vault = azure.vaults.get(name)
    if vault is None or suffix != vault.suffix:
        raise NetworkError("dns", request.host)
    for operation in OPERATIONS:
        found = operation.path.fullmatch(request.path) if operation.method == request.method else None
        if found:
            parts = {key: unquote(text or "") for key, text in found.groupdict().items()}
            return Exchange(azure, vault, request, operation, parts.get("name", ""), parts.get("version", ""))
    return Exchange(azure, vault, request, None)


def _respond(exchange: Exchange) -> Response:
    try:
        return _perform(exchange)
    except Refusal as refusal:
        exchange.description = refusal.message
        return refusal.response()


def _perform(exchange: Exchange) -> Response:
    exchange.caller = access.authenticate(exchange.azure, exchange.vault, exchange.request)
    operation = exchange.operation
    # PUT needs a name in the path; the service answers 405 and not 400 when it is empty.
    if operation is None or (operation.name == "SecretSet" and not exchange.name):
        exchange.operation = None
        raise Refusal(405, "MethodNotAllowed", f"HTTP {exchange.request.method} not allowed")
    _raise_fault(exchange, exchange.caller, operation)
    rate.count(exchange.vault, exchange.azure.clock.now())
    rules.check_api_version(exchange.request)
    if "name" in operation.path.groupindex:
        rules.check_name(exchange.name)
        exchange.object_id = _failed_object(exchange)
    exchange.assignment_id = access.authorize(
        exchange.caller, operation.data_action, operation.permission, exchange.name
    )
    return _run(exchange, operation)


def _run(exchange: Exchange, operation: Operation) -> Response:
    azure, endless = exchange.azure, bool(exchange.fault and exchange.fault.kind == "loop")
    call = Call(azure, exchange.vault, exchange.request, exchange.name, exchange.version, azure.clock.now(), endless)
    try:
        return operation.run(call)
    finally:
        exchange.object_id = call.object_id or exchange.object_id


def _failed_object(exchange: Exchange) -> str:
    """The log's id for a request that names an object and does not get to a version of it. Lists name none."""
    if exchange.operation is None or exchange.operation.name.endswith("ListVersions"):
        return ""
    collection = exchange.request.path.split("/")[1]
    return secret_id(exchange.vault, _spelt(exchange.vault, collection, exchange.name), collection=collection)


def _spelt(vault: Vault, collection: str, name: str) -> str:
    """The name in the casing in which the vault keeps it."""
    found: Secret | Key | Certificate | None
    if collection == "keys":
        found = vault.keys.get(name.lower())
    elif collection == "certificates":
        found = vault.certificates.get(name.lower())
    else:
        found = vault.secrets.get(name)
    return found.name if found else name


def _raise_fault(exchange: Exchange, caller: Caller, operation: Operation) -> None:
    """Refuse as the fault says; faults of another kind are the network's."""
    fault = exchange.fault
    refusals = {
        "throttled": lambda: answers.throttled(fault.retry_after if fault else None),
        "server": lambda: answers.server_error(fault.status if fault else 500),
        "rbac": lambda: access.by_rbac(caller, operation.data_action, exchange.name),
        "access-policy": lambda: access.by_access_policy(caller, operation.permission),
        "firewall": lambda: access.by_firewall(caller),
        "private-link": lambda: access.by_connection(caller),
        "policy": lambda: access.by_policy(caller),
    }
    refuse = refusals.get(fault.kind) if fault else None
    if refuse is None:
        return
    if "name" in operation.path.groupindex:
        exchange.object_id = _failed_object(exchange)
    raise refuse()


def _finish(exchange: Exchange, response: Response) -> Response:
    """Add what every answer carries, and write the request into the log; a throttled one is not even counted."""
    request_id = str(uuid4())
    response.headers |= _headers(exchange, request_id)
    if exchange.logged_as and response.status != 429:
        exchange.azure.record(_row(exchange, response.status, request_id))
    return response


def _headers(exchange: Exchange, request_id: str) -> dict[str, str]:
    headers = {
        **FIXED_HEADERS,
        "x-ms-request-id": request_id,
        "x-ms-keyvault-region": exchange.vault.location,
        "x-ms-keyvault-network-info": f"conn_type=Ipv4;addr={exchange.address};act_addr_fam=InterNetwork;",
    }
    client_id = exchange.request.headers.get("x-ms-client-request-id")
    if client_id:
        headers["x-ms-client-request-id"] = client_id
    if exchange.assignment_id:
        headers["x-ms-keyvault-rbac-assignment-id"] = exchange.assignment_id
    return headers


def _row(exchange: Exchange, status: int, request_id: str) -> AuditRow:
    return AuditRow(
        time=exchange.azure.clock.now(),
        operation=exchange.logged_as,
        status=status,
        vault=exchange.vault,
        identity=exchange.caller.identity if exchange.caller else None,
        caller_address=exchange.address,
        client_info=exchange.request.headers.get("User-Agent", ""),
        request_uri=exchange.request.url,
        object_id_url=exchange.object_id,
        correlation_id=request_id,
        duration_ms=15 + zlib.crc32(request_id.encode()) % 60,
        result_description=exchange.description,
        api_version=exchange.request.query.get("api-version", ""),
        assignment_id=exchange.assignment_id,
    )
