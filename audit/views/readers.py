"""Which identity an address below /audit/people/ means: the log's names, and the people of kvadmin."""

from __future__ import annotations

from django.db.models import Q

from audit.readers import OURS, Reader, reader
from vaults.models import Person

MOST = 5  # accounts of one human being
_ID = 9  # digits of an account's number


def resolve(address: str) -> tuple[Reader, Person | None]:
    """The identity by all its names, and its account in kvadmin, if it has one. Seven queries."""
    first = reader(address)
    accounts = list(Person.objects.filter(_accounts(address, first)).order_by("-is_active", "pk")[:MOST])
    return reader(address, _of(address, first, accounts)), accounts[0] if accounts else None


def _accounts(address: str, known: Reader) -> Q:
    ids = [int(pk) for pk in known.person_ids if pk.isascii() and pk.isdigit() and len(pk) <= _ID]
    same = Q(pk__in=ids) | (Q(object_id__in=known.object_ids) & ~Q(object_id=""))
    for name in known.names:
        same |= Q(username__iexact=name) | Q(email__iexact=name)
    return same


def _of(address: str, known: Reader, accounts: list[Person]) -> Reader:
    """What the accounts add. A local user name such as "ada" is no name of Azure's; one with an @ may be."""
    logins = {name for one in accounts for name in (one.username, one.email) if "@" in name}
    return Reader(
        address,
        frozenset(known.names | logins),
        frozenset({one.object_id for one in accounts if one.object_id} | set(known.object_ids)),
        frozenset({str(one.pk) for one in accounts} | set(known.person_ids)),
        tuple(str(one) for one in accounts),
    )


def is_known(found: Reader, account: Person | None) -> bool:
    """Whether anything but the typed text is known of it."""
    typed = {found.address} if not found.address.startswith(OURS) else set()
    return account is not None or bool(set(found.known_as) - typed) or bool(found.object_ids - typed)
