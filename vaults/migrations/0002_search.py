"""The index that search looks through: FTS5 trigrams on SQLite, pg_trgm on PostgreSQL, both over `haystack`."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "vaults_secret"
INDEX = "vaults_secret_search"

# The index holds no second copy of the text: its content is the table itself, and triggers keep the two in step.
# Whoever remakes the table on SQLite (Django does for most AlterFields) must run forwards() again: the triggers go
# with the old table. tests/vaults/test_search.py fails when they are missing.
SQLITE = f"""
CREATE VIRTUAL TABLE {INDEX} USING fts5(
    haystack, content='{TABLE}', content_rowid='id', columnsize=0, tokenize='trigram case_sensitive 1');
CREATE TRIGGER {INDEX}_insert AFTER INSERT ON {TABLE} BEGIN
    INSERT INTO {INDEX}(rowid, haystack) VALUES (new.id, new.haystack);
END;
CREATE TRIGGER {INDEX}_delete AFTER DELETE ON {TABLE} BEGIN
    INSERT INTO {INDEX}({INDEX}, rowid, haystack) VALUES ('delete', old.id, old.haystack);
END;
CREATE TRIGGER {INDEX}_update AFTER UPDATE OF haystack ON {TABLE} WHEN new.haystack IS NOT old.haystack BEGIN
    INSERT INTO {INDEX}({INDEX}, rowid, haystack) VALUES ('delete', old.id, old.haystack);
    INSERT INTO {INDEX}(rowid, haystack) VALUES (new.id, new.haystack);
END;
INSERT INTO {INDEX}({INDEX}) VALUES ('rebuild');
"""
DROP = [f"DROP TRIGGER IF EXISTS {INDEX}_{act}" for act in ("insert", "delete", "update")]
NO_EXTENSION = (
    "PostgreSQL: search needs the extension pg_trgm, and this account may not create it. Ask whoever runs the "
    "database for: CREATE EXTENSION pg_trgm; then run migrate again."
)


def forwards(apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        _trigram_extension(schema_editor)
        schema_editor.execute(f"CREATE INDEX {INDEX} ON {TABLE} USING gin (haystack gin_trgm_ops)")
        return
    for statement in DROP + [f"DROP TABLE IF EXISTS {INDEX}"] + _statements(SQLITE):
        schema_editor.execute(statement)


def backwards(apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {INDEX}")
        return
    for statement in DROP + [f"DROP TABLE IF EXISTS {INDEX}"]:
        schema_editor.execute(statement)


def _trigram_extension(schema_editor: BaseDatabaseSchemaEditor) -> None:
    from django.core.management import CommandError
    from django.db import ProgrammingError

    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")
        if cursor.fetchone():
            return
        try:
            cursor.execute("CREATE EXTENSION pg_trgm")
        except ProgrammingError:
            raise CommandError(NO_EXTENSION) from None


def _statements(script: str) -> list[str]:
    """The script's statements; one ends at a line that ends with a semicolon and does not belong to a trigger."""
    import sqlite3

    found, statement = [], ""
    for line in script.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found


class Migration(migrations.Migration):
    dependencies = [("vaults", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards)]
