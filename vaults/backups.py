"""Backups of whole vaults: asked for, handed out to whoever asked, and removed again. The worker makes them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import ledger
from audit.ledger import Attempt
from kvadmin import actions as a
from vaults import archive_file, batches
from vaults.models import Archive, Batch, Person, Upload, Vault

State = Batch.State
UNDER_WAY = "A backup of this vault is under way already: this is how far it is."
OPEN = [State.QUEUED, State.RUNNING, State.STOPPING]


class CutOff(Exception):
    """The browser went away, or the file did, before its last byte."""

    code = "cut-off"


def ask(person: Person, actor: ledger.Actor, vault: Vault, recipients: list[str], *, reason: str) -> Archive:
    """Queue a backup of every secret of the vault; the caller has asked policy. The settings' recipients are added.

    Raises NotNow while there is one under way: a button can be pressed twice at once, and by two people.
    """
    keys = list(dict.fromkeys([*settings.KVADMIN_BACKUP_RECIPIENTS, *recipients]))
    batch = Batch(act=a.SECRET_BACKUP.word, title=f"Back up {vault}", reason=reason, asked_by=person)
    archive = Archive(batch=batch, vault=vault, recipients=keys, expires_at=expiry())

    def queue(stored: Batch) -> None:
        archive.batch = stored
        archive.save()
        enqueue(stored)

    with transaction.atomic():
        Vault.objects.select_for_update(no_key=True).get(pk=vault.pk)  # whoever asks as well waits here
        if under_way(vault):
            raise batches.NotNow(UNDER_WAY)
        batches.ask(batch, [], actor, queue)
    return archive


def enqueue(batch: Batch) -> None:
    """Put the job of this turn into the queue."""
    from vaults import tasks  # noqa: PLC0415 - tasks imports what makes backups, which imports this

    tasks.back_up_vault.enqueue(batch.pk, batch.turn)


def under_way(vault: Vault) -> Archive | None:
    """The backup of this vault that a worker has, or will have; one that has fallen silent is none."""
    since = timezone.now() - batches.SILENT
    heard = Q(batch__progressed_at__gte=since) | Q(batch__progressed_at=None, batch__queued_at__gte=since)
    return Archive.objects.filter(heard, vault=vault, batch__state__in=OPEN, removed_at=None).first()


def expiry() -> datetime:
    """When an archive that is touched now is removed."""
    return timezone.now() + timedelta(days=settings.KVADMIN_ARCHIVE_DAYS)


def folder_of(made: Archive | Upload) -> Path:
    """Where its files lie."""
    return Path(settings.KVADMIN_ARCHIVE_DIR) / str(made.folder)


# --- Handed out ------------------------------------------------------------------------------------------------------
def hand_out(archive: Archive, actor: ledger.Actor) -> Iterator[bytes]:
    """The file piece by piece, on record: begun before the first byte, and how it ended. Raises OSError at once."""
    place = folder_of(archive) / archive_file.DONE
    place.stat()
    act = Attempt(
        a.SECRET_BACKUP,
        actor,
        ledger.Target(archive.vault.name),
        archive.batch.reason,
        note=f"archive {archive.pk} is downloaded; sha256 {archive.digest}",
    )
    return _recorded(place, act)


def _recorded(place: Path, act: Attempt) -> Iterator[bytes]:
    sent = 0
    try:
        for chunk in archive_file.chunks(place):
            yield chunk
            sent += len(chunk)
        act.done(note=f"{sent:,} bytes sent")
    finally:
        if not act.closed:
            act.failed(CutOff(), note=f"{sent:,} bytes sent")


# --- Removed ---------------------------------------------------------------------------------------------------------
def remove(archive: Archive, actor: ledger.Actor) -> None:
    """Delete the file, and whatever there is of one that was never finished; on record. The row stays as history."""
    with transaction.atomic():
        mine = Archive.objects.filter(pk=archive.pk, removed_at=None)
        if not mine.update(removed_at=timezone.now(), removed_by=actor.name):
            return
        note = f"archive {archive.pk} removed"
        ledger.record(a.SECRET_BACKUP, actor, ledger.Target(archive.vault.name), note=note)
    shutil.rmtree(folder_of(archive), ignore_errors=True)


def prune() -> int:
    """Remove what has expired, archives and what waited for a restore; how many there were."""
    now = timezone.now()
    old = Archive.objects.filter(expires_at__lt=now, removed_at=None).exclude(batch__state__in=OPEN)
    expired = list(old.select_related("vault", "batch"))
    for archive in expired:
        remove(archive, ledger.CLOCK)
    waited = list(Upload.objects.filter(expires_at__lt=now, removed_at=None).exclude(batch__state__in=OPEN))
    for upload in waited:
        forget(upload)
    return len(expired) + len(waited)


def forget(upload: Upload) -> None:
    """Delete what was sealed for a restore, unless that was started since this row was read."""
    mine = Upload.objects.filter(pk=upload.pk, batch=upload.batch)
    if upload.pk is None or mine.update(removed_at=timezone.now()):
        shutil.rmtree(folder_of(upload), ignore_errors=True)
