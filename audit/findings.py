"""What becomes of a suspicion: a finding, told once, with its evidence, until somebody acknowledges it.

Judging is safe to repeat, safe to run twice at once, and safe to kill: what a turn of a rule came to is stored in one
transaction under the lock of the rule's mark, and only if the mark still is where it was. An event is evidence for a
rule once; a lasting thing is one finding while it lasts.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Count, Exists, Max, Min, OuterRef, QuerySet
from django.dispatch import Signal
from django.utils import timezone

from audit import ledger
from audit.finding_models import Evidence, Finding, RuleMark, Severity
from audit.habits import AGAIN, listen_once, lock, mark_of, next_place
from audit.inventory import Inventory
from audit.models import AccessEvent, Watermark
from audit.rules import BY_WORD, LATELY, RULES, Judgement, Look, Rule, Suspicion
from kvadmin import actions as a

logger = logging.getLogger(__name__)
TURNS = 40  # of one rule in one run: the rest is for the next run
BATCH = 500

# Sent with `findings` (new ones, alarms and warnings only) in the transaction that stores them.
opened = Signal()


@dataclass(slots=True)
class Judged:
    """What one run opened, by rule; and the rules that failed, which the next run tries again."""

    opened: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)


# --- Judging ---------------------------------------------------------------------------------------------------------
def judge(inventory: Inventory, rules: Iterable[Rule] = RULES) -> Judged:
    """Let every rule look at what is fresh. A rule that fails stops no other; its error is raised after all of them."""
    up_to, done, broken = _settled_up_to(), Judged(), None
    while listen_once(up_to):
        pass
    for rule in rules:
        try:
            done.opened[rule.word] += _run(rule, inventory, up_to)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rules must have their turn
            logger.error("The rule %s failed: %s", rule.word, type(error).__name__)
            done.failed.append(rule.word)
            broken = error
    if broken:
        raise broken
    return done


@transaction.atomic
def _settled_up_to() -> int:
    """The id up to which no event is still to be committed, and every read is on its list.

    Whoever takes in rows holds a watermark's lock, and sorts them in the end: what is judged before that is not seen.
    """
    list(Watermark.objects.select_for_update().order_by("pk").values_list("pk", flat=True))
    last = AccessEvent.objects.aggregate(last=Max("id"))["last"] or 0
    unsorted = AccessEvent.objects.filter(is_read=True, match=AccessEvent.Match.OTHER).aggregate(first=Min("id"))
    return min(last, unsorted["first"] - 1) if unsorted["first"] else last


def _run(rule: Rule, inventory: Inventory, up_to: int) -> int:
    count = 0
    for _ in range(TURNS):
        made, more = _turn(rule, inventory, up_to)
        count += made
        if not more:
            break
    return count


def _turn(rule: Rule, inventory: Inventory, up_to: int) -> tuple[int, bool]:
    """One turn: how many findings it opened, and whether there is more to look at.

    The rule looks before the lock is taken: on SQLite, what is locked makes every other writer wait, a reveal too.
    """
    mark, now = mark_of(rule.word), timezone.now()
    last = next_place(mark.place, up_to) if rule.by_events else None
    if rule.by_events and last is None:
        return 0, False
    events = AccessEvent.objects.filter(id__gt=mark.place - AGAIN, id__lte=last or 0, at__gte=now - LATELY)
    judgement = rule.judge(Look(events, mark, inventory, now))
    with transaction.atomic():
        if not lock(mark):
            return 0, True  # another run had this turn meanwhile
        new = _store(rule, judgement, now)
        _move(mark, judgement, last, now)
    return len(new), judgement.more or (last is not None and last < up_to)


def _move(mark: RuleMark, judgement: Judgement, last: int | None, now: datetime) -> None:
    place = judgement.place if judgement.place is not None else last
    mark.place = mark.place if place is None else place
    mark.hash, mark.judged_at = judgement.hash, now
    mark.save()


# --- Storing ---------------------------------------------------------------------------------------------------------
def _store(rule: Rule, judgement: Judgement, now: datetime) -> list[Finding]:
    """Put suspicions into findings, new or open ones. Returns the new ones, after telling of them."""
    suspicions = judgement.suspicions if rule.lasting else _not_told(rule, judgement.suspicions)
    grouped: dict[str, list[Suspicion]] = defaultdict(list)
    for suspicion in suspicions:
        grouped[key_of(rule.word, suspicion.about)].append(suspicion)
    new = _into_findings(rule, grouped)
    _end_fine(rule, judgement.fine, now)
    loud = [finding for finding in new if finding.severity != Severity.NOTE]
    if loud:
        opened.send(sender=Finding, findings=loud)
    return new


def key_of(word: str, about: tuple[str, ...]) -> str:
    """The same for two suspicions that belong into one finding."""
    return hashlib.sha256(json.dumps([word, *about]).encode()).hexdigest()


def _not_told(rule: Rule, suspicions: list[Suspicion]) -> list[Suspicion]:
    """Those with events that were not evidence for this rule before, and only these events."""
    ids = {event for suspicion in suspicions for event in suspicion.events}
    told: set[int] = set()
    for some in _batches(sorted(ids)):
        known = Evidence.objects.filter(rule=rule.word, event__in=some).values_list("event", flat=True)
        told.update(event for event in known if event is not None)
    untold = (replace(one, events=tuple(event for event in one.events if event not in told)) for one in suspicions)
    return [suspicion for suspicion in untold if suspicion.events]


def _into_findings(rule: Rule, grouped: dict[str, list[Suspicion]]) -> list[Finding]:
    still_open: dict[str, Finding] = {}
    for some in _batches(sorted(grouped)):
        still_open |= {f.key: f for f in Finding.objects.filter(rule=rule.word, key__in=some, ended_at=None)}
    new = [_finding(rule, key, some[0]) for key, some in grouped.items() if key not in still_open]
    Finding.objects.bulk_create(new, batch_size=BATCH)
    every = still_open | {finding.key: finding for finding in new}
    fresh = {finding.key for finding in new}
    evidence: dict[int, Evidence] = {}
    rest: list[Evidence] = []
    for key, suspicions in grouped.items():
        if rule.lasting and key not in fresh:
            continue
        for suspicion in suspicions:
            _add(every[key], rule, suspicion, evidence, rest)
    Finding.objects.bulk_update(every.values(), ["since", "last_at", "count"], batch_size=BATCH)
    Evidence.objects.bulk_create([*evidence.values(), *rest], ignore_conflicts=True, batch_size=BATCH)
    return new


def _finding(rule: Rule, key: str, first: Suspicion) -> Finding:
    return Finding(
        rule=rule.word, key=key, severity=rule.severity, vault=first.vault, secret=first.secret, who=first.who,
        reader=first.reader, object_id=first.object_id, what=first.what, since=first.since, last_at=first.last_at,
    )  # fmt: skip


def _add(
    finding: Finding, rule: Rule, suspicion: Suspicion, evidence: dict[int, Evidence], rest: list[Evidence]
) -> None:
    finding.since = min(finding.since, suspicion.since)
    finding.last_at = max(finding.last_at, suspicion.last_at)
    for event in suspicion.events:
        if event not in evidence:
            evidence[event] = Evidence(finding=finding, rule=rule.word, event=event)
            finding.count += 1
    if suspicion.ledger_seq is not None:
        rest.append(Evidence(finding=finding, rule=rule.word, ledger_seq=suspicion.ledger_seq))
        finding.count += 1


def _end_fine(rule: Rule, fine: set[tuple[str, ...]], now: datetime) -> None:
    """What a lasting finding tells of is over; or, of an unexplained read, the ledger has come to explain it."""
    for some in _batches(sorted(key_of(rule.word, about) for about in fine)):
        Finding.objects.filter(rule=rule.word, key__in=some, ended_at=None).update(ended_at=now, over_at=now)
    if rule.word == "unexplained":
        proof = Evidence.objects.filter(finding=OuterRef(OuterRef("pk"))).values("event")
        mine = AccessEvent.objects.filter(pk__in=proof)
        now_other = Exists(mine.exclude(match=AccessEvent.Match.UNEXPLAINED))
        still = Exists(mine.filter(match=AccessEvent.Match.UNEXPLAINED))
        waiting = Finding.objects.filter(now_other, ~still, rule=rule.word, over_at=None, acknowledged_at=None)
        waiting.update(over_at=now)


def _batches(items: list[str] | list[int]) -> Iterable[list[str] | list[int]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


# --- Acknowledging ---------------------------------------------------------------------------------------------------
@transaction.atomic
def acknowledge(actor: ledger.Actor, found: QuerySet[Finding], reason: str) -> int:
    """Take note of these findings, with a reason, on record; how many were still open.

    What is found after that is a new finding, except of what lasts: that is told anew only once it has ended.
    """
    open_ones = list(found.filter(acknowledged_at=None).select_for_update().order_by("pk"))
    if not open_ones:
        return 0
    now = timezone.now()
    mine = Finding.objects.filter(pk__in=[finding.pk for finding in open_ones])
    mine.update(acknowledged_at=now, acknowledged_by=actor.name, acknowledged_by_id=actor.id, reason=reason)
    lasting = [rule.word for rule in RULES if rule.lasting]
    mine.filter(ended_at=None).exclude(rule__in=lasting).update(ended_at=now)
    for finding in open_ones:
        ledger.record(
            a.AUDIT_READ, actor, ledger.Target(finding.vault, finding.secret), reason=reason, note=_note(finding)
        )
    return len(open_ones)


def _note(finding: Finding) -> str:
    rule = BY_WORD.get(finding.rule)
    about = f" of {finding.who}" if finding.who else ""
    return f"Acknowledged finding #{finding.pk}: {rule.label if rule else finding.rule}{about}."


# --- Asking ----------------------------------------------------------------------------------------------------------
def open_counts(found: QuerySet[Finding]) -> dict[str, int]:
    """How many of these are open, by severity. One query."""
    counted = found.filter(acknowledged_at=None).order_by().values_list("severity").annotate(n=Count("pk"))
    return dict.fromkeys(Severity.values, 0) | dict(counted)


def of_event(found: QuerySet[Finding], event_id: int) -> list[Finding]:
    """The findings that this event is evidence of. One query."""
    return list(found.filter(evidence__event=event_id).order_by("-id").distinct())
