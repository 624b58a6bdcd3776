"""What stands out, and from when on: every rule and every threshold stand here, and nowhere else.

A rule looks at rows that are fresh, or at how things stand, and says what it suspects. It changes nothing: what becomes
of a suspicion is for audit/findings.py. Each asks a fixed number of queries, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    ExpressionWrapper,
    F,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)  # fmt: skip
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Concat, ExtractHour, TruncDay, TruncHour

from audit import coverage, ledger
from audit.finding_models import Evidence, RuleMark, Severity, VaultHeard
from audit.inventory import Inventory, SecretFacts
from audit.models import AccessEvent, LedgerEntry
from audit.parse import READS
from audit.readers import READER, reader_of

Match, Outcome, Kind = AccessEvent.Match, AccessEvent.Outcome, AccessEvent.Kind

# --- Thresholds ------------------------------------------------------------------------------------------------------
LATELY = timedelta(days=30)  # of older events, which a back-fill brings, only unexplained reads are told
LEARN = timedelta(days=14)  # so long a vault's log, or an identity's, must reach back before anything in it is unusual
HISTORY = timedelta(days=60)  # how far back an identity's own habits are looked at
HABIT_READS = 20  # so many reads make a habit
HOURS_BESIDE = (0, 1, 23)  # the same hour of the day (UTC), the one before, the one after
BURST_SECRETS = 20  # different secrets of one vault within an hour ...
BURST_TIMES = 3  # ... and so many times as many as in the identity's busiest hour before
DENIED_STREAK = 10  # refusals of one identity in one vault within an hour
FEW_ADDRESSES = 5  # an identity with more addresses than this has no usual one
STALE_DAYS = 90  # a secret that nobody has read for so long
BEHIND = timedelta(hours=6)  # a log that is complete only up to longer ago has gone silent

# --- Work per turn: a run takes as many turns as audit/findings.py allows --------------------------------------------
EVENTS = 5000
ALARMS = 2000
SECRETS = 2000
LEDGER_ROWS = 20_000
SHOWN = 50  # rows of evidence that are kept of one burst or streak


@dataclass(frozen=True, slots=True)
class Look:
    """What a rule is given. `events` are the fresh ones, `mark` is how far the rule has come."""

    events: QuerySet[AccessEvent]
    mark: RuleMark
    inventory: Inventory
    now: datetime


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What a rule suspects. Two that are `about` the same belong into one finding; `events` are the evidence."""

    about: tuple[str, ...]
    what: str
    since: datetime
    last_at: datetime
    vault: str = ""
    secret: str = ""
    who: str = ""
    reader: str = ""
    object_id: str = ""
    events: tuple[int, ...] = ()
    ledger_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one turn of a rule came to. `fine`: what a lasting rule saw in order. `place`, `hash`: the new mark."""

    suspicions: list[Suspicion] = field(default_factory=list)
    fine: set[tuple[str, ...]] = field(default_factory=set)
    place: int | None = None
    hash: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """`by_events`: it is given fresh events, each of which counts once. `lasting`: it tells how things stand."""

    word: str
    label: str
    severity: Severity
    says: str
    judge: Callable[[Look], Judgement]
    by_events: bool = True
    lasting: bool = False


# --- One event is enough ---------------------------------------------------------------------------------------------
def unexplained(look: Look) -> Judgement:
    """Reads with kvadmin's identity that no ledger row explains, however old: their list may be joined late."""
    told = Evidence.objects.filter(rule="unexplained", event=OuterRef("pk"))
    rows = list(_slim(AccessEvent.objects.filter(~Exists(told), match=Match.UNEXPLAINED).order_by("id")[:ALARMS]))
    what = (
        "kvadmin's own identity read this value, and the ledger holds nothing that explains it: somebody else may hold "
        "kvadmin's credential. Change it, and rotate this secret."
    )
    found = [_by(event, what, event.vault, event.name, secret=event.name) for event in rows]
    return Judgement(found, more=len(rows) == ALARMS)


def first_reader(look: Look) -> Judgement:
    """Whoever reads a secret around kvadmin that they never read before, once its vault has been heard of for long."""
    before = AccessEvent.objects.filter(
        _same_identity(), vault=OuterRef("vault"), name=OuterRef("name"), is_read=True, at__lt=OuterRef("at")
    )
    fresh = look.events.filter(is_read=True, match=Match.AROUND).exclude(name="").exclude(who="")
    rows = list(_slim(fresh.filter(~Exists(before))))
    heard = dict(VaultHeard.objects.filter(vault__in={row.vault for row in rows}).values_list("vault", "first_at"))
    known = [row for row in rows if row.vault in heard and row.at - heard[row.vault] >= LEARN]
    what = "Read this secret for the first time since the log tells of its vault."
    found = [_by(row, what, reader_of(row), row.vault, row.name, secret=row.name) for row in known]
    return Judgement(found)


def unusual_hour(look: Look) -> Judgement:
    """A read at an hour of the day (UTC) at which this identity, long known, had none in its history."""
    hours = {f"hour_{n}": (_hour() + Value(n)) % Value(24) for n in HOURS_BESIDE}
    fresh = look.events.filter(is_read=True).annotate(day=TruncDay("at", tzinfo=UTC), **hours)
    through, around = fresh.exclude(person_id=""), fresh.filter(person_id="", match=Match.AROUND).exclude(who="")
    rows = [*_slim(_at_unusual(through, "person_id")), *_slim(_at_unusual(around, "who"))]
    what = "Read at {:%H}h UTC, when they never read before."
    return Judgement([_by(row, what.format(row.at), reader_of(row), row.vault) for row in rows])


def _at_unusual(fresh: QuerySet[AccessEvent], name: str) -> QuerySet[AccessEvent]:
    """Those by an identity with a habit, at none of its hours on the days before."""
    history = _history(name).filter(is_read=True)
    habit = history[HABIT_READS - 1 : HABIT_READS]
    same = Q(pk__in=[])
    for n in HOURS_BESIDE:
        same |= Q(hour=OuterRef(f"hour_{n}"))
    usual = history.annotate(hour=_hour()).filter(same, at__lt=OuterRef("day"))
    return _learned(fresh, history).filter(Exists(habit), ~Exists(usual))


def new_address(look: Look) -> Judgement:
    """A managed identity that calls from an address that it never used, while it has only a few."""
    before = AccessEvent.objects.filter(_same_identity(), address=OuterRef("address"), at__lt=OuterRef("at"))
    fresh = look.events.filter(who_kind=Kind.MANAGED_IDENTITY, person_id="").exclude(address="")
    rows = list(_slim(_learned(fresh, _history("who")).filter(~Exists(before))))
    many = _with_many_addresses(rows)
    what = "Called from {}, an address that this identity never used before."
    moved = [row for row in rows if row.object_id not in many]
    return Judgement([_by(row, what.format(row.address), reader_of(row), row.address, row.vault) for row in moved])


def _with_many_addresses(rows: list[AccessEvent]) -> set[str]:
    """The object ids of those that had more than a few addresses before; this moment's own is not counted."""
    if not rows:
        return set()
    whos, first = {row.who for row in rows}, min(row.at for row in rows)
    used = AccessEvent.objects.filter(who__in=whos, at__gte=first - HISTORY, at__lt=first).order_by()
    counted = used.values("object_id").annotate(n=Count("address", distinct=True)).filter(n__gt=FEW_ADDRESSES)
    return set(counted.values_list("object_id", flat=True))


def useless_secret(look: Look) -> Judgement:
    """A read, or a try, of a secret that is disabled; a read of one that has expired: Azure goes on giving it out."""
    tried = look.events.filter(operation__in=READS, outcome__in=(Outcome.OK, Outcome.DENIED)).exclude(name="")
    rows = list(_slim(tried))
    facts = look.inventory.secrets({(row.vault, row.name) for row in rows})
    wrong = [(row, _useless(row, facts.get((row.vault, row.name)))) for row in rows]
    return Judgement(
        [_by(row, what, reader_of(row), row.vault, row.name, secret=row.name) for row, what in wrong if what]
    )


def _useless(row: AccessEvent, secret: SecretFacts | None) -> str:
    """Why this secret should not have been asked for at that moment; "" when nothing speaks against it."""
    if secret is None or secret.vanished_at:
        return ""
    if not secret.enabled and secret.updated_on and row.at >= secret.updated_on:
        return "Asked for this secret although it is disabled: something still depends on it."
    if row.is_read and secret.expires_on and row.at >= secret.expires_on:
        return f"Read this secret after it had expired, {secret.expires_on:%Y-%m-%d}."
    return ""


# --- Many within an hour ---------------------------------------------------------------------------------------------
def burst(look: Look) -> Judgement:
    """Many different secrets of one vault within an hour, and far more than this identity ever read in one."""
    hours = _hours(look, Q(is_read=True), Count("name", distinct=True), BURST_SECRETS)
    busiest = _busiest(look, hours)
    found = []
    for hour in hours:
        usual = max(
            (n for reader, vault, at, n in busiest if (reader, vault) == hour.key[:2] and at < hour.at), default=0
        )
        if hour.n >= BURST_TIMES * usual:
            what = f"Read {hour.n} secrets in the hour from {coverage.zulu(hour.at)}; never more than {usual} before."
            found.append((hour, what))
    return Judgement(_with_evidence(look, found, Q(is_read=True)))


def denied_streak(look: Look) -> Judgement:
    """Many refusals of one identity in one vault within an hour: somebody tries doors, or a program lost its role."""
    refused = Q(outcome=Outcome.DENIED, is_noise=False)
    hours = _hours(look, refused, Count("id"), DENIED_STREAK)
    found = [(hour, f"Was refused {hour.n} times in the hour from {coverage.zulu(hour.at)}.") for hour in hours]
    return Judgement(_with_evidence(look, found, refused))


@dataclass(frozen=True, slots=True)
class _Hour:
    """What one identity did in one vault within one clock hour. Whoever is not named goes by their address."""

    reader: str
    vault: str
    at: datetime
    n: int

    @property
    def key(self) -> tuple[str, str, datetime]:
        return self.reader, self.vault, self.at


def _hours(look: Look, which: Q, number: Count, least: int) -> list[_Hour]:
    """The hours that fresh rows fall into, with at least so many."""
    fresh = look.events.filter(which)
    bounds = fresh.aggregate(first=Min("at"), last=Max("at"))
    if bounds["first"] is None:
        return []
    whos = set(fresh.order_by().values_list("who", flat=True).distinct())
    first = bounds["first"].replace(minute=0, second=0, microsecond=0)
    around = AccessEvent.objects.filter(which, who__in=whos, at__gte=first, at__lt=bounds["last"] + timedelta(hours=1))
    return [_Hour(*row) for row in _counted(around, number, least)]


def _counted(events: QuerySet[AccessEvent], number: Count, least: int) -> Iterable[Any]:
    by_hour = events.annotate(reader=_reader_or_address(), hour=TruncHour("at", tzinfo=UTC)).order_by()
    grouped = by_hour.values("reader", "vault", "hour").annotate(n=number).filter(n__gte=least)
    return grouped.values_list("reader", "vault", "hour", "n")


def _reader_or_address() -> Any:
    unnamed = Q(who="", person_id="")
    return Case(When(unnamed, then=Concat(Value("from "), "address")), default=READER)


def _busiest(look: Look, hours: list[_Hour]) -> list[Any]:
    """How many different secrets these identities read in each hour of their history, where it was more than a few."""
    if not hours:
        return []
    first = min(hour.at for hour in hours)
    past = AccessEvent.objects.filter(
        is_read=True, vault__in={hour.vault for hour in hours}, at__gte=first - HISTORY, at__lt=max(h.at for h in hours)
    )
    past = past.annotate(reader=_reader_or_address()).filter(reader__in={hour.reader for hour in hours})
    return list(_counted(past, Count("name", distinct=True), BURST_SECRETS // BURST_TIMES))


def _with_evidence(look: Look, found: list[tuple[_Hour, str]], which: Q) -> list[Suspicion]:
    """The first rows of each hour as its evidence: always the same ones, so that it is told once."""
    if not found:
        return []
    wanted = Q(pk__in=[])
    for hour, _ in found:
        wanted |= Q(vault=hour.vault, at__gte=hour.at, at__lt=hour.at + timedelta(hours=1))
    rows = AccessEvent.objects.filter(wanted, which).annotate(
        reader=_reader_or_address(), hour=TruncHour("at", tzinfo=UTC)
    )
    rows = rows.filter(reader__in={hour.reader for hour, _ in found})
    by_hour: dict[tuple[str, str, datetime], list[AccessEvent]] = {hour.key: [] for hour, _ in found}
    for row in _slim(rows).order_by("at", "id"):
        by_hour.get((row.reader, row.vault, row.hour), []).append(row)  # type: ignore[attr-defined] # annotated
    return [_of_many(by_hour[hour.key], what, hour) for hour, what in found if by_hour[hour.key]]


def _of_many(rows: list[AccessEvent], what: str, hour: _Hour) -> Suspicion:
    first = rows[0]
    return Suspicion(
        (hour.reader, hour.vault), what, first.at, rows[-1].at, hour.vault, "", _who(first) or hour.reader,
        reader_of(first), first.object_id, tuple(row.pk for row in rows[:SHOWN]),
    )  # fmt: skip


# --- How things stand ------------------------------------------------------------------------------------------------
def blind_vault(look: Look) -> Judgement:
    """A vault that the log told of, and tells of no more."""
    vaults = look.inventory.vaults()
    marks = coverage.watermarks(vaults)
    heard = {row.vault: row.last_at for row in VaultHeard.objects.filter(vault__in=[vault.name for vault in vaults])}
    found: list[Suspicion] = []
    fine: set[tuple[str, ...]] = set()
    for vault in vaults:
        mark = marks.get(vault.name)
        why = coverage.blind(vault, mark)
        up_to = mark.complete_up_to if mark else None
        if not why and up_to and up_to < look.now - BEHIND:
            why = f"its log is complete only up to {coverage.zulu(up_to)}"
        if not why:
            fine.add((vault.name,))
        elif vault.name in heard:
            since = up_to or heard[vault.name]
            what = (
                f"Azure's log told of this vault until {coverage.zulu(heard[vault.name])}, and now it is blind: {why}."
            )
            found.append(Suspicion((vault.name,), what, since, since, vault.name))
    return Judgement(found, fine)


def stale_secret(look: Look) -> Judgement:
    """A secret that nobody has read for STALE_DAYS, where the log is complete for as long."""
    since = look.now - timedelta(days=STALE_DAYS)
    some = look.inventory.some_secrets(look.mark.place, SECRETS)
    known = _complete_since(look, since)
    read = _read_since({secret.vault for secret in some}, {secret.name for secret in some}, since)
    found: list[Suspicion] = []
    fine: set[tuple[str, ...]] = set()
    for secret in some:
        key = (secret.vault, secret.name)
        if key in read or not secret.enabled or not secret.created_on or secret.created_on > since:
            fine.add(key)
        elif secret.vault in known:
            what = f"No read seen for {STALE_DAYS} days, and the log is complete for as long. Is it still needed?"
            found.append(Suspicion(key, what, since, since, *key))
    more = len(some) == SECRETS
    return Judgement(found, fine, place=some[-1].id if more else 0)


def _complete_since(look: Look, since: datetime) -> set[str]:
    """The vaults whose log is complete, without a gap, from then until lately."""
    vaults = look.inventory.vaults()
    whole = {
        name for name, mark in coverage.watermarks(vaults).items()
        if mark.complete_from and mark.complete_from <= since and not mark.gaps
        and mark.complete_up_to and mark.complete_up_to >= look.now - BEHIND
    }  # fmt: skip
    heard = VaultHeard.objects.filter(vault__in=whole, first_at__lte=since)
    return set(heard.values_list("vault", flat=True))


def _read_since(vaults: set[str], names: set[str], since: datetime) -> set[tuple[str, str]]:
    reads = AccessEvent.objects.filter(vault__in=vaults, name__in=names, is_read=True, at__gte=since)
    return set(reads.order_by().values_list("vault", "name").distinct())


def broken_chain(look: Look) -> Judgement:
    """The ledger's chain, walked some rows at a time, round after round: a row changed, missing or out of order."""
    walked = ledger.verify_some(look.mark.place, look.mark.hash, LEDGER_ROWS)
    if not walked.chain.intact:
        bad, why = walked.chain.first_bad or 0, walked.chain.why
        at = LedgerEntry.objects.filter(seq__lte=bad).order_by("-seq").values_list("at", flat=True).first() or look.now
        what = f"The ledger's chain is broken at row {bad:,}: {why}. What stands from there on proves nothing."
        return Judgement([Suspicion(("chain",), what, at, at, ledger_seq=bad)], place=0)
    if walked.at_end:
        return Judgement(fine={("chain",)}, place=0)
    return Judgement(place=walked.chain.rows, hash=walked.hash)


RULES = (
    Rule("unexplained", "Unexplained read", Severity.ALARM,
         "kvadmin's own identity read a value, and the ledger does not explain it.", unexplained, by_events=False),
    Rule("chain", "Ledger chain broken", Severity.ALARM,
         "A row of the ledger was changed, taken out or put in.", broken_chain, by_events=False, lasting=True),
    Rule("burst", "Burst of reads", Severity.WARNING,
         f"{BURST_SECRETS} different secrets of one vault or more within an hour, and {BURST_TIMES} times as many as "
         "that identity ever read in one.", burst),
    Rule("denied", "Denied streak", Severity.WARNING,
         f"{DENIED_STREAK} refusals or more of one identity in one vault within an hour.", denied_streak),
    Rule("address", "New address", Severity.WARNING,
         f"A managed identity, known for {LEARN.days} days and from at most {FEW_ADDRESSES} addresses, calls from "
         "another one.", new_address),
    Rule("useless", "Disabled or expired secret", Severity.WARNING,
         "A disabled secret was asked for, or one read after its expiry.", useless_secret),
    Rule("blind", "Vault gone blind", Severity.WARNING,
         f"A vault that the log told of has no log any more, or none for {BEHIND.seconds // 3600} hours.",
         blind_vault, by_events=False, lasting=True),
    Rule("hour", "Unusual hour", Severity.NOTE,
         f"A read at an hour of the day at which that identity, with {HABIT_READS} reads or more in "
         f"{HISTORY.days} days, never read before.", unusual_hour),
    Rule("first", "First-time reader", Severity.NOTE,
         f"Somebody read a secret around kvadmin for the first time, in a vault that the log has told of for "
         f"{LEARN.days} days.", first_reader),
    Rule("stale", "Not read for long", Severity.NOTE,
         f"Nobody has read the secret for {STALE_DAYS} days, and the log is complete for as long.",
         stale_secret, by_events=False, lasting=True),
)  # fmt: skip
BY_WORD = {rule.word: rule for rule in RULES}


# --- Underneath ------------------------------------------------------------------------------------------------------
def _slim(events: QuerySet[AccessEvent]) -> QuerySet[AccessEvent]:
    return events.defer("raw", "agent", "reason")


def _same_identity() -> Q:
    return Q(who=OuterRef("who"), object_id=OuterRef("object_id"), person_id="")


def _history(name: str) -> QuerySet[AccessEvent]:
    """What the same identity did before: by `who`, or, through kvadmin, by `person_id`. For `_learned` rows."""
    same = _same_identity() if name == "who" else Q(person_id=OuterRef("person_id"))
    return AccessEvent.objects.filter(same, at__gte=OuterRef("history_from"), at__lt=OuterRef("at"))


def _learned(fresh: QuerySet[AccessEvent], history: QuerySet[AccessEvent]) -> QuerySet[AccessEvent]:
    """Those whose identity has been known for long enough, each with the moments that `history` asks for."""
    long_known = history.filter(at__lt=OuterRef("learned_from"))
    moments = {"history_from": _earlier(HISTORY), "learned_from": _earlier(LEARN)}
    return fresh.annotate(**moments).filter(Exists(long_known))


def _earlier(length: timedelta) -> ExpressionWrapper[Combinable]:
    return ExpressionWrapper(F("at") - length, DateTimeField())


def _hour() -> Cast:
    return Cast(ExtractHour("at", tzinfo=UTC), IntegerField())


def _who(event: AccessEvent) -> str:
    return event.person or event.who


def _by(event: AccessEvent, what: str, *about: str, secret: str = "") -> Suspicion:
    return Suspicion(
        about,
        what,
        event.at,
        event.at,
        event.vault,
        secret,
        _who(event),
        reader_of(event),
        event.object_id,
        (event.pk,),
    )
