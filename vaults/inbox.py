"""Which requests a person sees, and which wait for them. The database filters by scope, so size does not matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from kvadmin import actions as a
from vaults import policy
from vaults.models import Person, RevealRequest, State, Vote
from vaults.outlook import by_time

PAGE = 50
MANY = 10  # the badge counts no further
Kind = RevealRequest.Kind


# --- Which ones ------------------------------------------------------------------------------------------------------
def readable(person: Person) -> QuerySet[RevealRequest]:
    """A person's own, and those for secrets that they may see."""
    return RevealRequest.objects.filter(Q(requester=person) | policy.reach(person, a.SECRET_LIST, "secret__"))


def mine(person: Person) -> QuerySet[RevealRequest]:
    return RevealRequest.objects.filter(requester=person)


def waiting(person: Person, now: datetime) -> QuerySet[RevealRequest]:
    """Undecided requests that this person may decide and has not approved yet."""
    return _decidable(person).filter(_undecided(now), ~_voted(person))


def emergencies(person: Person, now: datetime) -> QuerySet[RevealRequest]:
    """Those that go on, which this person may take back, and those that are over, which they may review."""
    goes_on = Q(kind=Kind.BREAK_GLASS) & has_state(State.ACTIVE, now)
    return _decidable(person).filter(goes_on | has_state(State.REVIEW_DUE, now))


def count_waiting(person: Person | AnonymousUser) -> str:
    """How much waits for this person, for the badge: "", "3" or "9+". One query, which stops counting at ten."""
    if not isinstance(person, Person) or not policy.may(person, a.REQUEST_APPROVE):
        return ""
    now = timezone.now()
    due = _decidable(person).filter(state__in=(State.PENDING, State.ACTIVE, State.REVIEW_DUE))
    due = due.filter((_undecided(now) & ~_voted(person)) | has_state(State.REVIEW_DUE, now))
    found = len(due.order_by().values_list("pk")[:MANY])
    return f"{MANY - 1}+" if found >= MANY else str(found or "")


def _decidable(person: Person) -> QuerySet[RevealRequest]:
    """Those whose secret the person's Approver role reaches, but for their own."""
    own = Q(requester=person)
    if person.email:
        own |= Q(requester__email__iexact=person.email)
    return RevealRequest.objects.filter(policy.reach(person, a.REQUEST_APPROVE, "secret__")).exclude(own)


def _undecided(now: datetime) -> Q:
    return Q(kind=Kind.APPROVAL) & has_state(State.PENDING, now)


def _voted(person: Person) -> Exists:
    return Exists(Vote.objects.filter(request=OuterRef("pk"), voter=person, dropped_at=None))


def has_state(state: str, now: datetime) -> Q:
    """In the state by the clock, whether or not anybody has put that on record yet: `by_time`, in SQL."""
    match state:
        case State.PENDING | State.APPROVED:
            return Q(state=state, due_at__gt=now)
        case State.ACTIVE:
            return Q(state=state, ends_at__gt=now)
        case State.EXPIRED:
            return Q(state=state) | Q(state__in=(State.PENDING, State.APPROVED), due_at__lte=now)
        case State.ENDED:
            return Q(state=state) | Q(state=State.ACTIVE, kind=Kind.APPROVAL, ends_at__lte=now)
        case State.REVIEW_DUE:
            return Q(state=state) | Q(state=State.ACTIVE, kind=Kind.BREAK_GLASS, ends_at__lte=now)
    return Q(state=state)


def is_open(now: datetime) -> Q:
    """Waiting, approved or in use by the clock, or an emergency that nobody has reviewed."""
    states = (State.PENDING, State.APPROVED, State.ACTIVE, State.REVIEW_DUE)
    return reduce(or_, (has_state(state, now) for state in states))


def naming(text: str) -> Q:
    """Whose secret, vault, requester, reason or ticket holds the text; "#12" is the request of that number."""
    number = text.removeprefix("#")
    if text != number and number.isascii() and number.isdigit() and len(number) < 19:
        return Q(pk=int(number))
    found = Q(secret__key__contains=text.lower()) | Q(secret__vault__name__contains=text.lower())
    for field in ("requester__username", "requester__first_name", "requester__last_name", "reason", "ticket"):
        found |= Q(**{f"{field}__icontains": text})
    return found


# --- One page --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Row:
    """One request of a list, with the state that holds now, and who has said yes."""

    request: RevealRequest
    state: State
    yes: list[Vote]


@dataclass(frozen=True, slots=True)
class Slice:
    """One page, newest first, with the numbers from which its neighbours lead on (0 where there is none)."""

    rows: Sequence[Row]
    newer: int = 0
    older: int = 0


def page(found: QuerySet[RevealRequest], now: datetime, *, before: int = 0, after: int = 0, size: int = PAGE) -> Slice:
    """The requests older than number `before`, or newer than `after`; the newest without either. Two queries."""
    narrowed = found.filter(pk__gt=after).order_by("pk") if after else found.order_by("-pk")
    if before and not after:
        narrowed = narrowed.filter(pk__lt=before)
    wanted = rows(narrowed[: size + 1], now)
    more, shown = len(wanted) > size, wanted[:size]
    if after:
        shown.reverse()
    newer, older = (more, True) if after else (bool(before), more)
    if not shown:
        return Slice([])
    return Slice(shown, shown[0].request.pk if newer else 0, shown[-1].request.pk if older else 0)


def rows(found: QuerySet[RevealRequest], now: datetime) -> list[Row]:
    """Requests with all that a row of a list shows."""
    votes = Prefetch("votes", Vote.objects.filter(dropped_at=None).select_related("voter"), to_attr="yes")
    whole = found.select_related("secret__vault", "requester", "policy").prefetch_related(votes)
    return [Row(item, by_time(item, now)[0], item.yes) for item in whole]
