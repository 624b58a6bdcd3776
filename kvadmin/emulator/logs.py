"""The Log Analytics query API: one POST, which really executes the KQL it is sent (see kql.py and logstore.py).

The bodies are those of the recorded service: PrimaryResult, PartialError inside a 200, BadArgumentError down to SEM0100.
A workspace can have the same faults as a vault, under its own name; the operation is called "Query".
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import duckdb

from kvadmin.emulator import kql
from kvadmin.emulator.faults import Fault, NetworkError
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN, Identity, audience_of, from_token
from kvadmin.emulator.logstore import Span, store_of
from kvadmin.emulator.resources import Vault, Workspace
from kvadmin.emulator.roles import QUERY_LOGS
from kvadmin.emulator.state import Azure

WORKSPACE_PATH = re.compile(r"^/v1/workspaces/([^/]+)/query$")
RESOURCE_PATH = re.compile(r"^/v1(/subscriptions/[^/]+/.+)/query$", re.IGNORECASE)
DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$")
DEFAULT_WAIT, LONGEST_WAIT = 180, 600
# The engine's code for an answer that is too large, as it stands in a partial one.
TOO_LARGE = "-2133196797"

TYPES = {
    "VARCHAR": "string",
    "BOOLEAN": "bool",
    "TINYINT": "int",
    "SMALLINT": "int",
    "INTEGER": "int",
    "BIGINT": "long",
    "HUGEINT": "long",
    "FLOAT": "real",
    "DOUBLE": "real",
    "JSON": "dynamic",
    "UUID": "guid",
    "INTERVAL": "timespan",
}


def handle(azure: Azure, request: Request) -> Response:
    """Azure's answer to a query; raises NetworkError when there would be none."""
    try:
        identity = from_token(request.bearer)
        audience = audience_of(request.bearer)
    except ValueError:
        return _unauthorized(azure)
    if audience != f"https://{request.host}":
        return _unauthorized(azure)
    if match := WORKSPACE_PATH.match(request.path):
        return _in_workspace(azure, request, identity, match.group(1))
    if match := RESOURCE_PATH.match(request.path):
        return _of_resource(azure, request, identity, match.group(1).lower())
    return _error(404, "PathNotFoundError", "The requested path does not exist")


def _in_workspace(azure: Azure, request: Request, identity: Identity, customer_id: str) -> Response:
    try:
        wanted = UUID(customer_id)
    except ValueError:
        return _error(404, "PathNotFoundError", "The requested path does not exist")
    found = [w for w in list(azure.workspaces.values()) if UUID(w.customer_id) == wanted]
    if not found:
        return _error(404, "WorkspaceNotFoundError", "The workspace could not be found")
    if not _may_query(azure, identity, found[0]):
        return _no_access()
    return _with_faults(azure, found[0].name, lambda: _answer(azure, request, found))


def _of_resource(azure: Azure, request: Request, identity: Identity, resource_id: str) -> Response:
    """Rows of one vault, in every workspace that the caller may read; the others are left out without a word."""
    vault = next((v for v in list(azure.vaults.values()) if v.resource_id.lower() == resource_id), None)
    if vault is None or not azure.can_read(identity, resource_id, QUERY_LOGS):
        return _no_access()
    readable = [w for w in list(azure.workspaces.values()) if _may_query(azure, identity, w)]
    return _with_faults(azure, vault.name, lambda: _answer(azure, request, readable, vault))


def _may_query(azure: Azure, identity: Identity, workspace: Workspace) -> bool:
    if identity.object_id == KVADMIN.object_id and not workspace.readable:
        return False
    return azure.can_read(identity, workspace.resource_id, QUERY_LOGS)


def _with_faults(azure: Azure, name: str, answer: Callable[[], Response]) -> Response:
    """The answer, unless a fault of that name says otherwise."""
    fault = azure.faults.take(name.lower(), "Query")
    if fault is None:
        return answer()
    if fault.kind in {"dns", "reset"}:
        raise NetworkError(fault.kind, name)
    if fault.kind == "slow":
        response = answer()
        response.delay = fault.seconds
        return response
    if fault.kind == "truncated":
        response = answer()
        response.body = response.body[: len(response.body) // 2]
        return response
    return _faulty(fault)


def _faulty(fault: Fault) -> Response:
    if fault.kind == "throttled":
        response = _error(429, "ThrottledError", "Rate limit is exceeded. Try again later.")
        if fault.retry_after is not None:
            response.headers["Retry-After"] = str(fault.retry_after)
        return response
    if fault.kind == "html":
        return Response(200, {"Content-Type": "text/html"}, b"<html><body>Sign in to the proxy</body></html>")
    if fault.kind == "server":
        return _timed_out() if fault.status == 504 else _error(fault.status, "InternalServerError", "Server error")
    return _no_access()


def _answer(azure: Azure, request: Request, workspaces: list[Workspace], vault: Vault | None = None) -> Response:
    try:
        body = request.json()
        query, span = str(body["query"]), _span(body.get("timespan"), azure.clock.now())
    except (ValueError, KeyError, TypeError):
        return _error(400, "BadArgumentError", "The request had some invalid properties")
    connection, schema = store_of(azure).open(azure, workspaces, span, vault.resource_id.lower() if vault else "")
    try:
        return _run(azure, request, connection, query, schema, workspaces)
    except kql.QueryError as error:
        return _refused(error)
    except (duckdb.InterruptException, duckdb.InvalidInputException, duckdb.OutOfMemoryException):
        # What is too much for DuckDB takes Azure longer than anybody waits.
        return _timed_out()
    finally:
        connection.close()


def _run(
    azure: Azure,
    request: Request,
    connection: duckdb.DuckDBPyConnection,
    query: str,
    schema: kql.Schema,
    workspaces: list[Workspace],
) -> Response:
    started = time.perf_counter()
    timer = threading.Timer(_wait(request), connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        result = kql.run(connection, query, schema, azure.clock.now())
        columns = [(name, _kind(kind)) for name, kind, *_ in result.description or ()]
        rows = _cells(result.fetchall(), [kind for _, kind in columns])
    finally:
        timer.cancel()
    body = _limited(columns, rows, workspaces)
    if "include-statistics=true" in request.headers.get("Prefer", ""):
        body["statistics"] = _statistics(time.perf_counter() - started, len(rows))
    if "include-render=true" in request.headers.get("Prefer", ""):
        body["render"] = {"visualization": None, "title": None}
    return json_response(200, body)


def _limited(columns: list[tuple[str, str]], rows: list[list[Any]], workspaces: list[Workspace]) -> dict[str, Any]:
    """The answer's body, cut to what a workspace gives at once: then it is a partial one."""
    most = min((w.row_limit for w in workspaces), default=len(rows))
    largest = min((w.byte_limit for w in workspaces), default=0)
    limit = ""
    if len(rows) > most:
        rows, limit = rows[:most], f"{most} records"
    elif largest and (size := len(json.dumps(rows, ensure_ascii=False).encode())) > largest:
        rows, limit = rows[: len(rows) * largest // size], f"{largest} bytes"
    described = [{"name": name, "type": kind} for name, kind in columns]
    body: dict[str, Any] = {"tables": [{"name": "PrimaryResult", "columns": described, "rows": rows}]}
    return body | ({"error": _partial(limit)} if limit else {})


def _partial(limit: str) -> dict[str, Any]:
    text = (
        f"The results of this query exceed the set limit of {limit}, so not all records were returned "
        "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003)"
    )
    inner = {"code": TOO_LARGE, "message": text, "severity": 2, "severityName": "Error"}
    engine = {
        "code": "EngineError",
        "message": "Something went wrong processing your query on the server.",
        "innererror": inner,
    }
    return {
        "code": "PartialError",
        "message": "There were some errors when processing your query.",
        "details": [engine],
    }


def _statistics(seconds: float, rows: int) -> dict[str, Any]:
    return {"query": {"executionTime": seconds, "datasetStatistics": [{"tableRowCount": rows}]}}


def _wait(request: Request) -> float:
    """The seconds that the caller waits at most: `Prefer: wait=N`."""
    match = re.search(r"wait=(\d+)", request.headers.get("Prefer", ""))
    return min(int(match.group(1)), LONGEST_WAIT) if match else DEFAULT_WAIT


def _span(text: str | None, now: datetime) -> Span:
    """The timespan of a query: `start/end`, `start/duration`, `duration/end` or `duration`; ValueError otherwise."""
    if not text:
        return Span()
    first, _, second = text.partition("/")
    if not second:
        return Span(now - _duration(first), None)
    if first.startswith("P"):
        return Span(_moment(second) - _duration(first), _moment(second))
    start = _moment(first)
    return Span(start, start + _duration(second) if second.startswith("P") else _moment(second))


def _duration(text: str) -> timedelta:
    match = DURATION.match(text)
    if not match or text == "P":
        raise ValueError(text)
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _kind(duckdb_type: Any) -> str:
    text = str(duckdb_type)
    if text.startswith("TIMESTAMP"):
        return "datetime"
    return "decimal" if text.startswith("DECIMAL") else TYPES.get(text, "dynamic")


def _cells(rows: Sequence[Sequence[Any]], kinds: Sequence[str]) -> list[list[Any]]:
    """The values as JSON holds them, column by column of a kind."""
    writers = [WRITERS.get(kind, _as_it_is) for kind in kinds]
    return [[write(value) for write, value in zip(writers, row, strict=True)] for row in rows]


def _as_it_is(value: Any) -> Any:
    return value


def _string(value: Any) -> str:
    """Kusto has no null text: it is empty."""
    return "" if value is None else value


def _datetime(value: datetime | None) -> str | None:
    """100 ns ticks without closing zeros. DuckDB keeps microseconds, so the seventh digit is made up from the others."""
    if value is None:
        return None
    fraction = f"{value.microsecond:06d}{value.microsecond * 7 % 10}".rstrip("0")
    return value.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


def _guid(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _timespan(value: timedelta | None) -> str | None:
    if value is None:
        return None
    hours, rest = divmod(value.seconds, 3600)
    day = f"{value.days}." if value.days else ""
    fraction = f".{value.microseconds:06d}0" if value.microseconds else ""
    return f"{day}{hours:02d}:{rest // 60:02d}:{rest % 60:02d}{fraction}"


def _dynamic(value: Any) -> str | None:
    """Dynamic values travel as JSON text inside the JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


WRITERS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "datetime": _datetime,
    "guid": _guid,
    "timespan": _timespan,
    "dynamic": _dynamic,
    "decimal": lambda value: None if value is None else str(value),
}


def _refused(error: kql.QueryError) -> Response:
    inner = {"code": error.code, "message": error.message}
    what = "A semantic error occurred." if error.kind == kql.SEMANTIC else "A recognition error occurred in the query."
    outer = {"code": error.kind, "message": what, "innererror": inner}
    return _error(400, "BadArgumentError", "The request had some invalid properties", outer)


def _timed_out() -> Response:
    return _error(504, "GatewayTimeout", "Gateway timeout", {"code": "GatewayTimeout", "message": "ADX query timed out"})


def _no_access() -> Response:
    text = "The provided credentials have insufficient access to perform the requested operation"
    return _error(403, "InsufficientAccessError", text)


def _unauthorized(azure: Azure) -> Response:
    response = _error(401, "AuthorizationRequiredError", "Valid authentication was not provided")
    authority = f"{azure.cloud.authority}/{azure.tenant_id}"
    response.headers["WWW-Authenticate"] = f'Bearer authorization_uri="{authority}"'
    return response


def _error(status: int, code: str, message: str, inner: dict[str, Any] | None = None) -> Response:
    """An error's body; Log Analytics puts its id there and sends no x-ms-request-id."""
    error: dict[str, Any] = {"message": message, "code": code, "correlationId": str(uuid4())}
    return json_response(status, {"error": error | ({"innererror": inner} if inner else {})})
