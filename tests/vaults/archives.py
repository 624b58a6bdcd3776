"""A vault to back up, the key that opens its archive, and what the emulated Azure has in a vault."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from kvadmin.emulator.state import Azure
from tests import factories
from vaults import archive_file, backup_run, backups, restore_run, restores
from vaults.archive_reading import Archive as Opened
from vaults.models import Archive, Batch, Person, Upload, Vault
from vaults.pace import REAL, Clock

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
OTHER_SUBSCRIPTION = "00000000-0000-0000-0000-00000000bbbb"
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
MADE = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
AWKWARD = "first\r\nsecond\tthird\x00\u200b\ufeff é \U0001f511 $$ %0A <b>{{7*7}}</b>\n"


def fill(azure: Azure, vault: str = "pay-prod", *, secrets: int = 5) -> Vault:
    """A vault whose secrets have several versions, tags, dates, disabled versions and awkward values."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault(vault, subscription_id=SUBSCRIPTION)
    for number in range(secrets):
        add(azure, vault, number)
    return factories.vault(vault, location="westeurope")


def add(azure: Azure, vault: str, number: int) -> None:
    name = f"Secret-{number:04}"
    for version in range(1 + number % 3):
        azure.put_secret(
            vault, name, f"{AWKWARD}{number}.{version}", content_type="text/plain" if number % 2 else None,
            tags={"team": f"t{number % 7}", "né": "ü"} if number % 4 else None, enabled=bool(number % 5),
            not_before=MADE if number % 3 == 0 else None,
            expires_on=MADE + timedelta(days=400 + number) if number % 2 else None,
            at=MADE + timedelta(minutes=version),
        )  # fmt: skip


def contents(azure: Azure, vault: str) -> dict[str, list[dict[str, Any]]]:
    """Every secret of a vault as the emulator holds it: each version with its value, dates, tags and id."""
    store = azure.vault(vault).secrets
    live, marker = {}, ""
    while True:
        some, marker = store.page(marker, 500)
        live |= {secret.name: [asdict(version) for version in secret.versions.values()] for secret in some}
        if not marker:
            return live


def ask(person: Person, vault: Vault) -> Archive:
    return backups.ask(person, factories.actor(person), vault, [RECIPIENT], reason="CHG-1: before the move")


def made(person: Person, vault: Vault) -> Archive:
    """An archive that is done."""
    archive = ask(person, vault)
    run(archive)
    archive.refresh_from_db()
    assert archive.batch.state == Batch.State.DONE, archive.batch.note
    return archive


def run(archive: Archive, clock: Clock = REAL) -> Batch:
    batch = backup_run.run(archive.batch_id, archive.batch.turn, clock=clock)
    assert batch is not None
    return batch


def quick_clock() -> Clock:
    """A clock that a pause moves on at once."""
    passed = [time.monotonic()]

    def sleep(seconds: float) -> None:
        passed[0] += seconds

    return Clock(lambda: passed[0], sleep)


def place_of(archive: Archive) -> Path:
    return backups.folder_of(archive) / archive_file.DONE


def opened(archive: Archive) -> Iterator[Opened]:
    with place_of(archive).open("rb") as file:
        yield Opened(file, IDENTITY)


def names_in(archive: Archive) -> list[str]:
    """The secrets that the archive holds."""
    return [facts["name"] for one in opened(archive) for _, listed in one.lists() for facts in listed]


def reads(azure: Azure) -> list[str]:
    """The names of which Azure gave a backup out, as its log has them."""
    rows = [row for row in azure.log if row.operation == "SecretBackup" and row.status == 200]
    return [row.object_id_url.split("/")[4] for row in rows]


def empty(azure: Azure, name: str = "pay-dr", subscription_id: str = SUBSCRIPTION) -> Vault:
    """A vault without secrets, to restore into."""
    if subscription_id != SUBSCRIPTION:
        azure.add_subscription(subscription_id, "Elsewhere")
    azure.add_vault(name, subscription_id=subscription_id)
    return factories.vault(name, subscription=factories.subscription(subscription_id), location="westeurope")


def take_in(person: Person, vault: Vault, archive: Archive) -> Upload:
    with place_of(archive).open("rb") as file:
        return restores.take_in(person, vault, file, IDENTITY)


def restore(person: Person, vault: Vault, archive: Archive, clock: Clock = REAL) -> Batch:
    """The whole way: opened, previewed, asked for, and done by the worker."""
    upload = take_in(person, vault, archive)
    batch = restores.ask(upload, restores.plan(upload), factories.actor(person), reason="CHG-1: after the move")
    done = restore_run.run(batch.pk, batch.turn, clock=clock)
    assert done is not None
    return done
