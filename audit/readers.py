"""Who reads: one address for each identity, below /audit/people/, and all that the log and the ledger call it.

A person of kvadmin is "kvadmin:7", by the id that the ledger keeps; anybody else a user name, or an object id.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Concat

from audit.finding_models import DirectoryName, ReaderHeard
from audit.models import AccessEvent, LedgerEntry

OURS = "kvadmin:"
Kind = AccessEvent.Kind
MOST_NAMES = 100  # of one identity

# The same in the database as reader_of for one row.
READER = Case(
    When(~Q(person_id=""), then=Concat(Value(OURS), "person_id")),
    When(Q(who_kind=Kind.PERSON) | Q(object_id=""), then=F("who")),
    default=F("object_id"),
)


def reader_of(event: AccessEvent) -> str:
    """The address of who stands behind this row; "" where nobody is named."""
    return event.address_of_reader


@dataclass(frozen=True, slots=True)
class Reader:
    """One identity by all its names: user names, object ids, and ids of kvadmin's people.

    `known_as` are names for people to read, the best one first.
    """

    address: str
    names: frozenset[str] = frozenset()
    object_ids: frozenset[str] = frozenset()
    person_ids: frozenset[str] = frozenset()
    known_as: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.known_as[0] if self.known_as else self.address

    @property
    def events(self) -> Q:
        """Rows of Azure's log: by their own hand, or for them through kvadmin."""
        same = Q(object_id__in=self.object_ids) | Q(object_id="") if self.object_ids else Q()
        return Q(person_id__in=self.person_ids) | (Q(who__in=self.names, person_id="") & same)

    @property
    def entries(self) -> Q:
        """Rows of the ledger."""
        return Q(person_id__in=self.person_ids)


def reader(address: str, account: Reader | None = None) -> Reader:
    """Gather the names of an identity: from the log, from the names that somebody filled in, and from `account`.

    `address` may be any of its names; `account` is what kvadmin's own people tell of it. Three queries.
    """
    account = account or Reader(address)
    given = frozenset() if address.startswith(OURS) else frozenset({address})
    names, ids = account.names | given, account.object_ids | _ids(given)
    listed = _listed(names, ids)
    heard = _heard(names, ids | set(listed))
    whos = names | {row.who for row in heard}
    object_ids = ids | {row.object_id for row in heard if row.object_id} | set(listed)
    best = [*account.known_as, *listed.values(), *sorted(row.who for row in heard), *given]
    return Reader(address, whos, object_ids, account.person_ids | _people(address), tuple(dict.fromkeys(best)))


def named_like(text: str) -> Q:
    """Rows of those whose name, as somebody filled it in, contains the text. A person's client does not count."""
    ids = DirectoryName.objects.filter(name__icontains=text).values("identifier")
    return Q(object_id__in=ids) | (Q(app_id__in=ids) & ~Q(who_kind=Kind.PERSON))


def _ids(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names if len(name) == 36)


def _listed(names: frozenset[str], ids: frozenset[str]) -> dict[str, str]:
    """Names that somebody filled in, by id: found by the id, or by the name in any case."""
    found = Q(identifier__in=ids)
    for name in names:
        found |= Q(name__iexact=name)
    return dict(DirectoryName.objects.filter(found).values_list("identifier", "name")[:MOST_NAMES])


def _heard(names: frozenset[str], ids: frozenset[str]) -> list[ReaderHeard]:
    """What the log calls them. A person's name is theirs alone; that of a program is not, so there the id must fit."""
    by_name = Q(who__in=names, object_id="")
    for name in names:
        by_name |= Q(
            who__iexact=name, kind=Kind.PERSON
        )  # Entra's user names have no case, and tokens write them in any
    return list(ReaderHeard.objects.filter(by_name | Q(object_id__in=ids))[:MOST_NAMES])


def _people(address: str) -> frozenset[str]:
    """Ids of the ledger that this address means, though the account may be gone."""
    if address.startswith(OURS):
        return frozenset({address.removeprefix(OURS)[:40]})
    named = LedgerEntry.objects.filter(person__iexact=address).exclude(person_id="").order_by()
    return frozenset(named.values_list("person_id", flat=True).distinct()[:MOST_NAMES])
