"""Signed heads of the ledger, kept where the database's administrator does not reach.

A chain can be cut at its end, or built anew from its first row: it then holds, and is another one. A checkpoint says
which hash the row with this number had at that moment, signed with Ed25519, so that whoever verifies it needs the
public key alone. It is one line of canonical JSON.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings

from audit import ledger
from audit.models import LedgerEntry, LedgerHead
from kvadmin import actions as a

CODE = "checkpoint"  # of the ledger's row that tells of one
_MEANT_FOR = b"kvadmin ledger checkpoint 1\n"  # so that a signature made for anything else is none of these
_FIELDS = ("at", "hash", "seq", "signature")


class NoKey(Exception):
    """There is no key to sign or to verify with."""

    def __str__(self) -> str:
        return "KVADMIN_CHECKPOINT_KEY is not set: openssl rand -base64 32 makes one."


class Unreadable(ValueError):
    """A line of a checkpoint file is no checkpoint, or none that one of the keys has signed."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The row number `seq` had this `hash` at that moment, as the signature says."""

    seq: int
    hash: str
    at: str  # UTC, ISO format
    signature: str

    def __str__(self) -> str:
        return json.dumps({name: getattr(self, name) for name in _FIELDS}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first checkpoint that the ledger no longer agrees with, and why."""

    checkpoint: Checkpoint
    why: str


def make() -> Checkpoint:
    """Sign the ledger's present end. Raises NoKey."""
    head = LedgerHead.objects.filter(pk=1).first() or LedgerHead()
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    signature = _private_key().sign(_signed(head.seq, head.hash, at))
    return Checkpoint(head.seq, head.hash, at, base64.b64encode(signature).decode())


def append(path: str, by: ledger.Actor = ledger.CLOCK) -> Checkpoint:
    """Add a checkpoint to the end of the file, on the disk before it is told of; then put it on record in the ledger.

    Raises NoKey, OSError where the file cannot be written, and ledger.LedgerUnavailable.
    """
    checkpoint = make()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with os.fdopen(descriptor, "ab") as file:
        file.write(f"{checkpoint}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    ledger.record(a.LEDGER_VERIFY, by, code=CODE, note=f"Checkpoint of row {checkpoint.seq}: {checkpoint.hash}.")
    return checkpoint


def is_due() -> bool:
    """Whether the ledger has grown since its last checkpoint by more than the row that tells of that."""
    last = LedgerEntry.objects.order_by("-seq").values_list("action", "code").first()
    return last is not None and last != (a.LEDGER_VERIFY.word, CODE)


# --- Reading them back -----------------------------------------------------------------------------------------------
def read(path: str, keys: Iterable[str] = ()) -> Iterator[Checkpoint]:
    """The checkpoints in a file, each with a good signature by one of the public keys; without one, by our own key's.

    Raises Unreadable, naming the line; NoKey; OSError.
    """
    trusted = [_public_key_from(word) for word in keys] or [_private_key().public_key()]
    with Path(path).open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _checked(line, f"Line {number} of {path}", trusted)


def _checked(line: str, where: str, trusted: list[Ed25519PublicKey]) -> Checkpoint:
    try:
        checkpoint = Checkpoint(**{name: json.loads(line)[name] for name in _FIELDS})
        signature = base64.b64decode(checkpoint.signature, validate=True)
        signed = _signed(checkpoint.seq, checkpoint.hash, checkpoint.at)
    except (ValueError, KeyError, TypeError):
        raise Unreadable(f"{where} is no checkpoint.") from None
    if not any(_verifies(key, signature, signed) for key in trusted):
        raise Unreadable(f"{where} is not signed with a key that is trusted here.")
    return checkpoint


def first_mismatch(checkpoints: Iterable[Checkpoint]) -> Mismatch | None:
    """The first checkpoint, by its row's number, that the ledger no longer agrees with."""
    for checkpoint in sorted(checkpoints, key=lambda checkpoint: checkpoint.seq):
        if why := _why_not(checkpoint):
            return Mismatch(checkpoint, why)
    return None


def _why_not(checkpoint: Checkpoint) -> str:
    if checkpoint.seq == 0:
        return "" if checkpoint.hash == ledger.GENESIS else "the ledger does not begin like this"
    found = LedgerEntry.objects.filter(seq=checkpoint.seq).values_list("hash", flat=True).first()
    if found is None:
        return "the row is gone: the ledger was cut"
    return "" if found == checkpoint.hash else "the row is another one: the ledger was written anew"


# --- Keys ------------------------------------------------------------------------------------------------------------
def public_key() -> str:
    """The public half of KVADMIN_CHECKPOINT_KEY, as base64: for whoever verifies. Raises NoKey."""
    return base64.b64encode(_private_key().public_key().public_bytes_raw()).decode()


def _private_key() -> Ed25519PrivateKey:
    if not settings.KVADMIN_CHECKPOINT_KEY:
        raise NoKey
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.KVADMIN_CHECKPOINT_KEY))


def _public_key_from(word: str) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(word, validate=True))
    except ValueError:
        raise Unreadable(f"{word[:60]} is no public key of a checkpoint.") from None


def _verifies(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _signed(seq: int, digest: str, at: str) -> bytes:
    """What the signature is over: canonical JSON, keys in order, after the words that say what it is for."""
    if not (isinstance(seq, int) and isinstance(digest, str) and isinstance(at, str)):
        raise TypeError
    facts = json.dumps({"at": at, "hash": digest, "seq": seq}, separators=(",", ":"), sort_keys=True)
    return _MEANT_FOR + facts.encode()
