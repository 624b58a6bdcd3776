"""The ledger's chain, walked: whether each row follows the one before it, and is as it was written."""

from __future__ import annotations

from dataclasses import dataclass, field

from audit.ledger import GENESIS, digest
from audit.models import LedgerEntry, LedgerHead


@dataclass(frozen=True, slots=True)
class Chain:
    """What verifying found: how many rows hold, and the first that does not.

    `head` is the hash of the last row that was walked: of a chain that holds, what can be noted outside the database.
    """

    rows: int
    first_bad: int | None = None
    why: str = ""
    head: str = field(default=GENESIS, compare=False)

    @property
    def intact(self) -> bool:
        return self.first_bad is None


def verify() -> Chain:
    """Walk the whole chain in order. Memory stays flat: rows are streamed.

    Nothing is locked, so rows are added meanwhile: each comes with its head, so the walk must reach the head that was
    read before it, with that hash, and the head that is read after it must have all that was walked.
    """
    before, at_head = _head(), GENESIS
    seq, previous = 0, GENESIS
    for entry in LedgerEntry.objects.order_by("seq").iterator(chunk_size=2000):
        why = _fault(entry, seq + 1, previous)
        if why:
            return Chain(seq, min(entry.seq, seq + 1), why)
        seq, previous = entry.seq, entry.hash
        at_head = previous if seq == before.seq else at_head
    after = _head()
    if seq < before.seq:
        return Chain(seq, seq + 1, "rows are missing at the end")
    if at_head != before.hash or after.seq < seq or (after.seq == seq and after.hash != previous):
        return Chain(seq, seq + 1, "the chain's head does not fit its last rows")
    return Chain(seq, head=previous)


@dataclass(frozen=True, slots=True)
class Walked:
    """A part of the chain: `chain.rows` is the last row that holds, `hash` its hash; `at_end`: no row follows it."""

    chain: Chain
    hash: str
    at_end: bool = False


def verify_some(after: int, previous: str, most: int) -> Walked:
    """Walk at most so many rows, from the one behind row `after`, whose hash was seen to be `previous`.

    For whoever looks at the chain a little at a time; 0 begins at its beginning.
    """
    before = _head()
    seq, previous = after, previous if after else GENESIS
    for entry in LedgerEntry.objects.filter(seq__gt=after).order_by("seq")[:most]:
        why = _fault(entry, seq + 1, previous)
        if not why and entry.seq == before.seq and entry.hash != before.hash:
            why = "the chain's head does not fit its last rows"
        if why:
            return Walked(Chain(seq, min(entry.seq, seq + 1), why), previous)
        seq, previous = entry.seq, entry.hash
    at_end = seq - after < most
    if after > before.seq or (at_end and seq < before.seq):
        last = min(seq, before.seq)
        return Walked(Chain(last, last + 1, "rows are missing at the end"), previous)
    return Walked(Chain(seq), previous, at_end)


def _head() -> LedgerHead:
    """The chain's end; without a row of its own, that of an empty ledger."""
    return LedgerHead.objects.filter(pk=1).first() or LedgerHead()


def _fault(entry: LedgerEntry, expected: int, previous: str) -> str:
    if entry.seq != expected:
        return f"row {expected} is missing"
    if entry.previous_hash != previous:
        return "it does not follow the row before it"
    if entry.hash != digest(entry):
        return "its content was changed"
    return ""
