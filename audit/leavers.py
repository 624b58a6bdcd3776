"""The leaver's list: every version of a secret that somebody read, and whether it was rotated after that.

Azure's list tells when a secret's current version was made. If that was after the read, what was read is not the
current value any more, and the line ticks itself off. A change of tags or dates is no rotation and ticks nothing off.
Nor does a roll-back through kvadmin: the newest version then has the value that was read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q, QuerySet

from audit.inventory import Inventory, SecretFacts
from audit.match import AFTER_INTENT, SKEW
from audit.models import AccessEvent, LedgerEntry
from audit.readers import Reader
from kvadmin.actions import SECRET_BACKUP, SECRET_SET, UNSEEN

Phase = LedgerEntry.Phase
Key = tuple[str, str, str]  # vault, secret, version
ROLLED_BACK = "rolled back since, so that the current version has this value again"

# Acts that showed the value to nobody. A backup is encrypted, and yet it is in their hands.
SHOWN_NOTHING = UNSEEN - {SECRET_BACKUP.word}
TAKEN = Q(phase=Phase.REVEALED) | Q(phase=Phase.READ, action=SECRET_BACKUP.word)  # what the ledger says they got

MOST = 5000  # lines of one list
STATES = ("rotate", "unknown", "gone", "rotated")  # of a line; the list is sorted in this order


@dataclass(slots=True)
class Line:
    """One version that was read. `version` is empty for a backup, which holds every version.

    `at` is the moment that the state tells of: of the newer version, or since when the secret is gone.
    """

    vault: str
    secret: str
    version: str
    first_read: datetime
    last_read: datetime
    around: int = 0  # reads by their own hand in Azure
    through: int = 0  # reads through kvadmin
    backed_up: bool = False  # through kvadmin: they hold an encrypted archive, and saw no value
    state: str = "unknown"
    at: datetime | None = None
    as_of: datetime | None = None
    why: str = ""

    @property
    def reads(self) -> int:
        return self.around + self.through


class Lines(list[Line]):
    """The lines; `cut`: there is more than one list holds, and what was read longest ago is left out."""

    cut = False


def lines(reader: Reader, events: QuerySet[AccessEvent], entries: QuerySet[LedgerEntry], inventory: Inventory) -> Lines:
    """What this reader read, of the rows that whoever looks may see: what is to be rotated stands first.

    Three queries beside the inventory's.
    """
    log, ledger = _from_log(reader, events), _from_ledger(reader, entries)
    found: dict[Key, Line] = {}
    on_record: dict[Key, int] = {}
    for vault, secret, version, person_id, action, n, first, last in log[:MOST]:
        line = _line(found, vault, secret, version, first, last)
        if person_id:
            line.through += n
        else:
            line.around += n
        line.backed_up |= action == SECRET_BACKUP.word
    for vault, secret, version, action, n, first, last in ledger[:MOST]:
        line = _line(found, vault, secret, version, first, last)
        line.backed_up |= action == SECRET_BACKUP.word
        on_record[vault, secret, version.lower()] = on_record.get((vault, secret, version.lower()), 0) + n
    for key, n in on_record.items():
        found[key].through = max(found[key].through, n)  # Azure's log shows the same reads, sooner or later
    secrets = {(line.vault, line.secret) for line in found.values()}
    facts, back = inventory.secrets(secrets), rolled_back(entries, secrets)
    for key, line in found.items():
        _judge(line, facts.get((line.vault, line.secret)), back.get(key))
    ordered = Lines(sorted(found.values(), key=_order))
    ordered.cut = max(len(log), len(ledger)) > MOST
    return ordered


def _from_log(
    reader: Reader, events: QuerySet[AccessEvent]
) -> list[tuple[str, str, str, str, str, int, datetime, datetime]]:
    """Reads, but for those of which they saw nothing: withheld from them, or made for an act that shows no value."""
    withheld = LedgerEntry.objects.filter(reader.entries, phase=Phase.WITHHELD).values("act")
    reads = events.filter(reader.events, is_read=True).exclude(name="").exclude(ledger_act__in=withheld)
    reads = reads.exclude(action__in=SHOWN_NOTHING)
    columns = ("vault", "name", "version", "person_id", "action")
    counted = reads.order_by().values(*columns).annotate(n=Count("id"), first=Min("at"), last=Max("at"))
    return list(counted.order_by("-last").values_list(*columns, "n", "first", "last")[: MOST + 1])


def _from_ledger(
    reader: Reader, entries: QuerySet[LedgerEntry]
) -> list[tuple[str, str, str, str, int, datetime, datetime]]:
    shown = entries.filter(reader.entries, TAKEN)
    columns = ("vault", "secret", "version", "action")
    counted = shown.order_by().values(*columns).annotate(n=Count("seq"), first=Min("at"), last=Max("at"))
    return list(counted.order_by("-last").values_list(*columns, "n", "first", "last")[: MOST + 1])


def _line(found: dict[Key, Line], vault: str, secret: str, version: str, first: datetime, last: datetime) -> Line:
    line = found.setdefault((vault, secret, version.lower()), Line(vault, secret, version.lower(), first, last))
    line.first_read, line.last_read = min(line.first_read, first), max(line.last_read, last)
    return line


def rolled_back(entries: QuerySet[LedgerEntry], secrets: Collection[tuple[str, str]]) -> dict[Key, datetime]:
    """When a version of these was last written anew as the newest one; under no version, when any of the secret's was.

    By vault and name, as the ledger's index has them: the whole ledger would be read without.
    """
    vaults, names = {vault for vault, _ in secrets}, {name for _, name in secrets}
    read = entries.filter(vault__in=vaults, secret__in=names, phase=Phase.READ, action=SECRET_SET.word).order_by("at")
    found: dict[Key, datetime] = {}
    for vault, secret, version, at in read.values_list("vault", "secret", "version", "at"):
        found[vault, secret, version.lower()] = found[vault, secret, ""] = at
    return found


def made_by(back: datetime | None, created_on: datetime) -> bool:
    """Whether a version that was made then came of a roll-back that read the old value at `back`."""
    return back is not None and back - SKEW <= created_on <= back + AFTER_INTENT


def _judge(line: Line, facts: SecretFacts | None, back: datetime | None) -> None:
    """Rotated only where Azure tells that the current version was made after the read: to the second, and not in it.

    `back`: when the line's version was last written anew.
    """
    if facts is None:
        line.why = "the inventory does not know this secret"
    elif facts.vanished_at:
        line.state, line.at, line.as_of = "gone", facts.vanished_at, facts.as_of
        line.why = "whether what it opened was changed is not known"
    elif facts.created_on is None:
        line.why, line.as_of = "Azure did not tell when its current version was made", facts.as_of
    else:
        line.state = "rotated" if facts.created_on > line.last_read else "rotate"
        line.at, line.as_of = facts.created_on, facts.as_of
        if line.state == "rotated" and made_by(back, facts.created_on):
            line.state, line.why = "rotate", ROLLED_BACK


def _order(line: Line) -> tuple[int, str, str, datetime]:
    return STATES.index(line.state), line.vault, line.secret, line.last_read
