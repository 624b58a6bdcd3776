"""The rotation board: when secrets expire, how old their versions are, whose they are, and who read them and left.

A certificate's secret stands for its certificate: it is counted once, as what it is. All of it comes from the
inventory; nothing asks Azure and nothing is read.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Q, QuerySet, Window
from django.db.models.functions import RowNumber, TruncDay
from django.utils import timezone

from audit import leavers
from audit.models import AccessEvent, LedgerEntry
from vaults import search
from vaults.models import Person, Secret

DUE = {
    "expired": "Expired",
    "week": "Within 7 days",
    "month": "Within 30 days",
    "quarter": "Within 90 days",
    "later": "Later",
    "endless": "No expiry set",
}
AGES = {"90": "Over 90 days", "180": "Over 180 days", "365": "Over a year", "730": "Over two years"}
NO_OWNER = "none"
PER_DAY = 3  # secrets that a day of the calendar names
MOST_LEFT = 5000


def due(word: str, now: datetime | None = None) -> Q:
    """Secrets whose expiry falls into one of DUE."""
    now = now or timezone.now()
    days = {"week": 7, "month": 30, "quarter": 90}
    if word == "expired":
        return Q(expires_on__lte=now)
    if word == "endless":
        return Q(expires_on=None)
    if word == "later":
        return Q(expires_on__gt=now + timedelta(days=90))
    return Q(expires_on__gt=now, expires_on__lte=now + timedelta(days=days[word]))


def aged(word: str) -> Q:
    """Secrets whose current version is older than one of AGES."""
    return Q(created_on__lt=timezone.now() - timedelta(days=int(word)))


def owned(owner: str) -> Q:
    """Secrets whose owner by tag begins so; NO_OWNER: those without one."""
    tag = settings.KVADMIN_OWNER_TAG
    return ~search.tagged(tag) if owner.lower() == NO_OWNER else search.tagged(tag, owner)


def owner_of(secret: Secret) -> str:
    """The owner by tag, whatever the case of the tag's name; "" for none."""
    wanted = settings.KVADMIN_OWNER_TAG.lower()
    return next((value for name, value in secret.tags.items() if name.lower() == wanted), "")


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of some secrets are due when; disabled ones count, since they come back when they are enabled."""

    total: int
    certificates: int
    due: list[tuple[str, str, int]]  # word, label, how many
    aged: int


def counts(found: QuerySet[Secret]) -> Counts:
    """One query."""
    asked = {word: Count("pk", filter=due(word)) for word in DUE}
    numbers = found.order_by().aggregate(
        total=Count("pk"),
        certificates=Count("pk", filter=Q(managed=True)),
        old=Count("pk", filter=aged("365") & Q(managed=False)),
        **asked,
    )
    rows = [(word, label, numbers[word]) for word, label in DUE.items()]
    return Counts(numbers["total"], numbers["certificates"], rows, numbers["old"])


def week_of(moment: datetime | None, now: datetime) -> str:
    """The heading under which the list by weeks shows an expiry."""
    if moment is None:
        return "No expiry set"
    if moment <= now:
        return "Expired"
    monday = (moment - timedelta(days=moment.weekday())).date()
    this = (now - timedelta(days=now.weekday())).date()
    if monday == this:
        return "This week"
    return "Next week" if monday == this + timedelta(days=7) else f"Week of {monday:%Y-%m-%d}"


# --- The calendar ----------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Day:
    """One day of the calendar: how many expire on it, the first of them, and whether it is in the month, and today."""

    date: date
    inside: bool
    today: bool
    count: int = 0
    first: list[Secret] = field(default_factory=list)

    @property
    def more(self) -> int:
        return self.count - len(self.first)


def month(found: QuerySet[Secret], year: int, number: int) -> list[list[Day]]:
    """The weeks of a month, Monday first, all in UTC. Two queries."""
    begin = datetime(year, number, 1, tzinfo=UTC)
    end = (begin + timedelta(days=32)).replace(day=1)
    inside = found.filter(expires_on__gte=begin, expires_on__lt=end)
    per_day = TruncDay("expires_on", tzinfo=UTC)
    counted = inside.order_by().annotate(day=per_day).values_list("day").annotate(Count("pk"))
    numbers = {day.date(): n for day, n in counted}
    place = Window(RowNumber(), partition_by=[per_day], order_by=["expires_on", "pk"])
    named = inside.annotate(place=place).filter(place__lte=PER_DAY).select_related("vault").defer("haystack")
    first: dict[date, list[Secret]] = {}
    for secret in named.order_by("expires_on", "pk"):
        first.setdefault(secret.expires_on.astimezone(UTC).date(), []).append(secret)  # type: ignore[union-attr]
    today = timezone.now().date()
    weeks = calendar.Calendar().monthdatescalendar(year, number)
    return [
        [Day(day, day.month == number, day == today, numbers.get(day, 0), first.get(day, [])) for day in week]
        for week in weeks
    ]


# --- Read by somebody who left ---------------------------------------------------------------------------------------
def read_by_leavers(
    found: QuerySet[Secret], events: QuerySet[AccessEvent], entries: QuerySet[LedgerEntry]
) -> dict[int, datetime]:
    """Of these secrets, those that a person whose account is closed has seen since their current version was made:
    the secret's number, and the last such read. Of the rows of the log and the ledger that whoever looks may see.
    A current version that came of a roll-back is none: which old value it has, the leaver's list tells.

    Five queries. The leaver's list (audit/leavers.py) tells the same of one person, version by version.
    """
    gone = list(Person.objects.filter(is_active=False).values_list("pk", "username", "object_id"))
    if not gone:
        return {}
    ids, names, object_ids = (
        [str(pk) for pk, *_ in gone],
        [name for _, name, _ in gone],
        [oid for *_, oid in gone if oid],
    )
    read: dict[tuple[str, str], datetime] = {}
    by_hand = Q(who__in=names, person_id="") | Q(object_id__in=object_ids, person_id="")
    logged = events.filter(by_hand | Q(person_id__in=ids), is_read=True).exclude(name="")
    logged = logged.exclude(action__in=leavers.SHOWN_NOTHING)
    shown = entries.filter(leavers.TAKEN, person_id__in=ids)
    for rows, name in ((logged, "name"), (shown, "secret")):
        last = rows.order_by().values_list("vault", name).annotate(at=Max("at"))[:MOST_LEFT]
        for vault, key, at in last:
            read[vault, key] = max(at, read.get((vault, key), at))
    keys = {key for _, key in read}
    known = found.filter(key__in=keys).values_list("pk", "vault__name", "key", "created_on")
    back = leavers.rolled_back(entries, read)

    def is_old(vault: str, key: str, created_on: datetime | None) -> bool:
        seen = read[vault, key]
        return created_on is None or created_on <= seen or leavers.made_by(back.get((vault, key, "")), created_on)

    return {
        pk: read[vault, key]
        for pk, vault, key, created_on in known
        if (vault, key) in read and is_old(vault, key, created_on)
    }
