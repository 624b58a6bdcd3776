"""The Log Analytics query API: one POST, which really executes the KQL it is sent.

kql.py translates and runs, logstore.py keeps the tables, logbodies.py writes the answers. A workspace can have the
same faults as a vault, under its own name; the operation is called "Query".
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb

from kvadmin.emulator import kql, logbodies
from kvadmin.emulator.faults import Fault, NetworkError
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN, Identity, audience_of, from_token
from kvadmin.emulator.logstore import Reach, Span, store_of
from kvadmin.emulator.resources import Workspace
from kvadmin.emulator.roles import QUERY_LOGS
from kvadmin.emulator.state import Azure

WORKSPACE_PATH = re.compile(r"^/v1/workspaces/([^/]+)/query$")
RESOURCE_PATH = re.compile(r"^/v1(/subscriptions/[^/]+/.+)/query$", re.IGNORECASE)
DURATION = re.compile(r"^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?$")
DEFAULT_WAIT, LONGEST_WAIT = 180, 600
HTML = b"<html><body>Sign in to the proxy</body></html>"


@dataclass(frozen=True)
class Prefer:
    """What the `Prefer` header asks for."""

    wait: int
    statistics: bool
    render: bool


def handle(azure: Azure, request: Request) -> Response:
    """Azure's answer to a query; raises NetworkError when there would be none."""
    try:
        identity = from_token(request.bearer)
        meant = audience_of(request.bearer) == f"https://{request.host}"
    except ValueError:
        meant = False
    if not meant:
        return logbodies.unauthorized(f"{azure.cloud.authority}/{azure.tenant_id}")
    if match := WORKSPACE_PATH.match(request.path):
        return _in_workspace(azure, request, identity, match.group(1))
    if match := RESOURCE_PATH.match(request.path):
        return _of_vault(azure, request, identity, match.group(1).lower())
    return logbodies.no_path()


def _in_workspace(azure: Azure, request: Request, identity: Identity, customer_id: str) -> Response:
    try:
        wanted = UUID(customer_id)
    except ValueError:
        return logbodies.no_path()
    workspace = next((w for w in list(azure.workspaces.values()) if UUID(w.customer_id) == wanted), None)
    if workspace is None:
        return logbodies.no_workspace()
    if not _may_query(azure, identity, workspace):
        return logbodies.no_access()
    return _with_faults(azure, request.host, workspace.name, lambda: _answer(azure, request, [workspace]))


def _of_vault(azure: Azure, request: Request, identity: Identity, resource_id: str) -> Response:
    """The rows of one vault in every workspace that the caller may read; the others are left out without a word."""
    vault = next((v for v in list(azure.vaults.values()) if v.resource_id.lower() == resource_id), None)
    readable = [w for w in list(azure.workspaces.values()) if _may_query(azure, identity, w)]
    if vault is None or not readable or not azure.can_read(identity, resource_id, QUERY_LOGS):
        return logbodies.no_access()
    return _with_faults(azure, request.host, vault.name, lambda: _answer(azure, request, readable, resource_id))


def _may_query(azure: Azure, identity: Identity, workspace: Workspace) -> bool:
    if identity.object_id == KVADMIN.object_id and not workspace.readable:
        return False
    return azure.can_read(identity, workspace.resource_id, QUERY_LOGS)


def _with_faults(azure: Azure, host: str, name: str, answer: Callable[[], Response]) -> Response:
    """The answer, unless a fault of that name says otherwise."""
    fault = azure.faults.take(name.lower(), "Query")
    if fault is None:
        return answer()
    if fault.kind in {"dns", "reset"}:
        raise NetworkError(fault.kind, host)
    if fault.kind not in {"slow", "truncated"}:
        return _faulty(fault)
    response = answer()
    response.delay = fault.seconds
    if fault.kind == "truncated":
        response.body = response.body[: len(response.body) // 2]
    return response


def _faulty(fault: Fault) -> Response:
    """The answer instead; a fault that only a vault can have reads as a refusal."""
    if fault.kind == "throttled":
        return logbodies.throttled(fault.retry_after)
    if fault.kind == "html":
        return Response(200, {"Content-Type": "text/html"}, HTML)
    if fault.kind != "server":
        return logbodies.no_access()
    if fault.status == 504:
        return logbodies.timed_out()
    return logbodies.error(fault.status, "InternalServerError", "An internal error occurred")


def _answer(azure: Azure, request: Request, workspaces: list[Workspace], resource_id: str = "") -> Response:
    now = azure.clock.now()
    try:
        body = request.json()
        query, span = str(body["query"]), _span(body.get("timespan"), now)
    except (ValueError, KeyError, TypeError):
        return logbodies.bad_request()
    connection, schema = store_of(azure).open(azure, Reach(workspaces, span, now, resource_id))
    try:
        return json_response(200, _run(connection, query, schema, workspaces, now, _prefer(request)))
    except kql.QueryError as refused:
        return logbodies.bad_request(refused)
    except (duckdb.InterruptException, duckdb.InvalidInputException, duckdb.OutOfMemoryException):
        # What is too much for DuckDB takes Azure longer than anybody waits.
        return logbodies.timed_out()
    finally:
        connection.close()


def _run(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    schema: kql.Schema,
    workspaces: list[Workspace],
    now: datetime,
    prefer: Prefer,
) -> dict[str, Any]:
    started = time.perf_counter()
    timer = threading.Timer(prefer.wait, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        result = kql.run(connection, query, schema, now)
        columns = [(name, logbodies.column_type(kind)) for name, kind, *_ in result.description or ()]
        rows = result.fetchall()
    finally:
        timer.cancel()
    most, largest = min(w.row_limit for w in workspaces), min(w.byte_limit for w in workspaces)
    body = logbodies.limited(logbodies.primary_result(columns, rows), most, largest)
    return body | _extras(prefer, time.perf_counter() - started, len(rows))


def _extras(prefer: Prefer, seconds: float, rows: int) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if prefer.statistics:
        extras["statistics"] = {"query": {"executionTime": seconds, "datasetStatistics": [{"tableRowCount": rows}]}}
    if prefer.render:
        extras["render"] = {"visualization": None, "title": None}
    return extras


def _prefer(request: Request) -> Prefer:
    """The header's wishes; without a time to wait it is 180 s, and 600 s is the most."""
    text = request.headers.get("Prefer", "")
    match = re.search(r"wait=(\d+)", text)
    wait = min(int(match.group(1)), LONGEST_WAIT) if match else DEFAULT_WAIT
    return Prefer(wait, "include-statistics=true" in text, "include-render=true" in text)


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
