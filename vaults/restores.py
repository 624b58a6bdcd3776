"""A restore before it happens: an archive is opened, sealed for the worker, and compared with what is in the vault.

The private key opens the archive in memory, once, and is kept nowhere. What waits lies sealed with the server's key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pyrage
from django.db import transaction
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway.values import SecretValue
from vaults import archive_file, backups, batches, sealing
from vaults.archive_file import Facts
from vaults.archive_reading import Archive as Opened
from vaults.geography import geography_of
from vaults.models import Batch, BatchItem, DeletedSecret, Person, Secret, Upload, Vault

State = BatchItem.State
PREVIEW = timedelta(hours=1)  # so long a sealed archive waits for a decision
MOST_WAITING = 3  # of one person; an older one makes room for a newer
RESTORE = timedelta(days=1)  # and so long for its worker, and for a second try of what has failed
STATES = ("free", "exists", "deleted", "elsewhere")  # of a secret in the preview, which is sorted in this order
WHY_NOT = {
    "exists": "A secret of this name is there. Azure restores nothing over it; it stays as it is.",
    "deleted": "A deleted secret holds this name. Recover it, or have it purged, and then restore.",
    "elsewhere": "Azure restores a backup only in the subscription in which it was made.",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One secret of an archive, and what would become of it in the vault."""

    facts: Facts
    state: str

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def key(self) -> str:
        return self.name.lower()

    @property
    def versions(self) -> int:
        return len(self.facts["versions"])

    @property
    def expires_on(self) -> datetime | None:
        return datetime.fromisoformat(self.facts["expires"]) if self.facts["expires"] else None

    @property
    def why(self) -> str:
        return WHY_NOT.get(self.state, "")


# --- Opened and sealed -----------------------------------------------------------------------------------------------
def take_in(person: Person, vault: Vault, file: IO[bytes], identity: pyrage.x25519.Identity) -> Upload:
    """Open an archive and seal its parts for the worker, one at a time. Raises BadArchive, or OSError: nothing is left.

    The caller has asked policy.
    """
    opened = Opened(file, identity)
    facts = {name: opened.summary.get(name) for name in ("vault", "subscription", "location", "made", "asked_by")}
    facts |= {name: int(opened.summary.get(name) or 0) for name in ("secrets", "versions")}
    facts["left_out"] = len(opened.summary.get("left_out") or ())
    upload = Upload(vault=vault, by=person, facts=facts, expires_at=timezone.now() + PREVIEW)
    folder = archive_file.make_folder(backups.folder_of(upload))
    try:
        for name, secrets in opened.parts():
            _put(folder, name, "list", [facts for facts, _ in secrets])
            _put(folder, name, "blobs", [blob.expose() for _, blob in secrets])
        upload.save()
    except BaseException:
        backups.forget(upload)
        raise
    for older in Upload.objects.filter(by=person, batch=None, removed_at=None).order_by("-pk")[MOST_WAITING:]:
        backups.forget(older)
    return upload


def _put(folder: Path, name: str, kind: str, rows: list[Any]) -> None:
    sealed = sealing.seal(json.dumps(rows).encode(), f"{folder.name} {name} {kind}")
    archive_file.put(folder / f"{name}.{kind}", sealed)


def lists(upload: Upload) -> Iterator[tuple[str, list[Facts]]]:
    """The name of each part that waits, and what it holds. Raises sealing.Broken, OSError."""
    folder = backups.folder_of(upload)
    for place in sorted(folder.glob("*.list")):
        yield place.stem, json.loads(sealing.unseal(place.read_bytes(), f"{folder.name} {place.stem} list"))


def blobs(upload: Upload, name: str) -> list[SecretValue]:
    """The backups of one part, in the order of its list. Raises sealing.Broken, OSError."""
    folder = backups.folder_of(upload)
    sealed = (folder / f"{name}.blobs").read_bytes()
    return [SecretValue(text) for text in json.loads(sealing.unseal(sealed, f"{folder.name} {name} blobs"))]


# --- Compared with the vault -----------------------------------------------------------------------------------------
def plan(upload: Upload) -> list[Planned]:
    """What would become of each secret, by the inventory; a name that an archive holds twice counts once.

    Two queries. Raises sealing.Broken, OSError.
    """
    listed = {facts["name"].lower(): facts for _, some in lists(upload) for facts in some}
    states = states_of(upload.vault, upload.facts)
    planned = [Planned(facts, states(key)) for key, facts in listed.items()]
    return sorted(planned, key=lambda one: (STATES.index(one.state), one.key))


def states_of(vault: Vault, facts: Facts) -> Any:
    """A function that tells the state of a lower-case name in this vault, for an archive with these facts."""
    live = set(Secret.objects.filter(vault=vault, vanished_at=None).values_list("key", flat=True))
    deleted = set(DeletedSecret.objects.filter(vault=vault).values_list("key", flat=True))
    elsewhere = is_elsewhere(vault, facts)

    def state(key: str) -> str:
        if elsewhere:
            return "elsewhere"
        return "deleted" if key in deleted else "exists" if key in live else "free"

    return state


def free(planned: list[Planned]) -> int:
    """How many secrets would be restored."""
    return sum(one.state == "free" for one in planned)


def is_elsewhere(vault: Vault, facts: Facts) -> bool:
    """Whether Azure's rule about subscriptions certainly speaks against it."""
    made_in, here = facts.get("subscription"), vault.subscription
    return bool(made_in and here and str(made_in).lower() != here.subscription_id.lower())


def doubts(vault: Vault, facts: Facts) -> list[str]:
    """What may speak against it, in sentences: Azure decides."""
    found = []
    if not facts.get("subscription") or vault.subscription is None:
        found.append("kvadmin does not know both subscriptions. Azure restores a backup only where it was made.")
    made_in, here = geography_of(str(facts.get("location") or "")), geography_of(vault.location)
    if made_in and here and made_in != here:
        said = f"The archive was made in the geography {made_in}, and this vault lies in {here}: Azure refuses that."
        found.append(said)
    return found


# --- Asked for -------------------------------------------------------------------------------------------------------
def ask(upload: Upload, planned: list[Planned], actor: ledger.Actor, *, reason: str) -> Batch:
    """Queue the restore of what is free; the others are skipped and say why. The caller has asked policy.

    Raises NotNow when it is queued already: a button can be pressed twice at once.
    """
    title = f"Restore {free(planned):,} secrets of {upload.facts['vault']} into {upload.vault}"
    batch = Batch(act=a.SECRET_RESTORE.word, title=title[:300], reason=reason, asked_by=upload.by)

    def queue(stored: Batch) -> None:
        upload.batch, upload.expires_at = stored, timezone.now() + RESTORE
        mine = Upload.objects.filter(pk=upload.pk, batch=None, removed_at=None)
        if not mine.update(batch=upload.batch, expires_at=upload.expires_at):
            raise batches.NotNow("This restore is started already, or its archive was removed.")
        enqueue(stored)

    with transaction.atomic():
        return batches.ask(batch, [_item(upload.vault, one) for one in planned], actor, queue)


def _item(vault: Vault, one: Planned) -> BatchItem:
    item = BatchItem(vault=vault, key=one.key, name=one.name)
    if one.state != "free":
        item.state, item.code, item.sentence = State.SKIPPED, one.state, one.why
    return item


def enqueue(batch: Batch) -> None:
    """Put the job of this turn into the queue."""
    from vaults import tasks  # noqa: PLC0415 - tasks imports what restores, which imports this

    tasks.restore_vault.enqueue(batch.pk, batch.turn)
