"""How much of what happened the access log can know. No page may say "nobody read this" where the log is blind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.conf import settings
from django.utils import timezone

from audit.models import Watermark

# Why a vault is blind, by vaults.models.LogState; what is missing here is not blind, or not checked yet.
BLIND = {
    "no-setting": "no diagnostic setting",
    "not-to-workspace": "its log does not go to a workspace",
    "unreadable": "its workspace cannot be read",
}
BEHIND = "behind"  # a watermark's code: the last look was answered, and did not come to the end
HIDDEN = "unreadable"  # then the vault is asked for its own log, which may succeed


class Logged(Protocol):
    """What is asked of a vault: its lower-case name and ARM id, whether its log can be read, and where that lies."""

    name: str
    resource_id: str
    log_state: str
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Blind:
    vault: str
    why: str


@dataclass(frozen=True, slots=True)
class Stale:
    """A log whose last try failed, in our own words, and how many of the vaults it concerns."""

    mark: Watermark
    vaults: int


def kept_from() -> datetime:
    """From when on kvadmin keeps events: what is older is deleted."""
    return timezone.now() - timedelta(days=settings.KVADMIN_AUDIT_DAYS)


@dataclass(slots=True)
class Coverage:
    """What the log of some vaults is complete for."""

    up_to: datetime | None = None  # the earliest of their watermarks: later than this, a list may lack rows
    since: datetime | None = None  # the latest of their beginnings: earlier than this, a list may lack rows
    waiting: int = 0  # vaults whose log has not been taken in yet
    blind: list[Blind] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    stale: list[Stale] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    kept_from: datetime = field(default_factory=kept_from)


def coverage(vaults: Iterable[Logged]) -> Coverage:
    """The coverage of these vaults together. One query beside the vaults' own."""
    watched = list(vaults)
    marks, found = watermarks(watched), Coverage()
    per_mark: dict[int, tuple[Watermark, int]] = {}
    for vault in watched:
        mark = marks.get(vault.name)
        if why := blind(vault, mark):
            found.blind.append(Blind(vault.name, why))
        elif mark is not None:
            per_mark[mark.pk] = (mark, per_mark.get(mark.pk, (mark, 0))[1] + 1)
        elif vault.log_state != "ok":
            found.unchecked.append(vault.name)
        else:
            found.waiting += 1
    for mark, vaults_there in per_mark.values():
        _add(found, mark, vaults_there)
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
    """The watermark that counts for each vault, by the vault's name, where there is one. One query."""
    watched = list(vaults)
    workspaces = {vault.workspace_id.lower() for vault in watched if vault.workspace_id}
    resources = {vault.resource_id.lower() for vault in watched if vault.resource_id}
    marks = list(Watermark.objects.filter(workspace_id__in=workspaces | {""}, resource_id__in=resources | {""}))
    by_log = {mark.workspace_id or mark.resource_id: mark for mark in marks}
    found = {vault.name: _better(_shared(vault, by_log), _own(vault, by_log)) for vault in watched}
    return {name: mark for name, mark in found.items() if mark is not None}


def _shared(vault: Logged, by_log: dict[str, Watermark]) -> Watermark | None:
    """Its workspace's, while it is known to send its log there."""
    return by_log.get(vault.workspace_id.lower()) if vault.log_state == "ok" else None


def _own(vault: Logged, by_log: dict[str, Watermark]) -> Watermark | None:
    """The vault's own. One without any row counts for nothing: Azure leaves hidden workspaces out without a word."""
    mark = by_log.get(vault.resource_id.lower()) if vault.resource_id else None
    return mark if mark is not None and mark.columns else None


def _better(workspace: Watermark | None, own: Watermark | None) -> Watermark | None:
    """The one that reaches further; the workspace's where neither does."""
    if workspace is None or own is None or own.complete_up_to is None:
        return workspace or own
    ahead = workspace.complete_up_to is None or workspace.complete_up_to < own.complete_up_to
    return own if ahead else workspace


def blind(vault: Logged, mark: Watermark | None) -> str:
    """Why nothing that happens in the vault shows; "" when it does, or when that is not known."""
    if vault.log_state == HIDDEN and mark is not None and mark.resource_id and mark.complete_up_to:
        return ""  # the workspace is hidden, and yet the vault's own log is answered
    return BLIND.get(vault.log_state, "")


def gaps_of(mark: Watermark) -> list[tuple[datetime, datetime]]:
    return [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in mark.gaps]


def silence(vault: Logged, mark: Watermark | None, *, seen: bool) -> str:
    """What a list of one vault's reads, empty or not, can and cannot know: one or two sentences."""
    said = "" if seen else "No read seen. "
    if why := blind(vault, mark):
        return f"{said}This vault is blind ({why}): reads around kvadmin do not show."
    if vault.log_state != "ok" and mark is None:
        return f"{said}Whether this vault sends an access log has not been checked yet."
    if mark is None or mark.complete_up_to is None or mark.complete_from is None:
        return f"{said}Azure's log of this vault has not been taken in yet."
    text = f"{said}Azure's log is complete from {zulu(mark.complete_from)} up to {zulu(mark.complete_up_to)}"
    if mark.gaps:
        text += f", but for {len(mark.gaps)} gap{'s' if len(mark.gaps) != 1 else ''}"
    text += f", and {'not' if mark.code == BEHIND else 'blind'} since: {mark.note}" if mark.code else "."
    return f"{text} What came before the vault's diagnostic setting was made is not in it."


def in_words(vaults: Iterable[Logged]) -> str:
    """What rows of these vaults can and cannot tell, for where no page stands around them."""
    known = coverage(vaults)
    said = ["Azure's log is complete for no moment."]
    if known.up_to and known.since:
        said = [f"Azure's log is complete from {zulu(known.since)} up to {zulu(known.up_to)}."]
    lacks = {"gaps": len(known.gaps), "blind vaults": len(known.blind)}
    lacks |= {"vaults not taken in yet": known.waiting, "vaults not checked yet": len(known.unchecked)}
    lacks |= {"logs whose last look failed": len(known.stale)}
    said += [f"{what.capitalize()}: {n}." for what, n in lacks.items() if n]
    return " ".join([*said, "What came before a vault's diagnostic setting was made is not in it."])


def remember_retention(workspace_id: str, days: int | None) -> None:
    """Keep for how long a workspace keeps its rows, as Azure describes it. Written only when it differs."""
    if not workspace_id or days is None or days <= 0:
        return
    name = workspace_id.lower()
    mark, made = Watermark.objects.get_or_create(workspace_id=name, resource_id="", defaults={"retention_days": days})
    if not made and mark.retention_days != days:
        Watermark.objects.filter(pk=mark.pk).update(retention_days=days)


def zulu(moment: datetime) -> str:
    """A moment as every page writes it: "2026-12-01 00:48Z"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}Z"
