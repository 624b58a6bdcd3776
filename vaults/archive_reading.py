"""Opens the file of a whole-vault backup (vaults/archive_file.py) with a private key, which is used and not kept."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import IO

import pyrage

from kvadmin.gateway.keyvault import valid_name
from kvadmin.gateway.values import SecretValue
from vaults.archive_file import FORMAT, HEADER, MOST_BYTES, MOST_FILES, PART, SUMMARY, Facts, digest_of

WORDS = {
    "no-archive": "This file is not an archive that kvadmin made.",
    "damaged": "This archive was cut off or changed: a part of it is not what its summary says.",
    "wrong-key": "This private key does not open the archive: it belongs to none of the public keys that it is for.",
    "no-key": "This is no private key of age. It is one line that begins with AGE-SECRET-KEY-1.",
}


class BadArchive(Exception):
    """This cannot be restored from. `code` is one of WORDS, `sentence` for whoever wants to."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.sentence = WORDS[code]
        super().__init__(self.sentence)


def identity_of(text: str) -> pyrage.x25519.Identity:
    """The private key in a text, or in a key file with its comments. Raises BadArchive, which does not repeat it."""
    keys = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    try:
        return pyrage.x25519.Identity.from_str(keys[0] if len(keys) == 1 else "")
    except pyrage.IdentityError:
        pass
    raise BadArchive("no-key")


@contextmanager
def _believed() -> Iterator[None]:
    """Whoever has a public key can write an archive, so it may hold anything. The error tells nothing of it."""
    failed = False
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError):
        failed = True
    if failed:
        raise BadArchive("damaged")


def _is_described(facts: Facts) -> bool:
    """Whether this tells of a secret all that a preview and a restore look at. Raises what `_believed` expects."""
    ids = [version["id"] for version in facts["versions"]]
    when = facts["expires"] is None or datetime.fromisoformat(facts["expires"])
    return valid_name(facts["name"]) and bool(when) and bool(ids) and all(isinstance(one, str) for one in ids)


class Archive:
    """An archive that is open for reading; `summary` is what it says of itself. `file` must be seekable.

    Everything is checked before it is believed: names, sizes and digests. Raises BadArchive.
    """

    def __init__(self, file: IO[bytes], identity: pyrage.x25519.Identity) -> None:
        self._identity = identity
        try:
            self._tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - it lives as long as this object
            self._members = self._known_members()
            plain = json.loads(self._bytes(HEADER))
        except (tarfile.TarError, ValueError, OSError):
            raise BadArchive("no-archive") from None
        if not isinstance(plain, dict) or plain.get("kvadmin-backup") != FORMAT:
            raise BadArchive("no-archive")
        self.summary = self._summary()

    def lists(self) -> Iterator[tuple[str, list[Facts]]]:
        """The name of each part, and what it holds."""
        for part in self.summary["parts"]:
            yield part["name"], self._listed(part)

    def parts(self) -> Iterator[tuple[str, list[tuple[Facts, SecretValue]]]]:
        """The name of each part with its secrets and their backups, one part in memory at a time."""
        for part in self.summary["parts"]:
            listed = self._listed(part)
            yield part["name"], list(zip(listed, self._blobs(part, listed), strict=True))

    def _known_members(self) -> dict[str, tarfile.TarInfo]:
        found: dict[str, tarfile.TarInfo] = {}
        for member in self._tar:
            if not member.isfile() or member.size > MOST_BYTES or len(found) > MOST_FILES:
                raise BadArchive("no-archive")
            found[member.name] = member
        return found

    def _bytes(self, name: str) -> bytes:
        member = self._members.get(name)
        file = self._tar.extractfile(member) if member else None
        if file is None:
            raise BadArchive("no-archive" if name == HEADER else "damaged")
        return file.read()

    def _summary(self) -> Facts:
        with _believed():
            found = json.loads(self._opened(self._bytes(SUMMARY), "wrong-key"))
            names = [part["name"] for part in found["parts"]]
            if len(set(names)) != len(names) or not all(PART.fullmatch(name) for name in names):
                raise BadArchive("damaged")
            return dict(found)

    def _opened(self, data: bytes, otherwise: str = "damaged") -> bytes:
        try:
            return bytes(pyrage.decrypt(data, [self._identity]))
        except pyrage.DecryptError:
            pass
        raise BadArchive(otherwise)

    def _of_part(self, part: Facts, kind: str) -> list[Facts]:
        with _believed():
            data = self._bytes(f"parts/{part['name']}.{kind}.age")
            if digest_of(data) != part[kind]:
                raise BadArchive("damaged")
            return [json.loads(line) for line in self._opened(data).splitlines()]

    def _listed(self, part: Facts) -> list[Facts]:
        found = self._of_part(part, "list")
        with _believed():
            if len(found) != part["secrets"] or not all(_is_described(facts) for facts in found):
                raise BadArchive("damaged")
        return found

    def _blobs(self, part: Facts, listed: list[Facts]) -> list[SecretValue]:
        with _believed():
            found = [SecretValue(line["blob"]) for line in self._of_part(part, "blobs")]
            digests = [digest_of(blob.expose().encode()) for blob in found]
            if digests != [facts["sha256"] for facts in listed]:
                raise BadArchive("damaged")
            return found
