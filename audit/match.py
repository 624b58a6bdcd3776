"""Joins Azure's log with the ledger: who stands behind each value that left a vault?

Every read of a value is put on one of three lists, from the rows that are there and never from the order they came in,
so that sorting again, or twice at once, changes nothing:

explained    Azure logged the id that it told kvadmin alone, and the ledger keeps it (x-ms-request-id = CorrelationId).
             Or the answer was lost, so that the ledger has no such id; then the act's id in the User-Agent will do, if
             the identity is kvadmin's own, vault, secret, operation and minute agree, and no other row came first.
             Any act that reads will do: a reveal, a comparison, a copy, a backup, a roll-back. The row says which.
unexplained  kvadmin's own identity, but no such ledger row: somebody else holds its credential. An alarm.
around       any other identity.

A User-Agent is the caller's own word, and whoever reads a log can copy one. It can therefore never explain a second
read, or one by another identity, or one for an act whose request id the ledger knows.

Which identity is kvadmin's own? One whose app id is AZURE_CLIENT_ID, or whose object id Azure once logged on a request
that a request id proved to be kvadmin's (OwnIdentity). App ids are never learned: people share their client's. Where
kvadmin acts on behalf of people, its app registration counts as well: nobody else can get such a token. The people
themselves do not: what they read around kvadmin is theirs.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from audit.batches import batched
from audit.models import AccessEvent, LedgerEntry, OwnIdentity
from kvadmin.actions import ACTIONS, SECRET_COPY, SECRET_SET

Match, MatchedBy, Outcome = AccessEvent.Match, AccessEvent.MatchedBy, AccessEvent.Outcome
Phase = LedgerEntry.Phase

AFTER_INTENT = timedelta(minutes=5)  # how long after its intent a lost answer may have been logged
SKEW = timedelta(minutes=1)  # how far the clocks of Azure and of the database may differ
CHALLENGE = timedelta(seconds=10)  # how soon a challenge is answered by the client that got it
BATCH = 500

_NOT_LINKED = {"matched_by": "", "ledger_act": None, "action": "", "person": "", "person_id": "", "reason": ""}


@dataclass(slots=True)
class Sorted:
    """How many rows moved to each list."""

    explained: int = 0
    around: int = 0
    unexplained: int = 0


def rematch(since: datetime) -> Sorted:
    """Sort all reads since then again: their ledger rows, or rows that prove more, may have come in later.

    And, however old, those that a run which was cut short has left unsorted.
    """
    moved, since = Sorted(), min(since, _oldest_unsorted() or since)
    known = set(OwnIdentity.objects.values_list("object_id", flat=True))
    moved.explained = _link_by_request_id(since)
    learned = set(OwnIdentity.objects.values_list("object_id", flat=True)) - known
    again = Q(at__gte=since) | Q(match=Match.AROUND, object_id__in=learned)
    _sort(AccessEvent.objects.filter(again, is_read=True).exclude(matched_by=MatchedBy.REQUEST_ID), moved)
    _hide_noise(since)
    return moved


def _oldest_unsorted() -> datetime | None:
    unsorted = AccessEvent.objects.filter(is_read=True, match=Match.OTHER)
    return unsorted.order_by("at").values_list("at", flat=True).first()


def own_identity() -> Q:
    """Rows whose token only kvadmin can have got: its own, or one on behalf of a person."""
    acting = settings.KVADMIN_OIDC_CLIENT_ID if settings.KVADMIN_ON_BEHALF_OF != "off" else ""
    apps = [app.lower() for app in (settings.KVADMIN_CLIENT_ID, acting) if app]
    return Q(object_id__in=OwnIdentity.objects.values("object_id")) | Q(app_id__in=apps)


# --- By Azure's request id -------------------------------------------------------------------------------------------
def _link_by_request_id(since: datetime) -> int:
    """Tie rows to the ledger rows that hold their request id: reads, and failed tries too, which carry a name then."""
    on_record = LedgerEntry.objects.exclude(request_id="").filter(at__gte=since - AFTER_INTENT)
    rows = AccessEvent.objects.filter(at__gte=since, correlation_id__in=on_record.values("request_id"))
    unlinked = rows.exclude(matched_by=MatchedBy.REQUEST_ID).values_list("pk", flat=True)
    return sum(_link(keys) for keys in batched(list(unlinked), BATCH))


@transaction.atomic
def _link(keys: Iterable[int]) -> int:
    events = list(AccessEvent.objects.select_for_update().filter(pk__in=keys).order_by("pk"))
    ids = [event.correlation_id for event in events]
    entries = {entry.request_id: entry for entry in LedgerEntry.objects.filter(request_id__in=ids)}
    proven = [event for event in events if _is_of(event, entries[event.correlation_id])]
    for event in proven:
        _tie(event, entries[event.correlation_id], MatchedBy.REQUEST_ID)
    AccessEvent.objects.bulk_update(proven, ["match", *_NOT_LINKED], batch_size=BATCH)
    _learn(event for event in proven if not entries[event.correlation_id].rights)
    return sum(event.is_read for event in proven)


def _is_of(event: AccessEvent, entry: LedgerEntry) -> bool:
    return (event.vault, event.name) == (entry.vault, entry.secret)


def _tie(event: AccessEvent, entry: LedgerEntry, by: AccessEvent.MatchedBy) -> None:
    event.match = Match.EXPLAINED if event.is_read else Match.OTHER
    event.matched_by, event.ledger_act, event.action = by, entry.act, entry.action
    event.person, event.person_id, event.reason = entry.person, entry.person_id, entry.reason


def _learn(proven: Iterable[AccessEvent]) -> None:
    """Whoever Azure saw on a request that kvadmin made with its own rights is kvadmin."""
    seen = {event.object_id: event.correlation_id for event in proven if event.object_id}
    OwnIdentity.objects.bulk_create(
        [OwnIdentity(object_id=object_id, correlation_id=proof) for object_id, proof in seen.items()],
        ignore_conflicts=True,
    )


# --- The others ------------------------------------------------------------------------------------------------------
@transaction.atomic
def _sort(reads: QuerySet[AccessEvent], moved: Sorted) -> None:
    """Put the reads that no request id explains on their lists; each update touches only what moves."""
    own = own_identity()
    explained = dict(_by_user_agent(reads.filter(own, reveal_id__isnull=False)))
    others = reads.exclude(pk__in=explained)
    moved.unexplained = (
        others.filter(own).exclude(match=Match.UNEXPLAINED).update(match=Match.UNEXPLAINED, **_NOT_LINKED)
    )
    moved.around = others.exclude(own).exclude(match=Match.AROUND).update(match=Match.AROUND, **_NOT_LINKED)
    for event in AccessEvent.objects.filter(pk__in=explained).exclude(match=Match.EXPLAINED):
        _tie(event, explained[event.pk], MatchedBy.USER_AGENT)
        event.save(update_fields=["match", *_NOT_LINKED])
        moved.explained += 1


def _by_user_agent(claiming: QuerySet[AccessEvent]) -> Iterator[tuple[int, LedgerEntry]]:
    """For each act whose request id is not known, the first row that may be its read, if any."""
    acts = claiming.order_by().values_list("reveal_id", flat=True).distinct()
    for some in batched([act for act in acts if act], BATCH):
        for intent in _intents_without_answer(some):
            first = _first_read_of(intent)
            if first is not None:
                yield first, intent


def _intents_without_answer(acts: Iterable[uuid.UUID]) -> Iterator[LedgerEntry]:
    answered = LedgerEntry.objects.exclude(request_id="").values("act")
    intents = LedgerEntry.objects.filter(phase=Phase.INTENT, act__in=acts)
    yield from intents.exclude(act__in=answered.filter(act__in=acts))


def _first_read_of(intent: LedgerEntry) -> int | None:
    """The key of the earliest read that agrees with the intent in everything that Azure itself wrote down."""
    rows = AccessEvent.objects.filter(
        own_identity(),
        is_read=True,
        reveal_id=intent.act,
        vault=intent.vault,
        name=intent.secret,
        operation=_read_of(intent),
        at__range=(intent.at - SKEW, intent.at + AFTER_INTENT),
    ).exclude(matched_by=MatchedBy.REQUEST_ID)
    if intent.version:
        rows = rows.filter(version=intent.version)
    return rows.order_by("at", "id").values_list("pk", flat=True).first()


def _read_of(intent: LedgerEntry) -> str:
    """The operation by which an act of this kind reads a value. A write reads only to write an old version anew."""
    if intent.action == SECRET_SET.word:
        return SECRET_COPY.operation if intent.version else ""
    action = ACTIONS.get(intent.action)
    return action.operation if action else ""


# --- Noise -----------------------------------------------------------------------------------------------------------
def _hide_noise(since: datetime) -> None:
    """Hidden unless asked for: challenges that were answered, and Azure's own inventory of vaults."""
    fresh = AccessEvent.objects.filter(at__gte=since, is_noise=False)
    inventory = fresh.filter(operation="VaultGet", agent__startswith="AzureResourceGraph.IngestionWorkerService")
    inventory.update(is_noise=True)
    for keys in batched(list(_answered_challenges(fresh)), BATCH):
        AccessEvent.objects.filter(pk__in=keys).update(is_noise=True)


def _answered_challenges(fresh: QuerySet[AccessEvent]) -> Iterator[int]:
    """Challenges (401, before anybody said who they are) that the same client followed by a success within seconds.

    One that nobody followed stays in sight: somebody knocked without a key.
    """
    challenge = Q(operation="Authentication", status=401)
    first = fresh.filter(challenge).order_by("at").values_list("at", flat=True).first()
    if first is None:
        return
    rows = AccessEvent.objects.filter(challenge | Q(outcome=Outcome.OK), at__gte=first)
    waiting: dict[tuple[str, str, str], list[tuple[datetime, int]]] = {}
    # "denied" sorts before "ok": of two rows in the same microsecond the challenge comes first.
    columns = rows.order_by("at", "outcome", "id").values_list("vault", "address", "agent", "at", "pk", "outcome")
    for row in columns.iterator(chunk_size=2000):
        client, at, pk = row[:3], row[3], row[4]
        if row[5] != Outcome.OK:
            waiting.setdefault(client, []).append((at, pk))
        else:
            yield from (key for seen, key in waiting.pop(client, []) if at - seen <= CHALLENGE)
