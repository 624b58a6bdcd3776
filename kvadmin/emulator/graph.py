"""Azure Resource Graph for two kinds of resource: enough of its query language for listing them.

`<table> | where type =~ '...' | extend NAME=EXPR, ... | project NAME[=EXPR], ... | order by ...`. An expression is a
path into the resource (`properties.vaultUri`), bare or inside one of FUNCTIONS. Anything else is refused, as a query
that Azure cannot read is.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any

VAULTS = "microsoft.keyvault/vaults"
SUBSCRIPTIONS = "microsoft.resources/subscriptions"
TABLES = {"resources": VAULTS, "resourcecontainers": SUBSCRIPTIONS}
MOST_ROWS = 1000

WHERE_TYPE = re.compile(r"type\s*(?:=~|==)\s*(['\"])(?P<type>[^'\"]+)\1", re.IGNORECASE)
ASSIGNMENT = re.compile(r"(?:(?P<name>\w+)\s*=\s*)?(?P<expression>.+)", re.DOTALL)
CALL = re.compile(r"(?P<function>\w+)\s*\((?P<inside>.*)\)", re.DOTALL)
PATH = re.compile(r"\w+(?:\.\w+)*")

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tostring": lambda value: "" if value is None else str(value),
    "tobool": lambda value: value if isinstance(value, bool) else None,
    "toint": lambda value: int(value) if isinstance(value, int) else None,
    "tolower": lambda value: str(value or "").lower(),
    "array_length": lambda value: len(value) if isinstance(value, list) else None,
}
Row = dict[str, Any]


def answer(body: Any, tables: dict[str, list[Row]]) -> dict[str, Any]:
    """The answer to a query's body, out of the rows that the caller may see; raises ValueError for a bad query."""
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise ValueError("The request holds no query.")
    rows = run(body["query"], _within(tables, body.get("subscriptions")))
    options = body.get("options") or {}
    start, most = _window(options)
    page = rows[start : start + most]
    result = {
        "totalRecords": len(rows),
        "count": len(page),
        "data": page,
        "facets": [],
        "resultTruncated": "false",
    }
    if start + most < len(rows):
        result["$skipToken"] = base64.urlsafe_b64encode(json.dumps({"RowsToSkip": start + most}).encode()).decode()
    return result


def _within(tables: dict[str, list[Row]], subscriptions: Any) -> dict[str, list[Row]]:
    """Only rows of the subscriptions asked for; none asked for means all."""
    if not subscriptions:
        return tables
    wanted = {str(subscription).lower() for subscription in subscriptions}
    return {kind: [row for row in rows if row["subscriptionId"].lower() in wanted] for kind, rows in tables.items()}


def _window(options: dict[str, Any]) -> tuple[int, int]:
    """Where the page starts and how many rows it may hold."""
    most = options.get("$top", MOST_ROWS)
    if not isinstance(most, int) or not 1 <= most <= MOST_ROWS:
        raise ValueError(f"$top must be from 1 to {MOST_ROWS}.")
    token = options.get("$skipToken")
    if not token:
        return int(options.get("$skip") or 0), most
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["RowsToSkip"]), most
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise ValueError("The $skipToken is invalid.") from None


def run(query: str, tables: dict[str, list[Row]]) -> list[Row]:
    """The rows of the query's answer; raises ValueError for a query that is not understood."""
    table, *steps = [part.strip() for part in query.split("|")]
    if table.lower() not in TABLES:
        raise ValueError(f"'{table[:40]}' is not a table.")
    rows = tables[TABLES[table.lower()]]
    for step in steps:
        word, _, rest = step.partition(" ")
        if word.lower() not in STEPS:
            raise ValueError(f"'{word[:40]}' is not an operator that is known here.")
        rows = STEPS[word.lower()](rows, rest.strip())
    return rows


def _where(rows: list[Row], condition: str) -> list[Row]:
    found = WHERE_TYPE.fullmatch(condition)
    if not found:
        raise ValueError("Only a condition on the type is known here.")
    return [row for row in rows if row["type"] == found["type"].lower()]


def _extend(rows: list[Row], text: str) -> list[Row]:
    columns = _columns(text)
    return [{**row, **{name: read(row) for name, read in columns.items()}} for row in rows]


def _project(rows: list[Row], text: str) -> list[Row]:
    columns = _columns(text)
    return [{name: read(row) for name, read in columns.items()} for row in rows]


def _same(rows: list[Row], text: str) -> list[Row]:
    # Rows are kept by id already, and a page is cut by position.
    return rows


def _columns(text: str) -> dict[str, Callable[[Row], Any]]:
    """The columns of an `extend` or `project`, by name."""
    columns = {}
    for part in re.split(r",(?![^(]*\))", text):
        found = ASSIGNMENT.fullmatch(part.strip())
        if not found:
            raise ValueError("A column is missing.")
        expression = found["expression"].strip()
        columns[found["name"] or expression] = _reader(expression)
    return columns


def _reader(expression: str) -> Callable[[Row], Any]:
    call = CALL.fullmatch(expression)
    if call:
        function = FUNCTIONS.get(call["function"].lower())
        if function is None:
            raise ValueError(f"'{call['function']}' is not a function that is known here.")
        inside = _reader(call["inside"].strip())
        return lambda row: function(inside(row))
    if not PATH.fullmatch(expression):
        raise ValueError(f"'{expression[:40]}' is not a column.")
    return lambda row: _follow(row, expression.split("."))


def _follow(value: Any, path: list[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


STEPS: dict[str, Callable[[list[Row], str], list[Row]]] = {
    "where": _where,
    "extend": _extend,
    "project": _project,
    "order": _same,
    "sort": _same,
}
