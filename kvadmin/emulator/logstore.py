"""The workspaces' tables in DuckDB, filled from the cloud's audit log as it grows."""

from __future__ import annotations

import json
import threading
import weakref
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import duckdb_kql

from kvadmin.emulator import kql, logtables

if TYPE_CHECKING:
    from kvadmin.emulator.resources import AuditRow, Workspace
    from kvadmin.emulator.state import Azure

SHAPES = {logtables.DEDICATED: logtables.dedicated, logtables.SHARED: logtables.shared}
# When a row shows up is the emulator's business, so it is a column that no query can name.
VISIBLE = "visible at"
ROWS_AT_ONCE = 5_000
DUPLICATE_DELAY = timedelta(minutes=2)

_stores: weakref.WeakKeyDictionary[Azure, LogStore] = weakref.WeakKeyDictionary()
_stores_lock = threading.Lock()


def store_of(azure: Azure) -> LogStore:
    """The one store of that cloud, made when it is first asked for."""
    with _stores_lock:
        if azure not in _stores:
            _stores[azure] = LogStore()
        return _stores[azure]


@dataclass(frozen=True)
class Span:
    """The time that a query looks at: from `start` up to, not including, `end`. None: no limit."""

    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True)
class Reach:
    """What a query can see: the rows of these workspaces in that time, as they show by `now`.

    `resource_id` (lower-case) keeps to the rows of one vault.
    """

    workspaces: list[Workspace]
    span: Span
    now: datetime
    resource_id: str = ""

    def where(self, workspace: Workspace) -> str:
        """The condition on a stored table for what this reaches in it."""
        kept = self.now - timedelta(days=workspace.retention_days)
        start = max(self.span.start, kept) if self.span.start else kept
        parts = [f""""{VISIBLE}" <= '{_text(self.now)}'""", f""""TimeGenerated" >= '{_text(start)}'"""]
        if self.span.end is not None:
            parts.append(f""""TimeGenerated" < '{_text(self.span.end)}'""")
        if self.resource_id:
            parts.append(f""""_ResourceId" = '{self.resource_id.replace("'", "''")}'""")
        return " AND ".join(parts)


@dataclass
class Table:
    """One workspace's table: which of its late columns exist since when, and when its first row showed up."""

    name: str
    stored: str
    since: dict[str, datetime] = field(default_factory=dict)

    def columns(self, now: datetime) -> list[str]:
        """The columns that exist by now; none while the table does not exist."""
        if self.first is None or self.first > now:
            return []
        late = logtables.MADE_ON_FIRST_USE if self.name == logtables.SHARED else {}
        known = logtables.COLUMNS[self.name]
        return [name for name in known if name not in late or self.since.get(name, now + timedelta(1)) <= now]

    @property
    def first(self) -> datetime | None:
        """When the table came into being: with its first visible row."""
        return self.since.get("TimeGenerated")

    def note(self, cells: Iterable[str], visible_at: datetime) -> None:
        """Remember the earliest moment at which each of these columns has something to show."""
        for name in cells:
            if name not in self.since or visible_at < self.since[name]:
                self.since[name] = visible_at


class LogStore:
    """Every workspace's tables of one cloud, in one DuckDB in memory. Threads may query it at once."""

    def __init__(self) -> None:
        self._connection = duckdb_kql.connect()
        self._lock = threading.Lock()
        self._tables: dict[tuple[str, str], Table] = {}
        self._seen = 0
        self._last: AuditRow | None = None

    def open(self, azure: Azure, reach: Reach) -> tuple[duckdb.DuckDBPyConnection, kql.Schema]:
        """A connection on which the tables within reach stand under their names, and their shapes.

        The caller closes the connection.
        """
        with self._lock:
            self._take_in(azure)
            cursor = self._connection.cursor()
            cursor.execute("SET TimeZone='UTC'")
            views = {name: self._view(cursor, name, reach) for name in SHAPES}
        return cursor, {name: shape for name, shape in views.items() if shape.columns}

    def _view(self, cursor: duckdb.DuckDBPyConnection, name: str, reach: Reach) -> kql.Shape:
        """Make the view called `name`; its shape, without a column when no such table exists."""
        found = [(w, self._tables.get((w.resource_id.lower(), name))) for w in reach.workspaces]
        tables = [(workspace, table) for workspace, table in found if table and table.columns(reach.now)]
        shown = {column for _, table in tables for column in table.columns(reach.now)}
        columns = tuple(column for column in logtables.COLUMNS[name] if column in shown)
        if columns:
            names = ", ".join(f'"{column}"' for column in columns)
            selects = (f'SELECT {names} FROM "{table.stored}" WHERE {reach.where(w)}' for w, table in tables)  # noqa: S608
            cursor.execute(f'CREATE TEMP VIEW "{name}" AS {" UNION ALL ".join(selects)}')
        return kql.Shape(columns, frozenset(columns).difference(*(table.since for _, table in tables)))

    def _take_in(self, azure: Azure) -> None:
        """Append the rows that the cloud has logged since the last time."""
        with azure.lock:
            if self._seen > len(azure.log) or (self._seen and azure.log[self._seen - 1] is not self._last):
                self._start_again()
            rows = azure.log[self._seen :]
            workspaces = dict(azure.workspaces)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            self._append(rows[start : start + ROWS_AT_ONCE], workspaces)
        if rows:
            self._seen, self._last = self._seen + len(rows), rows[-1]

    def _start_again(self) -> None:
        """The cloud's log was emptied: so are the tables."""
        for table in self._tables.values():
            self._connection.execute(f'DROP TABLE "{table.stored}"')
        self._tables, self._seen, self._last = {}, 0, None

    def _append(self, rows: list[AuditRow], workspaces: dict[str, Workspace]) -> None:
        batches: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            workspace_id = (row.workspace or "").lower()
            if workspace := workspaces.get(workspace_id):
                for name in workspace.tables:
                    batches[workspace_id, name] += self._copies(row, workspace, self._table(workspace_id, name))
        for (workspace_id, name), cells in batches.items():
            self._insert(self._table(workspace_id, name), cells)

    def _copies(self, row: AuditRow, workspace: Workspace, table: Table) -> list[dict[str, Any]]:
        """The row in that table's shape; twice for the share of rows that the workspace duplicates."""
        cells = SHAPES[table.name](row, workspace)
        table.note(cells, row.visible_at)
        copies = [cells | {VISIBLE: _text(row.visible_at)}]
        if zlib.crc32(f"again {row.correlation_id}".encode()) < workspace.duplicates * 2**32:
            copies.append(cells | {VISIBLE: _text(row.visible_at + DUPLICATE_DELAY)})
        return copies

    def _table(self, workspace_id: str, name: str) -> Table:
        key = (workspace_id, name)
        if key not in self._tables:
            self._tables[key] = Table(name, f"{name} of {workspace_id}")
            columns = logtables.COLUMNS[name] | {VISIBLE: "TIMESTAMP"}
            definition = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            self._connection.execute(f'CREATE TABLE "{self._tables[key].stored}" ({definition})')
        return self._tables[key]

    def _insert(self, table: Table, cells: list[dict[str, Any]]) -> None:
        """Add rows by way of JSON, which DuckDB reads far faster than it binds values one by one."""
        types = logtables.COLUMNS[table.name] | {VISIBLE: "TIMESTAMP"}
        used = {name: types[name] for name in dict.fromkeys(name for row in cells for name in row)}
        rows = [json.dumps(row, ensure_ascii=False) for row in cells]
        self._connection.execute(
            f'INSERT INTO "{table.stored}" BY NAME '  # noqa: S608
            "SELECT unnest(from_json(row, ?)) FROM (SELECT unnest(?::VARCHAR[]) AS row)",
            [json.dumps(used), rows],
        )


def _text(moment: datetime) -> str:
    """A time as DuckDB reads it: UTC, without an offset."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()
