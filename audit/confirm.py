"""From the other side: has Azure's log shown what the ledger says was read?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from audit.coverage import Logged, blind, gaps_of, watermarks, zulu
from audit.models import LedgerEntry, Watermark

READ_PHASES = (LedgerEntry.Phase.REVEALED, LedgerEntry.Phase.READ)  # outcomes that say Azure gave a value out


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What Azure's log says to one read: a badge's tone and word, why so, and the row that confirms it, if any."""

    tone: str
    label: str
    why: str = ""
    event_id: int | None = None


def confirmations(
    entries: Iterable[LedgerEntry], vaults: Iterable[Logged]
) -> list[tuple[LedgerEntry, Confirmed | None]]:
    """Each row with its confirmation; None for rows that are no read. `entries` come from queries.with_events.

    One query, for the watermarks.
    """
    known = {vault.name: vault for vault in vaults}
    marks = watermarks(known.values())
    return [(entry, _confirmed(entry, known.get(entry.vault), marks)) for entry in entries]


def _confirmed(entry: LedgerEntry, vault: Logged | None, marks: dict[str, Watermark]) -> Confirmed | None:
    if entry.phase not in READ_PHASES:
        return None
    event_id = getattr(entry, "event_id", None)
    if event_id is not None:
        return Confirmed("ok", "Confirmed", event_id=event_id)
    mark = marks.get(entry.vault)
    if vault is None or (vault.log_state != "ok" and mark is None) or blind(vault, mark):
        why = blind(vault, mark) if vault else ""
        return Confirmed("muted", "Blind", why or "not known whether the vault sends a log")
    return _missing(entry, mark)


def _missing(entry: LedgerEntry, mark: Watermark | None) -> Confirmed:
    """A read that the log of its vault has not shown: only where it should have is that worth a warning."""
    up_to = mark.complete_up_to if mark else None
    if mark is None or up_to is None or entry.at > up_to:
        return Confirmed("info", "Not shown yet", f"complete up to {zulu(up_to)}" if up_to else "not taken in yet")
    if mark.complete_from and entry.at < mark.complete_from:
        return Confirmed("muted", "Too early", f"complete only from {zulu(mark.complete_from)} on")
    if any(start <= entry.at <= end for start, end in gaps_of(mark)):
        return Confirmed("info", "Not known", "the log has a gap there")
    return Confirmed("warn", "Unconfirmed", f"complete up to {zulu(up_to)}, and not there")
