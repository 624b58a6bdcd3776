"""KQL, really executed: duckdb-kql translates it, and what duckdb-kql lacks is rewritten before it is asked.

What Azure understands and duckdb-kql does not is put right here, never in the query that a client sends:
`column_ifexists(name, default)`, `pack_all(ignore_null_empty)`, obfuscated literals (`h"..."`), and `make_datetime` of
one text. Azure also tells `CallerIpAddress` from `CallerIPAddress`, which DuckDB does not: that is checked here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

import duckdb
import duckdb_kql
from duckdb_kql.translate import CLOCK_SLOT

SEMANTIC, SYNTAX = "SemanticError", "SyntaxError"


@dataclass(frozen=True)
class Shape:
    """The columns of a table, and those of them that hold nothing in any row: they need not be packed."""

    columns: tuple[str, ...] = ()
    unused: frozenset[str] = frozenset()


NO_TABLE = Shape()
Schema = Mapping[str, Shape]  # of the tables that exist

# Both tables are known by name even while they don't exist: a leg that names one of them ends the scope of the other.
TABLES = ("AZKVAuditLogs", "AzureDiagnostics")
TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*)
      | (?P<text>[hH]?(?:@"(?:""|[^"])*"|@'(?:''|[^'])*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<space>\s+)
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
# What DuckDB and duckdb-kql say of a column that is not there, in one place of a query or another.
MISSING_COLUMN = re.compile(
    r"""(?:Referenced[ ]column|Column|Alias[ ]with[ ]name)[ ]"([^"]+)"
        [ ](?:not[ ]found|referenced[ ]that[ ]exists|in[ ]EXCLUDE[ ]list|exists,[ ]but)
      | '([^']+)'[ ]is[ ]assigned[ ]by[ ]this[ ]same[ ]clause""",
    re.VERBOSE,
)
MISSING_TABLE = re.compile(r"Table with name (\S+) does not exist|schema error for '([^']+)' \(unknown table")
IGNORE = "ignore null empty"
RESHAPING = {"project", "project-away", "project-rename", "project-keep", "summarize", "distinct", "count"}
ANY_MOMENT = datetime(2000, 1, 1)  # replaced at each run; duckdb-kql takes naive UTC
OPERATOR = re.compile(r"\|\s*([a-z][a-z-]*)")


class QueryError(Exception):
    """A query that Azure would refuse with a 400. `code` is the inner code, such as SEM0100; `kind` its parent."""

    def __init__(self, kind: str, code: str, message: str) -> None:
        super().__init__(message)
        self.kind, self.code, self.message = kind, code, message


@dataclass(frozen=True)
class Token:
    kind: str
    text: str


@dataclass
class Scope:
    """What a bracket of the query can see: the table it reads, and the names it has made up itself.

    A name counts from the next operator on: `project x = column_ifexists("x", "")` does not read its own x.
    `reshaped` is the operator after which the table's own columns need not be there any more.
    """

    table: str = ""
    made: set[str] = field(default_factory=set)
    being_made: set[str] = field(default_factory=set)
    operator: str = ""
    reshaped: str = ""

    def inner(self) -> Scope:
        return Scope(self.table, set(self.made), operator=self.operator, reshaped=self.reshaped)

    def read(self, table: str) -> None:
        """A table's name: what comes now is about its columns."""
        self.table, self.made, self.operator, self.reshaped = table, set(), "", ""

    def end_operator(self) -> None:
        """A pipe: the next operator sees what this one made."""
        self.made |= self.being_made
        if self.operator in RESHAPING:
            self.reshaped = self.operator
        self.operator = ""


def tokens(query: str) -> list[Token]:
    """The query in pieces, nothing lost: joined again they are the query."""
    return [Token(match.lastgroup or "other", match.group()) for match in TOKEN.finditer(query)]


def prepare(query: str, schema: Schema) -> str:
    """The same query, in the words that duckdb-kql understands.

    Raises QueryError SEM0100 for a column in the wrong case.
    """
    return "".join(_rewrite(tokens(query), schema, [Scope()]))


def _rewrite(pieces: list[Token], schema: Schema, scopes: list[Scope]) -> Iterator[str]:
    position = 0
    while position < len(pieces):
        token = pieces[position]
        if token.kind == "word" and token.text in {"column_ifexists", "columnifexists"}:
            name, default, position = _arguments(pieces, position + 1)
            yield _column_or_default(name, default, schema, scopes)
            continue
        if token.text == "pack_all":
            argument, _, position = _arguments(pieces, position + 1)
            yield _pack(argument == "true", schema, scopes[-1])
            continue
        if token.kind == "word" and token.text == "make_datetime" and _is_one_text(pieces, position + 1):
            yield "todatetime"
        elif token.kind == "text":
            # An obfuscated literal is a plain one that Azure keeps out of its own query log.
            yield token.text.lstrip("hH")
        else:
            _notice(pieces, position, schema, scopes)
            yield token.text
        position += 1


def _arguments(pieces: list[Token], position: int) -> tuple[str, list[Token], int]:
    """The column's name, the default's tokens, and the position after the closing bracket of a column_ifexists."""
    start = next(at for at in range(position, len(pieces)) if pieces[at].text == "(")
    depth, end = 0, start
    for end in range(start, len(pieces)):
        depth += {"(": 1, ")": -1}.get(pieces[end].text, 0)
        if depth == 0:
            break
    inside = pieces[start + 1 : end]
    comma = next((at for at, token in enumerate(inside) if token.text == ","), len(inside))
    name = "".join(token.text for token in inside[:comma]).strip().lstrip("hH").strip("\"'")
    return name, inside[comma + 1 :], end + 1


def _column_or_default(name: str, default: list[Token], schema: Schema, scopes: list[Scope]) -> str:
    scope = scopes[-1]
    if name in scope.made or name in schema.get(scope.table, NO_TABLE).columns:
        return name
    return "(" + "".join(_rewrite(default, schema, scopes)).strip() + ")"


def _pack(ignore: bool, schema: Schema, scope: Scope) -> str:  # noqa: FBT001 - KQL's own argument
    """A bag of every column; a marker in it asks for without_empties() when the answer is written."""
    if scope.reshaped:
        raise QueryError(SEMANTIC, "SEM0000", f"This emulator cannot run pack_all() after {scope.reshaped}")
    shape = schema.get(scope.table, NO_TABLE)
    columns = [*shape.columns, *sorted(scope.made - set(shape.columns))]
    if ignore:
        columns = [column for column in columns if column not in shape.unused]
    marked = [f'"{IGNORE}", true'] if ignore else []
    return "bag_pack(" + ", ".join([*marked, *(f'"{column}", {column}' for column in columns)]) + ")"


def without_empties(text: str) -> str:
    """The JSON text of a bag that pack_all(true) made, without the columns that have no value; others as they are."""
    if not text.startswith(f'{{"{IGNORE}":true'):
        return text
    bag = json.loads(text)
    return json.dumps({name: value for name, value in bag.items() if value not in (None, "") and name != IGNORE})


def _is_one_text(pieces: list[Token], position: int) -> bool:
    following = [token for token in pieces[position : position + 6] if token.kind != "space"]
    return [token.kind for token in following[:2]] == ["other", "text"] and following[2].text == ")"


def _notice(pieces: list[Token], position: int, schema: Schema, scopes: list[Scope]) -> None:
    """Follow brackets, tables and new names, and refuse a column that exists only in another case."""
    token = pieces[position]
    if token.text == "(":
        scopes.append(scopes[-1].inner())
    elif token.text == ")" and len(scopes) > 1:
        closed = scopes.pop()
        scopes[-1].made |= closed.made | closed.being_made
    elif token.text == "|":
        scopes[-1].end_operator()
    elif token.kind == "word":
        if token.text in TABLES:
            scopes[-1].read(token.text)
        elif not scopes[-1].operator:
            scopes[-1].operator = token.text
        elif _makes_a_name(pieces, position):
            scopes[-1].being_made.add(token.text)
        elif not _is_path_or_call(pieces, position):
            _same_case(token.text, schema, scopes[-1])


def _makes_a_name(pieces: list[Token], position: int) -> bool:
    after = "".join(token.text for token in pieces[position + 1 : position + 4]).lstrip()
    return after.startswith("=") and not after.startswith(("==", "=~"))


def _is_path_or_call(pieces: list[Token], position: int) -> bool:
    before = pieces[position - 1].text if position else ""
    after = next((token.text for token in pieces[position + 1 :] if token.kind != "space"), "")
    return before == "." or after == "("


def _same_case(word: str, schema: Schema, scope: Scope) -> None:
    columns = schema.get(scope.table, NO_TABLE).columns
    if word in columns or word in scope.made or word in schema:
        return
    if word.lower() in {column.lower() for column in columns}:
        raise QueryError(SEMANTIC, "SEM0100", f"Failed to resolve column or scalar expression named '{word}'")


@lru_cache(maxsize=64)
def translate(query: str, tables: tuple[tuple[str, Shape], ...]) -> tuple[str, dict[str, object]]:
    """DuckDB's SQL for a query over these tables, and the values that go with it (the clock's is replaced).

    Kept per query text, because parsing KQL takes longer than running it. Raises QueryError for what Azure would
    refuse as well.
    """
    columns = {name: list(shape.columns) for name, shape in tables}
    try:
        ready = prepare(query, dict(tables))
        result = duckdb_kql.to_sql(ready, schema=columns, allow_write=False, query_now=ANY_MOMENT)
    except duckdb_kql.KqlSyntaxError as error:
        raise QueryError(SYNTAX, "SYN0002", f"Query could not be parsed: {error}") from None
    except duckdb_kql.KqlError as error:
        raise _refusal(query, str(error)) from None
    return str(result), dict(result.parameters)


def run(connection: duckdb.DuckDBPyConnection, query: str, schema: Schema, now: datetime) -> duckdb.DuckDBPyConnection:
    """Execute a query on a connection that holds the tables of `schema`. Raises QueryError, or DuckDB's own errors."""
    sql, values = translate(query, tuple(schema.items()))
    if CLOCK_SLOT in values:
        values = {**values, CLOCK_SLOT: now.replace(tzinfo=None)}
    try:
        return connection.execute(sql, values) if values else connection.execute(sql)
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        raise _refusal(query, str(error)) from None


def _refusal(query: str, text: str) -> QueryError:
    """Azure's refusal for DuckDB's: SEM0100 for an unknown table or column, and no disguise for our own gaps."""
    if match := MISSING_TABLE.search(text):
        name = match.group(1) or match.group(2)
        what = f"Failed to resolve table or column expression named '{name}'"
    elif match := MISSING_COLUMN.search(text):
        name = match.group(1) or match.group(2)
        what = f"Failed to resolve column or scalar expression named '{name}'"
    else:
        return QueryError(SEMANTIC, "SEM0000", f"This emulator cannot run the query: {text}")
    return QueryError(SEMANTIC, "SEM0100", _operator(query, name) + what)


def _operator(query: str, name: str) -> str:
    """The operator that Azure names in front of the text: the one that reads the table, or that holds the column."""
    at = query.find(name)
    before = list(OPERATOR.finditer(query, 0, max(at, 0)))
    after = OPERATOR.search(query, max(at, 0))
    found = before[-1] if before else after
    return f"'{found.group(1)}' operator: " if found else ""
