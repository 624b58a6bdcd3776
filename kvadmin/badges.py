"""How each stored state looks: a tone, an icon and a word. Status is never colour alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaults.models import Secret

SOON_DAYS = 30  # "expiring soon" on every page
TONE_ICONS = {
    "ok": "circle-check",
    "warn": "triangle-alert",
    "bad": "octagon-alert",
    "info": "info",
    "muted": "circle-dashed",
}


@dataclass(frozen=True, slots=True)
class Look:
    """One badge. `tone` is the CSS class: ok, warn, bad, info or muted."""

    tone: str
    icon: str
    label: str


def _plain(tone: str, label: str) -> Look:
    """The icon follows the tone."""
    return Look(tone, TONE_ICONS[tone], label)


_TABLES: dict[str, dict[str, Look]] = {
    # vaults.models.Health
    "health": {
        "unknown": Look("muted", "circle-dashed", "Not checked yet"),
        "ok": Look("ok", "circle-check", "Healthy"),
        "dns": Look("bad", "unplug", "Name does not resolve"),
        "firewall": Look("bad", "brick-wall", "Firewall"),
        "private-link": Look("bad", "network", "Private link"),
        "rbac": Look("bad", "lock", "No role"),
        "access-policy": Look("bad", "lock", "No access policy"),
        "throttled": Look("warn", "gauge", "Throttled"),
        "credential": Look("bad", "key-round", "Sign-in failed"),
        "unreachable": Look("bad", "unplug", "Unreachable"),
        "server": Look("warn", "server-crash", "Azure error"),
        "other": Look("bad", "ban", "Refused"),
    },
    # vaults.models.LogState
    "log": {
        "unknown": Look("muted", "circle-dashed", "Not checked yet"),
        "ok": Look("ok", "eye", "Logged"),
        "no-setting": Look("warn", "eye-off", "No diagnostic setting"),
        "not-to-workspace": Look("warn", "eye-off", "Not sent to a workspace"),
        "unreadable": Look("warn", "lock", "Workspace not readable"),
    },
    # vaults.models.VaultWarning.Level
    "warning": {
        "serious": Look("bad", "octagon-alert", "Serious"),
        "warning": Look("warn", "triangle-alert", "Warning"),
        "note": Look("info", "info", "Note"),
    },
    # Kinds of identities, as Azure and the directory of names tell them
    "holder": {
        "person": Look("muted", "user-round", "Person"),
        "group": Look("muted", "users", "Group"),
        "app": Look("muted", "app-window", "Application"),
        "managed-identity": Look("muted", "bot", "Managed identity"),
        "unknown": Look("muted", "circle-question-mark", "Kind not told"),
    },
    # vaults.models.SyncRun.State
    "sync": {
        "queued": Look("muted", "hourglass", "Queued"),
        "running": Look("info", "refresh-cw", "Running"),
        "done": Look("ok", "circle-check", "Done"),
        "failed": Look("bad", "octagon-alert", "Failed"),
        "skipped": Look("muted", "skip-forward", "Skipped"),
    },
    # vaults.models.Batch.State
    "batch": {
        "queued": Look("muted", "hourglass", "Queued"),
        "running": Look("info", "refresh-cw", "Running"),
        "stopping": Look("warn", "circle-pause", "Stopping"),
        "stopped": Look("warn", "circle-stop", "Stopped"),
        "done": Look("ok", "circle-check", "Done"),
        "failed": Look("bad", "octagon-alert", "Failed"),
    },
    # vaults.models.BatchItem.State
    "batch-item": {
        "waiting": Look("muted", "hourglass", "Waiting"),
        "doing": Look("info", "refresh-cw", "Under way"),
        "done": Look("ok", "circle-check", "Done"),
        "skipped": Look("muted", "skip-forward", "Skipped"),
        "failed": Look("bad", "octagon-alert", "Failed"),
    },
    # vaults.models.RevealPolicy.Mode
    "policy": {
        "direct": Look("ok", "eye", "Direct"),
        "approval": Look("info", "user-check", "After approval"),
        "forbidden": Look("bad", "ban", "Forbidden"),
    },
    # audit.models.LedgerEntry.Phase
    "phase": {
        "intent": Look("info", "hourglass", "Intended"),
        "done": Look("ok", "circle-check", "Done"),
        "revealed": Look("ok", "eye", "Revealed"),
        "read": Look("ok", "eye-off", "Read, shown to nobody"),
        "failed": Look("warn", "triangle-alert", "Failed"),
        "withheld": Look("warn", "shield-alert", "Withheld"),
        "refused": Look("bad", "ban", "Refused"),
    },
    # vaults.models.DeletedSecret.State
    "deleted": {
        "deleting": Look("info", "hourglass", "Being deleted"),
        "deleted": Look("muted", "trash-2", "Deleted"),
        "recovering": Look("info", "hourglass", "Being recovered"),
        "purging": Look("warn", "hourglass", "Being purged"),
    },
    # vaults.models.State
    "request": {
        "pending": Look("info", "hourglass", "Waiting for a decision"),
        "approved": Look("ok", "user-check", "Approved"),
        "active": Look("ok", "timer", "In use"),
        "review-due": Look("bad", "siren", "Review due"),
        "denied": Look("bad", "ban", "Denied"),
        "withdrawn": Look("muted", "undo-2", "Withdrawn"),
        "expired": Look("muted", "clock", "Expired"),
        "void": Look("warn", "circle-slash", "Void"),
        "consumed": Look("muted", "check-check", "Used"),
        "ended": Look("muted", "circle-stop", "Ended"),
        "revoked": Look("bad", "undo-2", "Taken back"),
        "justified": Look("ok", "badge-check", "Justified"),
        "misuse": Look("bad", "octagon-alert", "Misuse"),
    },
    # audit.models.AccessEvent.Outcome
    "outcome": {
        "ok": Look("ok", "circle-check", "Succeeded"),
        "denied": Look("bad", "ban", "Denied"),
        "missing": Look("muted", "search-x", "Not found"),
        "failed": Look("warn", "triangle-alert", "Failed"),
        "unknown": Look("muted", "circle-question-mark", "Not told"),
    },
    # audit.models.AccessEvent.Kind
    "who": {
        "person": Look("muted", "user-round", "Person"),
        "managed-identity": Look("muted", "bot", "Managed identity"),
        "app": Look("muted", "app-window", "Application"),
        "unknown": Look("muted", "circle-question-mark", "Unknown"),
    },
    # audit.finding_models.DirectoryName.Kind
    "directory": {
        "person": Look("muted", "user-round", "Person"),
        "app": Look("muted", "app-window", "Application"),
        "managed-identity": Look("muted", "bot", "Managed identity"),
        "group": Look("muted", "users", "Group"),
    },
    # audit.models.AccessEvent.Match
    "match": {
        "other": Look("muted", "hourglass", "Not sorted yet"),
        "explained": Look("ok", "badge-check", "Explained"),
        "around": Look("warn", "route", "Around kvadmin"),
        "unexplained": Look("bad", "siren", "Unexplained"),
    },
    # audit.finding_models.Severity
    "severity": {
        "alarm": Look("bad", "siren", "Alarm"),
        "warning": Look("warn", "triangle-alert", "Warning"),
        "note": Look("info", "info", "Note"),
    },
    # audit.vault_coverage.VaultCoverage.state: a vault is called by the worst that is wrong with it
    "coverage": {
        "blind": _plain("bad", "Blind"),
        "failing": _plain("bad", "Cannot be read"),
        "no-table": _plain("bad", "Table absent"),
        "gaps": _plain("warn", "Gaps"),
        "no-columns": _plain("warn", "Columns absent"),
        "behind": _plain("info", "Catching up"),
        "waiting": _plain("info", "Not taken in yet"),
        "unchecked": _plain("muted", "Not checked yet"),
        "no-rows": _plain("info", "No rows"),
        "ok": _plain("ok", "Complete"),
    },
    # audit.leavers.Line.state
    "leaver": {
        "rotate": _plain("bad", "To be rotated"),
        "unknown": _plain("warn", "Not known"),
        "gone": _plain("warn", "Gone from Azure"),
        "rotated": _plain("ok", "Rotated"),
    },
    # vaults.comparing.Pair.state
    "comparison": {
        "differs": _plain("warn", "Differs"),
        "left": _plain("info", "Only left"),
        "right": _plain("info", "Only right"),
        "several": _plain("muted", "More than one"),
        "same": _plain("ok", "Same"),
    },
    # vaults.equality.Answer.word
    "equality": {
        "equal": _plain("ok", "Equal"),
        "different": _plain("warn", "Different"),
        "unknown": _plain("muted", "Not known"),
    },
    # vaults.restores.Planned.state
    "restore": {
        "free": _plain("ok", "Will be restored"),
        "exists": _plain("warn", "Name is taken"),
        "deleted": _plain("warn", "A deleted secret holds the name"),
        "elsewhere": _plain("bad", "Azure would refuse it"),
    },
    # True or False, as the template engine writes them
    "enabled": {
        "True": Look("ok", "circle-check", "Enabled"),
        "False": Look("warn", "circle-off", "Disabled"),
    },
}


KINDS = frozenset(_TABLES)


def find(kind: str, word: str) -> Look:
    """The look of a stored word. A word that the table lacks is shown as it is, so that nothing is hidden."""
    return _TABLES[kind].get(word) or Look("muted", "circle-question-mark", word or "Unknown")


def words(kind: str) -> set[str]:
    """The words that a table knows."""
    return set(_TABLES[kind])


def choices(kind: str) -> list[tuple[str, str]]:
    """The words of a table with their labels, for a form."""
    return [(word, look.label) for word, look in _TABLES[kind].items()]


def tally(kind: str, found: Iterable[str]) -> list[tuple[str, Look, int]]:
    """How often each word of a table is among those that were found, in the table's order."""
    numbers = Counter(found)
    return [(word, look, numbers[word]) for word, look in _TABLES[kind].items()]


def expiry(days: int | None) -> Look:
    """How an expiry looks under the word "Expires", from the whole days that are left.

    Negative days: it has passed. None: the secret never expires.
    """
    if days is None:
        return Look("muted", "infinity", "No expiry")
    if days < 0:
        return Look("bad", "calendar-x", "Expired")
    if days == 0:
        return Look("bad", "calendar-clock", "In less than a day")
    if days <= SOON_DAYS:
        return Look("warn", "calendar-clock", f"In {days} day{'s' if days != 1 else ''}")
    return Look("ok", "calendar-check", f"In {days:,} days")


def of_secret(secret: Secret, now: datetime) -> list[Look]:
    """What is special about a secret; an ordinary one gets no badge, so that the special ones stand out."""
    found = []
    if secret.vanished_at:
        found.append(Look("bad", "ghost", "Gone from Azure"))
    if not secret.enabled:
        found.append(find("enabled", "False"))
    if secret.expires_on and secret.expires_on <= now:
        found.append(Look("bad", "calendar-x", "Expired"))
    if secret.not_before and secret.not_before > now:
        found.append(Look("warn", "clock", "Not yet valid"))
    if secret.managed:
        found.append(Look("info", "file-badge", "Certificate"))
    return found
