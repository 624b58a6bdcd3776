"""The end of a whole-vault backup: its parts become one file, with a summary of what is in it and what is not."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction
from django.utils import timezone

from audit import ledger
from kvadmin import __version__
from kvadmin import actions as a
from vaults import archive_file, backups, batches
from vaults.archive_file import Facts, Part
from vaults.batch_work import Halted
from vaults.models import Archive, Batch, BatchItem

State = BatchItem.State


def join(archive: Archive, batch: Batch, folder: Path, actor: ledger.Actor) -> None:
    """Make the file, and put on record what it is. Raises Halted, which says why there is none; OSError, and
    LedgerUnavailable.

    Safe to repeat: the parts are removed only when the row says that the file is there.
    """
    batches.recount(batch)
    if not batch.total:
        raise Halted("There is no secret in this vault: there is nothing to back up.")
    if not batch.done:
        raise Halted("No secret could be backed up, so there is no archive.")
    parts = _parts(batch, folder)
    summary = _summary(archive, batch, parts, actor)
    archive.size, archive.digest = archive_file.join(folder, parts, summary, archive.recipients)
    archive.made_at, archive.expires_at = timezone.now(), backups.expiry()
    said = f"archive {archive.pk} is complete: {batch.done:,} of {batch.total:,} secrets; sha256 {archive.digest}"
    with transaction.atomic():
        archive.save(update_fields=["size", "digest", "made_at", "expires_at"])
        ledger.record(a.SECRET_BACKUP, actor, ledger.Target(archive.vault.name), reason=batch.reason, note=said)
    archive_file.drop_parts(folder)


def _parts(batch: Batch, folder: Path) -> list[Part]:
    """The parts that the rows name: a worker that was given up for dead may have written another one."""
    named = set(batch.items.filter(state=State.DONE).values_list("after__part", flat=True).distinct())
    return [part for part in archive_file.parts_in(folder) if part.name in named]


def _summary(archive: Archive, batch: Batch, parts: list[Part], actor: ledger.Actor) -> Facts:
    vault, subscription = archive.vault, archive.vault.subscription
    left_out = batch.items.filter(state__in=[State.SKIPPED, State.FAILED]).order_by("pk")
    return {
        "format": archive_file.FORMAT,
        "made_by": f"kvadmin {__version__}",
        "made": timezone.now().isoformat(),
        "listed": batch.parameters["listed"],
        "vault": vault.name,
        "uri": vault.uri,
        "subscription": subscription.subscription_id if subscription else "",
        "location": vault.location,
        "asked_by": actor.name,
        "secrets": sum(len(part.keys) for part in parts),
        "versions": sum(part.versions for part in parts),
        "left_out": [
            {"name": item.name, "state": item.state, "code": item.code, "why": item.sentence} for item in left_out
        ],
    }
