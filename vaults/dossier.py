"""All that the page of one request shows. It looks, and moves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from audit.models import LedgerEntry
from vaults import policy, rules
from vaults.approvers import approvers
from vaults.inbox import Row, readable, rows
from vaults.models import Person, RevealRequest, State, Vote
from vaults.outlook import outlook
from vaults.words import policy_words

FEW = 6
LATELY = timedelta(days=30)
MOST_STEPS = 200  # a window that is used all day long


@dataclass(frozen=True, slots=True)
class Reads:
    """What somebody was shown lately, as far as the reader may know of it, and how much more there is."""

    shown: list[LedgerEntry]
    hidden: int


@dataclass(frozen=True, slots=True)
class Dossier:
    """`state` is the one that holds now, with `why` it differs from the stored one. `verbs` are the reader's own."""

    request: RevealRequest
    state: State
    why: str
    verbs: frozenset[str]
    votes: list[tuple[Vote, bool]]  # and whether it counts now
    could: list[Person]  # who could still say yes
    needed: int
    policy: list[str]
    rotated: bool
    timeline: list[LedgerEntry]
    decides: bool
    asked_lately: list[Row]
    read_lately: Reads | None

    @property
    def counting(self) -> int:
        return sum(counts for _, counts in self.votes)


def dossier(reader: Person, request: RevealRequest, now: datetime) -> Dossier:
    """Ask for everything once; a fixed number of queries, whatever the size of it."""
    state, why = outlook(request, now)
    eligible = approvers(request.secret, request.requester)
    groups = [group.name for group in request.policy.approver_groups.all()]
    votes = _votes(request, eligible)
    voted = {vote.voter_id for vote, counts in votes if counts}
    decides = any(person.pk == reader.pk for person in eligible)
    return Dossier(
        request=request,
        state=state,
        why=why,
        verbs=rules.possible(reader, request, state, eligible),
        votes=votes,
        could=[person for person in eligible if person.pk not in voted],
        needed=max(request.policy.approvals_needed, len(groups)),
        policy=policy_words(request.policy, groups),
        rotated=_rotated(request),
        timeline=list(LedgerEntry.objects.filter(request=request.pk).order_by("seq")[:MOST_STEPS]),
        decides=decides,
        asked_lately=_asked_lately(reader, request, now) if decides else [],
        read_lately=_read_lately(reader, request, now) if decides else None,
    )


def _rotated(request: RevealRequest) -> bool:
    """Whether the secret has changed since it was asked for; of a deleted one nothing changes any more."""
    changed = request.secret.updated_on
    return bool(changed and changed > request.asked_at and request.act == RevealRequest.Act.REVEAL)


def _votes(request: RevealRequest, eligible: list[Person]) -> list[tuple[Vote, bool]]:
    """Every vote, dropped ones too, and whether it counts: to what is asked now, by somebody who may still decide."""
    may = {person.pk for person in eligible}
    return [
        (vote, vote.dropped_at is None and vote.asked_hash == request.asked_hash and vote.voter_id in may)
        for vote in request.votes.select_related("voter")
    ]


def _asked_lately(reader: Person, request: RevealRequest, now: datetime) -> list[Row]:
    theirs = readable(reader).filter(requester=request.requester, asked_at__gt=now - LATELY).exclude(pk=request.pk)
    return rows(theirs[:FEW], now)


def _read_lately(reader: Person, request: RevealRequest, now: datetime) -> Reads:
    """From the ledger. Names of secrets that the reader may not see are counted only."""
    phases = [LedgerEntry.Phase.REVEALED, LedgerEntry.Phase.WITHHELD]
    theirs = LedgerEntry.objects.filter(person_id=str(request.requester_id), phase__in=phases, at__gt=now - LATELY)
    entries = list(theirs.order_by("-seq")[: FEW * 5])
    named = Q(pk__in=[])
    for vault, secret in {(entry.vault, entry.secret) for entry in entries}:
        named |= Q(vault__name=vault, key=secret)
    seen = set(policy.visible_secrets(reader).filter(named).order_by().values_list("vault__name", "key"))
    known = [entry for entry in entries if (entry.vault, entry.secret) in seen]
    return Reads(known[:FEW], len(entries) - len(known[:FEW]))
