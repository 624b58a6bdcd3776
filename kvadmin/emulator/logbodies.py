"""The bodies of the Log Analytics query API, as the recorded service writes them: tables, partial answers, errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from kvadmin.emulator import kql
from kvadmin.emulator.http import Response, json_response

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
    "UUID": "guid",
    "INTERVAL": "timespan",
}


def column_type(duckdb_type: object) -> str:
    """Kusto's name for a type of DuckDB's; what has none of its own travels as dynamic."""
    text = str(duckdb_type)
    if text.startswith("TIMESTAMP"):
        return "datetime"
    return "decimal" if text.startswith("DECIMAL") else TYPES.get(text, "dynamic")


def primary_result(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The table of an answer. `columns` are names and Kusto types; `rows` hold DuckDB's values."""
    writers = [_WRITERS.get(kind, _as_it_is) for _, kind in columns]
    cells = [[write(value) for write, value in zip(writers, row, strict=True)] for row in rows]
    described = [{"name": name, "type": kind} for name, kind in columns]
    return {"name": "PrimaryResult", "columns": described, "rows": cells}


def limited(table: dict[str, Any], row_limit: int, byte_limit: int) -> dict[str, Any]:
    """The body around a table, cut to what is given at once: then it is a partial answer, and still a 200."""
    rows = table["rows"]
    if len(rows) > row_limit:
        return {"tables": [table | {"rows": rows[:row_limit]}], "error": _partial(f"{row_limit} records")}
    size = len(json.dumps(rows, ensure_ascii=False).encode())
    if size > byte_limit:
        fitting = rows[: len(rows) * byte_limit // size]
        return {"tables": [table | {"rows": fitting}], "error": _partial(f"{byte_limit} bytes")}
    return {"tables": [table]}


def _partial(limit: str) -> dict[str, Any]:
    text = (
        f"The results of this query exceed the set limit of {limit}, so not all records were returned "
        "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003)"
    )
    engine = {
        "code": "EngineError",
        "message": "Something went wrong processing your query on the server.",
        "innererror": {"code": TOO_LARGE, "message": text, "severity": 2, "severityName": "Error"},
    }
    message = "There were some errors when processing your query."
    return {"code": "PartialError", "message": message, "details": [engine]}


def _as_it_is(value: Any) -> Any:
    return value


def _string(value: Any) -> str:
    """Kusto has no null text: it is empty."""
    return "" if value is None else value


def _datetime(value: datetime | None) -> str | None:
    """Ticks of 100 ns, without closing zeros. DuckDB keeps microseconds: the seventh digit is made up from those."""
    if value is None:
        return None
    fraction = f"{value.microsecond:06d}{value.microsecond * 7 % 10}".rstrip("0")
    return value.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


def _text(value: Any) -> str | None:
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
    if isinstance(value, str):
        return kql.without_empties(value)
    return None if value is None else json.dumps(value, default=str)


_WRITERS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "datetime": _datetime,
    "guid": _text,
    "decimal": _text,
    "timespan": _timespan,
    "dynamic": _dynamic,
}


def error(status: int, code: str, message: str, inner: dict[str, Any] | None = None) -> Response:
    """An error's answer. Log Analytics puts its id into the body, and sends no x-ms-request-id."""
    body: dict[str, Any] = {"message": message, "code": code, "correlationId": str(uuid4())}
    return json_response(status, {"error": body | ({"innererror": inner} if inner else {})})


def bad_request(refused: kql.QueryError | None = None) -> Response:
    """The 400 for a request that says nothing, or for a query that is refused: three codes, one inside the other."""
    inner = None
    if refused is not None:
        what = "semantic" if refused.kind == kql.SEMANTIC else "syntax"
        innermost = {"code": refused.code, "message": refused.message}
        inner = {"code": refused.kind, "message": f"A {what} error occurred.", "innererror": innermost}
    return error(400, "BadArgumentError", "The request had some invalid properties", inner)


def no_path() -> Response:
    """The 404 for an address that names nothing."""
    return error(404, "PathNotFoundError", "The requested path does not exist")


def no_workspace() -> Response:
    """The 404 for a well-formed workspace id that is nobody's."""
    return error(404, "WorkspaceNotFoundError", "The workspace could not be found")


def no_access() -> Response:
    """The 403 for a caller without the right to query."""
    text = "The provided credentials have insufficient access to perform the requested operation"
    return error(403, "InsufficientAccessError", text)


def unauthorized(authority: str) -> Response:
    """The 401 for a call without a token for this service; `authority` is where one is to be had."""
    response = error(401, "AuthorizationRequiredError", "Valid authentication was not provided")
    response.headers["WWW-Authenticate"] = f'Bearer authorization_uri="{authority}"'
    return response


def throttled(retry_after: int | None) -> Response:
    """The 429, with Retry-After if it is given."""
    response = error(429, "ThrottledError", "Rate limit is exceeded. Try again later.")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def timed_out() -> Response:
    """The 504 for a query that took longer than its caller said to wait."""
    inner = {"code": "GatewayTimeout", "message": "ADX query timed out"}
    return error(504, "GatewayTimeout", "Gateway timeout", inner)
