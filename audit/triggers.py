"""Database triggers that make the ledger append-only, for the migration and for test databases."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

REFUSAL = "the ledger is append-only"

_SQLITE_INSTALL = (
    f"""CREATE TRIGGER ledger_refuse_update BEFORE UPDATE ON audit_ledgerentry
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
    f"""CREATE TRIGGER ledger_refuse_delete BEFORE DELETE ON audit_ledgerentry
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END""",
)
_SQLITE_REMOVE = (
    "DROP TRIGGER IF EXISTS ledger_refuse_update",
    "DROP TRIGGER IF EXISTS ledger_refuse_delete",
)
_POSTGRES_INSTALL = (
    f"""CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$""",
    """CREATE TRIGGER ledger_refuse_change BEFORE UPDATE OR DELETE ON audit_ledgerentry
        FOR EACH ROW EXECUTE FUNCTION ledger_refuse()""",
    """CREATE TRIGGER ledger_refuse_truncate BEFORE TRUNCATE ON audit_ledgerentry
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()""",
)
_POSTGRES_REMOVE = (
    "DROP TRIGGER IF EXISTS ledger_refuse_change ON audit_ledgerentry",
    "DROP TRIGGER IF EXISTS ledger_refuse_truncate ON audit_ledgerentry",
    "DROP FUNCTION IF EXISTS ledger_refuse()",
)
_NAMES = {
    "sqlite": (
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_ledgerentry'",
        {"ledger_refuse_update", "ledger_refuse_delete"},
    ),
    "postgresql": (
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'audit_ledgerentry'::regclass AND tgenabled <> 'D'",
        {"ledger_refuse_change", "ledger_refuse_truncate"},
    ),
}
_STATEMENTS = {
    "sqlite": (_SQLITE_INSTALL, _SQLITE_REMOVE),
    "postgresql": (_POSTGRES_INSTALL, _POSTGRES_REMOVE),
}


def _run(connection: BaseDatabaseWrapper, statements: tuple[str, ...]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def install(connection: BaseDatabaseWrapper) -> None:
    """Refuse every UPDATE, DELETE and (PostgreSQL) TRUNCATE of the ledger from now on."""
    remove(connection)
    _run(connection, _STATEMENTS[connection.vendor][0])


def remove(connection: BaseDatabaseWrapper) -> None:
    """Lift the refusal: for taking the migration back, and for emptying a test database."""
    _run(connection, _STATEMENTS[connection.vendor][1])


def missing(connection: BaseDatabaseWrapper) -> set[str]:
    """The names of those that are not there, or are switched off."""
    query, wanted = _NAMES[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return wanted - {name for (name,) in cursor.fetchall()}
