"""The version before runs on the new database while an upgrade goes on: what a migration may therefore not do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import migrations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import ManyToManyField

from tests.test_boundaries import PACKAGES

# The last migrations of the versions that are out: what they and those before them do is done.
RELEASED = {"audit": "0006_evidence", "jobs": "0001_initial", "vaults": "0004_requests"}
TAKES_AWAY = (migrations.RemoveField, migrations.RenameField, migrations.DeleteModel, migrations.RenameModel)


def steps() -> Iterator[tuple[str, Operation, bool]]:
    """Each operation of our apps that is not out yet, with its migration, and whether its table is of this upgrade."""
    loader = MigrationLoader(None)
    made: set[tuple[str, str]] = set()
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        ours = apps.get_app_config(app).name.partition(".")[0] in PACKAGES
        if not ours or name <= RELEASED.get(app, ""):
            continue
        for operation in migration.operations:
            if isinstance(operation, migrations.CreateModel):
                made.add((app, operation.name_lower))
            yield f"{app}.{name}", operation, (app, getattr(operation, "model_name_lower", "")) in made


def test_nothing_is_taken_away_that_the_version_before_uses() -> None:
    assert [f"{where}: {step.describe()}" for where, step, _ in steps() if isinstance(step, TAKES_AWAY)] == []


def test_a_new_column_can_be_left_out_by_the_version_before() -> None:
    """Django's own default is of no use to it: it does not know the column."""
    added = [(where, step) for where, step, new in steps() if isinstance(step, migrations.AddField) and not new]

    needed = [
        f"{where}: {step.model_name}.{step.name} needs a db_default"
        for where, step in added
        if not (step.field.null or step.field.has_db_default() or isinstance(step.field, ManyToManyField))
    ]
    assert added
    assert needed == []


@pytest.mark.parametrize("app", sorted(RELEASED))
def test_the_migrations_that_are_out_are_still_there(app: str) -> None:
    assert (app, RELEASED[app]) in MigrationLoader(None).disk_migrations
