"""What stands out, and from when on: every rule and every threshold stand here, and nowhere else.

A rule looks at rows that are fresh, or at how things stand, and says what it suspects. It changes nothing: what becomes
of a suspicion is for audit/findings.py. Each asks a fixed number of queries, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from audit import chains, coverage, habits, hours
from audit.confirm import READ_PHASES
from audit.finding_models import Evidence, Finding, ReaderHabit, RuleMark, Severity, VaultHeard
from audit.inventory import Inventory, SecretFacts
from audit.models import AccessEvent, LedgerEntry
from audit.parse import READS
from audit.readers import reader_of
from kvadmin.actions import SECRET_BACKUP, UNSEEN

Match, Outcome, Kind = AccessEvent.Match, AccessEvent.Outcome, AccessEvent.Kind
Habit = ReaderHabit.Kind

# --- Thresholds ------------------------------------------------------------------------------------------------------
LATELY = timedelta(days=30)  # of older events, which a back-fill brings, only unexplained reads are told
LEARN = timedelta(days=14)  # so long a vault's log, or an identity's, must reach back before anything in it is unusual
HABIT_READS = 20  # so many reads make a habit
HOURS_BESIDE = (0, 1, 23)  # the same hour of the day (UTC), the one before, the one after
BURST_SECRETS = 20  # different secrets of one vault within an hour ...
BURST_TIMES = 3  # ... and so many times as many as in the identity's busiest hour of BURST_HISTORY
BURST_HISTORY = timedelta(days=14)
DENIED_STREAK = 10  # refusals of one identity in one vault within an hour
FEW_ADDRESSES = 5  # an identity with more addresses than this has no usual one
STALE_DAYS = 90  # a secret that nobody has read for so long
BEHIND = timedelta(hours=6)  # a log that is complete only up to longer ago has gone silent

# --- Work per turn: a run takes as many turns as audit/findings.py allows --------------------------------------------
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
    rows = _fresh(look.events.filter(is_read=True, match=Match.AROUND).exclude(name="").exclude(who=""))
    firsts = habits.first_times(Habit.SECRET, {(reader_of(row), f"{row.vault}/{row.name}") for row in rows})
    heard = habits.vaults_since(row.vault for row in rows)
    new = [
        row for row in rows
        if row.at <= firsts.get((reader_of(row), f"{row.vault}/{row.name}"), row.at)
        and row.vault in heard and row.at - heard[row.vault] >= LEARN
    ]  # fmt: skip
    what = "Read this secret around kvadmin, for the first time that the log tells of."
    return Judgement([_by(row, what, reader_of(row), row.vault, row.name, secret=row.name) for row in new])


def unusual_hour(look: Look) -> Judgement:
    """A read at an hour of the day (UTC) at which, and beside which, this identity never read before that day."""
    rows = _fresh(look.events.filter(habits.SEEN, is_read=True).exclude(match=Match.UNEXPLAINED))
    wanted = {(reader_of(row), str(hour)) for row in rows for hour in _beside(row.at)}
    firsts, since = habits.first_times(Habit.HOUR, wanted), habits.known_since(Habit.HOUR, map(reader_of, rows))
    new = []
    for row in rows:
        reader, day = reader_of(row), row.at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        usual = any(firsts.get((reader, str(hour)), day) < day for hour in _beside(row.at))
        if reader in since and row.at - since[reader] >= LEARN and not usual:
            new.append(row)
    what = "Read at {:%H}h UTC, when the log never saw them read before."
    return Judgement([_by(row, what.format(row.at), reader_of(row), row.vault) for row in _of_habit(new)])


def _beside(moment: datetime) -> list[int]:
    return [(moment.astimezone(UTC).hour + n) % 24 for n in HOURS_BESIDE]


def _of_habit(rows: list[AccessEvent]) -> list[AccessEvent]:
    """Those by whoever read often enough before for their hours to mean something."""
    earlier = AccessEvent.objects.filter(habits.SEEN, is_read=True, at__lt=OuterRef("at"))
    by_name = earlier.filter(who=OuterRef("who"), object_id=OuterRef("object_id"), person_id="")
    by_person = earlier.filter(person_id=OuterRef("person_id"))
    often = [Exists(some.order_by("-at")[HABIT_READS - 1 : HABIT_READS]) for some in (by_name, by_person)]
    some = AccessEvent.objects.filter(pk__in=[row.pk for row in rows])
    kept = set(some.filter(Q(often[0], person_id="") | (Q(often[1]) & ~Q(person_id=""))).values_list("pk", flat=True))
    return [row for row in rows if row.pk in kept]


def new_address(look: Look) -> Judgement:
    """A managed identity, long known, that calls from an address that it never used, while it has only a few."""
    rows = _fresh(look.events.filter(who_kind=Kind.MANAGED_IDENTITY, person_id="").exclude(address=""))
    firsts = habits.first_times(Habit.ADDRESS, {(reader_of(row), row.address) for row in rows})
    since = habits.known_since(Habit.ADDRESS, map(reader_of, rows))
    new = [
        row for row in rows
        if row.at <= firsts.get((reader_of(row), row.address), row.at)
        and reader_of(row) in since and row.at - since[reader_of(row)] >= LEARN
    ]  # fmt: skip
    many = _with_many_addresses(new)
    what = "Called from {}, an address from which the log never saw this identity call before."
    moved = [row for row in new if reader_of(row) not in many]
    return Judgement([_by(row, what.format(row.address), reader_of(row), row.address, row.vault) for row in moved])


def _with_many_addresses(rows: list[AccessEvent]) -> set[str]:
    """Those that had more than a few addresses before."""
    if not rows:
        return set()
    used = ReaderHabit.objects.filter(kind=Habit.ADDRESS, reader__in={reader_of(row) for row in rows})
    before = used.filter(first_at__lt=min(row.at for row in rows)).values("reader").annotate(n=Count("pk"))
    return set(before.filter(n__gt=FEW_ADDRESSES).values_list("reader", flat=True))


def useless_secret(look: Look) -> Judgement:
    """A read, or a try, of a secret that is disabled; a read of one that has expired: Azure goes on giving it out."""
    asked = look.events.filter(habits.SEEN, operation__in=READS).exclude(name="")
    tried = asked.filter(outcome__in=(Outcome.OK, Outcome.DENIED))
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
    """Many different secrets of one vault within an hour, and far more than this identity ever read in one.

    What kvadmin read for an act that shows no value is none of it: a backup has a rule of its own.
    """
    secrets, reads = Count("name", distinct=True), habits.SEEN & Q(is_read=True)
    busy = hours.busy(look.events, reads, secrets, BURST_SECRETS)
    past = hours.before(busy, BURST_HISTORY, reads, secrets, BURST_SECRETS // BURST_TIMES)
    found = {}
    for hour in busy:
        usual = max((one.n for one in past if one.key[:2] == hour.key[:2] and one.at < hour.at), default=0)
        if hour.n >= BURST_TIMES * usual:
            rest = f"its busiest hour before had {usual}" if usual else "no hour before that is known came near that"
            found[hour] = f"Read at least {hour.n} secrets in the hour from {coverage.zulu(hour.at)}; {rest}."
    return _of_hours(found, reads)


def backup(look: Look) -> Judgement:
    """A backup of many secrets through kvadmin: it is on record, and yet somebody then holds all of a vault."""
    copied = Q(is_read=True, action=SECRET_BACKUP.word)
    many = hours.busy(look.events, copied, Count("name", distinct=True), BURST_SECRETS)
    what = "Backed up at least {} secrets of this vault through kvadmin in the hour from {}, into an encrypted archive."
    return _of_hours({hour: what.format(hour.n, coverage.zulu(hour.at)) for hour in many}, copied)


def denied_streak(look: Look) -> Judgement:
    """Many refusals of one identity in one vault within an hour: somebody tries doors, or a program lost its role."""
    refused = Q(outcome=Outcome.DENIED, is_noise=False)
    busy = hours.busy(look.events, refused, Count("id"), DENIED_STREAK)
    found = {hour: f"Was refused at least {hour.n} times in the hour from {coverage.zulu(hour.at)}." for hour in busy}
    return _of_hours(found, refused)


def _of_hours(found: dict[hours.Hour, str], which: Q) -> Judgement:
    """The first rows of each hour are its evidence: always the same ones, so that it is told once."""
    rows = hours.evidence(list(found), which)
    return Judgement([_of_many(rows[hour.key], what, hour) for hour, what in found.items() if rows[hour.key]])


def _of_many(rows: list[AccessEvent], what: str, hour: hours.Hour) -> Suspicion:
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
    """A secret of which neither log nor ledger shows a read for STALE_DAYS, where the log is complete for as long.

    What kvadmin reads for an act that shows no value is none: nobody needs a secret because it is backed up.
    """
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
            what = (
                f"No read seen in the {STALE_DAYS} days up to {coverage.zulu(known[secret.vault])}, for which the log "
                "is complete; backups, comparisons and copies through kvadmin do not count. Is it still needed?"
            )
            found.append(Suspicion(key, what, since, since, *key))
    more = len(some) == SECRETS
    return Judgement(found, fine, place=some[-1].id if more else 0)


def _complete_since(look: Look, since: datetime) -> dict[str, datetime]:
    """The vaults whose log is complete, without a gap, from then until lately; and until when.

    One that was blind meanwhile is none of them: its workspace's log may be complete, and yet tell nothing of it.
    """
    vaults = look.inventory.vaults()
    whole = {
        name: mark.complete_up_to for name, mark in coverage.watermarks(vaults).items()
        if mark.complete_from and mark.complete_from <= since and not mark.gaps
        and mark.complete_up_to and mark.complete_up_to >= look.now - BEHIND
    }  # fmt: skip
    heard = VaultHeard.objects.filter(vault__in=whole, first_at__lte=since).values_list("vault", flat=True)
    was_blind = Finding.objects.filter(Q(over_at=None) | Q(over_at__gte=since), rule="blind", vault__in=whole)
    lacking = set(was_blind.values_list("vault", flat=True))
    return {name: whole[name] for name in heard if name not in lacking}


def _read_since(vaults: set[str], names: set[str], since: datetime) -> set[tuple[str, str]]:
    reads = AccessEvent.objects.filter(habits.SEEN, vault__in=vaults, name__in=names, is_read=True, at__gte=since)
    ours = LedgerEntry.objects.filter(vault__in=vaults, secret__in=names, phase__in=READ_PHASES, at__gte=since)
    shown = ours.exclude(action__in=UNSEEN).order_by().values_list("vault", "secret").distinct()
    return {*reads.order_by().values_list("vault", "name").distinct(), *shown}


def broken_chain(look: Look) -> Judgement:
    """The ledger's chain, walked some rows at a time, round after round: a row changed, missing or out of order."""
    walked = chains.verify_some(look.mark.place, look.mark.hash, LEDGER_ROWS)
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
    Rule("backup", "Vault backed up", Severity.NOTE,
         f"{BURST_SECRETS} secrets of one vault or more were backed up through kvadmin within an hour.", backup),
    Rule("hour", "Unusual hour", Severity.NOTE,
         f"A read at an hour of the day at which that identity, known for {LEARN.days} days and with "
         f"{HABIT_READS} reads or more, was never seen to read before.", unusual_hour),
    Rule("first", "First-time reader", Severity.NOTE,
         "Somebody was seen to read a secret around kvadmin for the first time, in a vault that the log has told of "
         f"for {LEARN.days} days.", first_reader),
    Rule("stale", "Not read for long", Severity.NOTE,
         f"No read of the secret is seen in {STALE_DAYS} days, for which its vault's log is complete. Backups, "
         "comparisons and copies through kvadmin do not count.",
         stale_secret, by_events=False, lasting=True),
)  # fmt: skip
BY_WORD = {rule.word: rule for rule in RULES}


# --- Underneath ------------------------------------------------------------------------------------------------------
def _slim(events: QuerySet[AccessEvent]) -> QuerySet[AccessEvent]:
    return events.defer("raw", "agent", "reason")


def _fresh(events: QuerySet[AccessEvent]) -> list[AccessEvent]:
    return list(_slim(events))


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
