"""How much of what happened the access log can know. No page may say "nobody read this" where the log is blind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from audit.models import Watermark

# Why a vault is blind, by vaults.models.LogState; what is missing here is not blind, or not checked yet.
BLIND = {
    "no-setting": "no diagnostic setting",
    "not-to-workspace": "its log does not go to a workspace",
    "unreadable": "its workspace cannot be read",
}


class Logged(Protocol):
    """What is asked of a vault: its lower-case name, whether its log can be read, and the workspace that holds it."""

    name: str
    log_state: str
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Blind:
    vault: str
    why: str


@dataclass(frozen=True, slots=True)
class Stale:
    """A workspace whose last try failed, in our own words, and how many of the vaults it concerns."""

    mark: Watermark
    vaults: int


@dataclass(slots=True)
class Coverage:
    """What the log of some vaults is complete for."""

    up_to: datetime | None = None  # the earliest of their watermarks: later than this, a list may lack rows
    since: datetime | None = None  # the latest of their beginnings: earlier than this, a list may lack rows
    waiting: int = 0  # vaults whose workspace has not been taken in yet
    blind: list[Blind] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    stale: list[Stale] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)


def coverage(vaults: Iterable[Logged]) -> Coverage:
    """The coverage of these vaults together. One query beside the vaults' own."""
    watched = list(vaults)
    marks, found = watermarks(watched), Coverage()
    per_mark: dict[str, int] = {}
    for vault in watched:
        if vault.log_state in BLIND:
            found.blind.append(Blind(vault.name, BLIND[vault.log_state]))
        elif vault.log_state != "ok":
            found.unchecked.append(vault.name)
        elif vault.workspace_id.lower() in marks:
            per_mark[vault.workspace_id.lower()] = per_mark.get(vault.workspace_id.lower(), 0) + 1
        else:
            found.waiting += 1
    for workspace_id, vaults_there in per_mark.items():
        _add(found, marks[workspace_id], vaults_there)
    return found


def _add(found: Coverage, mark: Watermark, vaults: int) -> None:
    if mark.code:
        found.stale.append(Stale(mark, vaults))
    if mark.complete_up_to is None or mark.complete_from is None:
        found.waiting += vaults
        return
    found.up_to = min(found.up_to or mark.complete_up_to, mark.complete_up_to)
    found.since = max(found.since or mark.complete_from, mark.complete_from)
    found.gaps += gaps_of(mark)


def watermarks(vaults: Iterable[Logged]) -> dict[str, Watermark]:
    """The watermarks of the vaults' workspaces, by workspace id. One query."""
    wanted = {vault.workspace_id.lower() for vault in vaults if vault.workspace_id}
    return {mark.workspace_id: mark for mark in Watermark.objects.filter(workspace_id__in=wanted)}


def gaps_of(mark: Watermark) -> list[tuple[datetime, datetime]]:
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in mark.gaps]


def silence(vault: Logged, mark: Watermark | None, *, seen: bool) -> str:
    """What a list of one vault's reads, empty or not, can and cannot know: one or two sentences."""
    said = "" if seen else "No read seen. "
    if vault.log_state in BLIND:
        return f"{said}This vault is blind ({BLIND[vault.log_state]}): reads around kvadmin do not show."
    if vault.log_state != "ok":
        return f"{said}Whether this vault sends an access log has not been checked yet."
    if mark is None or mark.complete_up_to is None or mark.complete_from is None:
        return f"{said}Azure's log of this vault has not been taken in yet."
    text = f"{said}Azure's log is complete from {zulu(mark.complete_from)} up to {zulu(mark.complete_up_to)}"
    if mark.gaps:
        text += f", but for {len(mark.gaps)} gap{'s' if len(mark.gaps) != 1 else ''}"
    text += f", and blind since: {mark.note}" if mark.code else "."
    return text if seen else f"{text} What came before the vault's diagnostic setting was made is not in it."


def zulu(moment: datetime) -> str:
    """A moment as every page writes it: "2026-12-01 00:48Z"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"
