"""One writer at a time for one secret: Azure has no conditional write, so kvadmin looks and writes within one turn.

And one count at a time for one person, where a limit holds for all that they send at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import IntegrityError, transaction

from audit import clock
from vaults.models import Person, Turn, Vault
from vaults.rules import Refusal

LONGEST = timedelta(minutes=2)  # far more than a look and a write may take: then its process has died


def of_person(pk: int) -> None:
    """Wait until nobody else counts for this person, and let nobody until the caller's transaction ends.

    Take it before the lock of a request, as whoever ends all of a person's requests does.
    """
    # Rows that point at the person are written by others who hold the ledger: "no key" lets them.
    Person.objects.select_for_update(no_key=True).get(pk=pk)


@contextmanager
def turn(vault: Vault, key: str, holder: str) -> Iterator[None]:
    """Hold the turn to change this secret (`key` in lower case) while the body runs; no transaction is held open.

    Raises Refusal "busy" when somebody else holds it. It keeps kvadmin's own people apart, in any number of processes;
    whoever writes around kvadmin is found by looking at the newest version.
    """
    mine = _take(vault, key, holder)
    try:
        yield
    finally:
        Turn.objects.filter(pk=mine.pk).delete()


def take_all(vault: Vault, keys: Iterable[str], holder: str) -> tuple[dict[str, Turn], dict[str, Refusal]]:
    """The turns of several secrets, and why for those that somebody else holds; in the caller's transaction.

    One statement while nobody else is there. The caller gives them back with `give_back`.
    """
    wanted = sorted(keys)  # in one order, so that two who want the same never wait for each other
    until = clock.database_now() + LONGEST
    try:
        with transaction.atomic():
            rows = [Turn(vault=vault, key=key, until=until, holder=holder[:200]) for key in wanted]
            return {turn.key: turn for turn in Turn.objects.bulk_create(rows)}, {}
    except IntegrityError:
        return _one_by_one(vault, wanted, holder)


def _one_by_one(vault: Vault, keys: Iterable[str], holder: str) -> tuple[dict[str, Turn], dict[str, Refusal]]:
    taken, busy = dict[str, Turn](), dict[str, Refusal]()
    for key in keys:
        try:
            taken[key] = _take(vault, key, holder)
        except Refusal as refusal:
            busy[key] = refusal
    return taken, busy


def give_back(held: Iterable[Turn | None]) -> None:
    """End turns of `take_all`; one statement."""
    if keys := [turn.pk for turn in held if turn]:
        Turn.objects.filter(pk__in=keys).delete()


def give_all_back(holder: str) -> None:
    """End every turn of a holder that is nobody else's name, such as a batch: also those of its worker that died."""
    Turn.objects.filter(holder=holder[:200]).delete()


def _take(vault: Vault, key: str, holder: str) -> Turn:
    now = clock.now()
    Turn.objects.filter(vault=vault, key=key, until__lt=now).delete()
    try:
        with transaction.atomic():
            return Turn.objects.create(vault=vault, key=key, until=now + LONGEST, holder=holder[:200])
    except IntegrityError:
        holds = Turn.objects.filter(vault=vault, key=key).values_list("holder", flat=True).first() or "Somebody"
    raise Refusal("busy", f"{holds} is changing this secret at this moment. Look at it again in a minute.")
