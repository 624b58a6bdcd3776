"""The file of a whole-vault backup: a tar of parts, each encrypted with age for whoever may open it again.

kvadmin-backup.json     plain: what this is, of which vault, and for which public keys
parts/NAME.list.age     what a part holds: names, versions, dates, tags, digests; no value
parts/NAME.blobs.age    Azure's own backups of these secrets, each still encrypted by Azure
summary.age             how much there is, what was skipped and why, and the SHA-256 of each file above

A part is on disk when its NAME.json is: that is written last, and holds names and digests only. kvadmin has public keys
only, so it cannot open what it has written. In memory lies one part at a time, whatever the size of the vault.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import pyrage

from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.values import SecretValue

FORMAT = 1
HEADER, SUMMARY, DONE = "kvadmin-backup.json", "summary.age", "archive.tar"
PART_SECRETS, PART_BYTES = 50, 4_000_000  # a part is closed when it holds so much
MOST_BYTES = 64 * 1024 * 1024  # of one file in an archive: the largest backup that Azure makes has some 20 MiB
MOST_FILES = 200_000
PART = re.compile(r"[0-9]{6}-[0-9a-f]{8}")
_CHUNK = 1024 * 1024
Facts = dict[str, Any]  # of one secret, as JSON has it


# --- What is known of a secret ---------------------------------------------------------------------------------------
def described(name: str, versions: list[SecretProperties]) -> Facts:
    """A secret as the archive's list has it, by its versions, newest first: metadata only."""
    return {"name": name, **_facts(versions[0]), "versions": [version_of(version) for version in versions]}


def version_of(version: SecretProperties) -> Facts:
    """One version, as it must be again after a restore."""
    return {"id": version.version, **_facts(version)}


def _facts(found: SecretProperties) -> Facts:
    moments = {"created": found.created_on, "not_before": found.not_before, "expires": found.expires_on}
    dates = {name: _text(moment) for name, moment in moments.items()}
    return {"enabled": found.enabled, "content_type": found.content_type, "tags": found.tags, **dates}


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


# --- Writing ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Part:
    """A part that is on disk: its name, the lower-case names of its secrets, and the SHA-256 of its two files."""

    name: str
    keys: list[str]
    listed: str
    blobs: str
    versions: int

    def to_json(self) -> Facts:
        return {"name": self.name, "secrets": len(self.keys), "list": self.listed, "blobs": self.blobs}


def recipients_of(keys: Iterable[str]) -> list[pyrage.x25519.Recipient]:
    """The public keys, read. Raises pyrage.RecipientError."""
    return [pyrage.x25519.Recipient.from_str(key) for key in keys]


def write_part(folder: Path, number: int, secrets: list[tuple[Facts, SecretValue]], keys: list[str]) -> Part:
    """Put some secrets on disk; when this returns they are there for good. Raises OSError.

    The name has some chance in it: a worker that was given up for dead, and is not, never writes over another's part.
    """
    name, recipients = f"{number:06}-{os.urandom(4).hex()}", recipients_of(keys)
    listed = [facts | {"sha256": digest_of(blob.expose().encode())} for facts, blob in secrets]
    places = (folder / f"{name}.list.age", folder / f"{name}.blobs.age")
    of_list = _put(places[0], pyrage.encrypt(_lines(listed), recipients))
    of_blobs = _put(places[1], pyrage.encrypt(_lines({"blob": blob.expose()} for _, blob in secrets), recipients))
    versions = sum(len(facts["versions"]) for facts, _ in secrets)
    part = Part(name, [facts["name"].lower() for facts, _ in secrets], of_list, of_blobs, versions)
    sidecar = {"keys": part.keys, "list": part.listed, "blobs": part.blobs, "versions": versions}
    _put(folder / f"{name}.json", json.dumps(sidecar).encode())
    return part


def parts_in(folder: Path) -> list[Part]:
    """The parts that are whole on disk, in order."""
    found = []
    for place in sorted(folder.glob("*.json")):
        if PART.fullmatch(place.stem):
            facts = json.loads(place.read_bytes())
            found.append(Part(place.stem, facts["keys"], facts["list"], facts["blobs"], facts["versions"]))
    return found


def join(folder: Path, parts: list[Part], summary: Facts, keys: list[str]) -> tuple[int, str]:
    """Make one file of the parts, in `folder`/DONE; its size in bytes and its SHA-256. Raises OSError.

    What an earlier try has left of it is written over.
    """
    plain = {"kvadmin-backup": FORMAT, "vault": summary["vault"], "made": summary["made"], "recipients": keys}
    sealed = pyrage.encrypt(
        json.dumps(summary | {"parts": [part.to_json() for part in parts]}).encode(), recipients_of(keys)
    )
    unfinished = folder / f"{DONE}.{os.urandom(4).hex()}"
    with _private(unfinished) as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            _add(tar, HEADER, json.dumps(plain, indent=1).encode())
            for part in parts:
                for kind in ("list", "blobs"):
                    tar.add(folder / f"{part.name}.{kind}.age", f"parts/{part.name}.{kind}.age", filter=_anonymous)
            _add(tar, SUMMARY, sealed)
        file.flush()
        os.fsync(file.fileno())
    size, digest = unfinished.stat().st_size, _digest_of_file(unfinished)
    unfinished.replace(folder / DONE)
    return size, digest


def drop_parts(folder: Path) -> None:
    """Remove what the one file has made superfluous."""
    for place in folder.iterdir():
        if place.name != DONE:
            place.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """The folder, which nobody else on this machine may look into."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def put(place: Path, data: bytes) -> None:
    """Write a file whole or not at all, for the owner's eyes. Raises OSError."""
    unfinished = place.with_name(f"{place.name}.{os.urandom(4).hex()}")
    with _private(unfinished) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(place)


def _put(place: Path, data: bytes) -> str:
    put(place, data)
    return digest_of(data)


def _private(place: Path) -> IO[bytes]:
    return os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _lines(rows: Iterable[Facts]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Who runs kvadmin, and when a part was written, is nobody's business."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def digest_of(data: bytes) -> str:
    """SHA-256, as the archive writes it."""
    return hashlib.sha256(data).hexdigest()


def _digest_of_file(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chunks(place: Path) -> Iterator[bytes]:
    """The file piece by piece. Raises OSError when it is gone."""
    with place.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
