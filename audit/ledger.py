"""The only writer of the ledger. It takes named fields only, so that a value has no way in.

Every row carries the hash of the one before it. The chain's head is one locked row, so that two writers never fork it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from django.db import DatabaseError, transaction

from audit.clock import database_now
from audit.models import LedgerEntry, LedgerHead, new_act
from kvadmin.actions import SECRET_BREAK_GLASS, SECRET_REVEAL, Action

logger = logging.getLogger(__name__)
Phase = LedgerEntry.Phase
GENESIS = "0" * 64
_HASHED = [field.name for field in LedgerEntry._meta.concrete_fields if field.name not in {"hash", "at", "act"}]


class LedgerUnavailable(Exception):
    """The ledger cannot be written. Whatever was to be recorded must not happen."""

    code = "ledger-unavailable"
    sentence = "The ledger cannot be written, so nothing was done and no value left the vault. Try again shortly."

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a stable id, the name to remember, and the address the request came from."""

    id: str
    name: str
    address: str = ""


CLOCK = Actor("", "kvadmin")


@dataclass(frozen=True, slots=True)
class Target:
    """What is acted on, by name: nothing here points at a row that could be deleted."""

    vault: str = ""
    secret: str = ""
    version: str = ""


NOTHING = Target()


@dataclass(frozen=True, slots=True)
class Move:
    """A step of a reveal request: its number, from which state to which, and the hash of what was shown."""

    request: int | None = None
    from_state: str = ""
    to_state: str = ""
    shown_hash: str = ""


NO_MOVE = Move()


@dataclass(frozen=True, slots=True)
class _Act:
    """What all rows of one act share."""

    action: Action
    actor: Actor
    target: Target
    reason: str = ""
    move: Move = NO_MOVE
    rights: str = ""
    id: uuid.UUID = field(default_factory=new_act)


class Attempt:
    """An act whose intent is on record. `revealed`, `read` or `done` puts its outcome on record; none means failure."""

    def __init__(
        self,
        action: Action,
        actor: Actor,
        target: Target,
        reason: str = "",
        move: Move = NO_MOVE,
        *,
        durable: bool = True,
        note: str = "",
        rights: str = "",
        begun: uuid.UUID | None = None,
    ) -> None:
        self._act = _Act(action, actor, target, reason, move, rights, begun or new_act())
        self.id = self._act.id
        self.closed = False
        self._durable = durable
        if begun is None:
            _append(self._act, Phase.INTENT, durable=durable, note=note)

    def revealed(self, *, version: str, request_id: str, region: str) -> None:
        """Put on record that Azure gave the value out: which version, and the id Azure logs for this read."""
        self._act = replace(self._act, target=replace(self._act.target, version=version))
        self._close(Phase.REVEALED, request_id=request_id, region=region)

    def read(self, *, version: str = "", request_id: str, region: str, note: str = "") -> None:
        """Put on record that Azure gave a value to kvadmin, for an act that shows it to nobody, such as a backup.

        `version`: the one that was read; "" for a backup, which holds every version.
        """
        self._act = replace(self._act, target=replace(self._act.target, version=version))
        self._close(Phase.READ, note=note, request_id=request_id, region=region)

    def withheld(self, *, code: str, note: str, request_id: str) -> None:
        """Put on record that Azure gave the value out, and kvadmin to nobody: the grant had ended meanwhile."""
        self._close(Phase.WITHHELD, code=code, note=note, request_id=request_id)

    def done(self, *, note: str, version: str = "", request_id: str = "", region: str = "") -> None:
        """Put on record that an act which hands out no value is over, and in a sentence of our own what came of it.

        `version`, `request_id`, `region`: what Azure answered to a write, as far as there is such an answer.
        """
        if version:
            self._act = replace(self._act, target=replace(self._act.target, version=version))
        self._close(Phase.DONE, note=note, request_id=request_id, region=region)

    def failed(self, error: BaseException, *, note: str = "") -> None:
        """Put on record that it came to nothing, with the error's own code. Its text stays out of the ledger."""
        code = str(getattr(error, "code", "") or "crashed")
        self._close(Phase.FAILED, code=code, note=note, request_id=str(getattr(error, "request_id", "") or ""))

    def _close(self, phase: LedgerEntry.Phase, **outcome: str) -> None:
        if not self.closed:
            _append(self._act, phase, durable=self._durable, **outcome)
            self.closed = True


@contextmanager
def attempt(action: Action, actor: Actor, target: Target, *, reason: str = "", rights: str = "") -> Iterator[Attempt]:
    """Bracket an act: the intent is committed before the body runs, its outcome before the body's result is used.

    `rights` is whose Azure rights are used, where they are not kvadmin's: `LedgerEntry.Rights`.

    Raises LedgerUnavailable when either row cannot be written; the caller then has nothing to show.
    """
    with closing(Attempt(action, actor, target, reason, rights=rights)) as act:
        yield act


@contextmanager
def closing(act: Attempt) -> Iterator[Attempt]:
    """Bracket what is left of an act that has begun: it ends with an outcome, however the body ends."""
    try:
        yield act
    except BaseException as error:
        act.failed(error)
        raise
    if not act.closed:
        act.failed(RuntimeError("no outcome was recorded"))


def begin(action: Action, actor: Actor, target: Target, *, reason: str, move: Move, rights: str = "") -> Attempt:
    """Put an intent on record in the caller's transaction, together with the use that it spends.

    The caller commits both before Azure is called, and closes the attempt with the outcome.
    """
    return Attempt(action, actor, target, reason, move, durable=False, rights=rights)


def resume(act: uuid.UUID, action: Action, actor: Actor, target: Target, *, reason: str) -> Attempt:
    """The attempt whose intent is on record already, and whose process died before its outcome was.

    Whoever finds out what came of it closes it, in their own transaction.
    """
    return Attempt(action, actor, target, reason, durable=False, begun=act)


def start(action: Action, actor: Actor, target: Target = NOTHING, *, note: str) -> Attempt:
    """Put on record, at once, that an act begins which ends later than the function that starts it: an export.

    `note` says what it is. The caller closes it with `done` or `failed`. Raises LedgerUnavailable.
    """
    return Attempt(action, actor, target, note=note)


def revealed_since(actor: Actor, since: datetime) -> int:
    """How many values this person was shown since then, or is just about to be. Raises LedgerUnavailable.

    Whatever began and did not fail counts, so that of what they ask for at once each counts the others.
    """
    rows = LedgerEntry.objects.filter(person_id=actor.id, at__gt=since)
    shown = rows.filter(phase=Phase.INTENT, action__in=[SECRET_REVEAL.word, SECRET_BREAK_GLASS.word])
    unseen = rows.filter(phase__in=[Phase.FAILED, Phase.WITHHELD])
    try:
        return shown.exclude(act__in=unseen.values("act")).count()
    except DatabaseError:
        raise LedgerUnavailable from None


def begun_since(actor: Actor, action: Action, since: datetime) -> int:
    """How often the ledger says that this person began this act since then. Raises LedgerUnavailable."""
    begun = LedgerEntry.objects.filter(person_id=actor.id, action=action.word, phase=Phase.INTENT, at__gt=since)
    try:
        return begun.count()
    except DatabaseError:
        raise LedgerUnavailable from None


def record(
    action: Action,
    actor: Actor,
    target: Target = NOTHING,
    *,
    reason: str = "",
    code: str = "",
    note: str = "",
    move: Move = NO_MOVE,
) -> LedgerEntry:
    """Add one row for an act that is done, in the caller's transaction: both are committed, or neither."""
    return _append(_Act(action, actor, target, reason, move), Phase.DONE, durable=False, code=code, note=note)


def refuse(
    action: Action,
    actor: Actor,
    target: Target = NOTHING,
    *,
    code: str,
    note: str,
    reason: str = "",
    move: Move = NO_MOVE,
) -> LedgerEntry:
    """Add one row for an act that was refused. It is committed at once: raising afterwards must not undo it."""
    return _append(_Act(action, actor, target, reason, move), Phase.REFUSED, code=code, note=note)


def _append(act: _Act, phase: LedgerEntry.Phase, *, durable: bool = True, **outcome: str) -> LedgerEntry:
    """Write one row: `outcome` names columns such as code, note, request_id and region."""
    entry = LedgerEntry(
        act=act.id, phase=phase, action=act.action.word,
        person_id=act.actor.id, person=act.actor.name, address=act.actor.address,
        vault=act.target.vault.lower(), secret=act.target.secret.lower(), version=act.target.version,
        reason=act.reason, rights=act.rights, request=act.move.request,
        from_state=act.move.from_state, to_state=act.move.to_state,
        shown_hash=act.move.shown_hash, **outcome,
    )  # fmt: skip
    _tidy(entry)
    try:
        with transaction.atomic(durable=durable):
            _chain(entry)
    except DatabaseError as error:
        logger.error("The ledger cannot be written: %s", type(error).__name__)  # its text may quote the row
        raise LedgerUnavailable from None
    return entry


def _tidy(entry: LedgerEntry) -> None:
    """Cut texts to their columns and drop NUL, which PostgreSQL refuses: a long name must not stop a record."""
    for column in LedgerEntry._meta.concrete_fields:
        value = getattr(entry, column.attname)
        if isinstance(value, str):
            setattr(entry, column.attname, value.replace("\x00", "")[: column.max_length])


def _chain(entry: LedgerEntry) -> None:
    head, _ = LedgerHead.objects.select_for_update().get_or_create(pk=1)
    now = database_now()
    entry.seq, entry.previous_hash, entry.at = head.seq + 1, head.hash, max(now, head.at or now)
    entry.hash = digest(entry)
    entry.save(force_insert=True)
    head.seq, head.hash, head.at = entry.seq, entry.hash, entry.at
    head.save()


def digest(entry: LedgerEntry) -> str:
    """SHA-256 over every field that holds something, but the hash itself, as canonical JSON; times in UTC microseconds.

    Empty fields are left out, so that a column added by a later release does not change the hash of older rows.
    """
    facts = {name: value for name in _HASHED if (value := getattr(entry, name)) not in (None, "")}
    facts |= {"at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"), "act": str(entry.act)}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
