"""One vault of a change of many secrets while the worker is at it: what is looked for, ready, under way, or waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from audit.ledger import Attempt
from kvadmin.gateway.keyvault import PAGE_SIZE, SecretProperties
from kvadmin.gateway.writes import Written
from vaults import turns
from vaults.models import BatchItem, Secret, Turn, Vault
from vaults.pace import Pace
from vaults.rules import Refusal

AT_ONCE = 4  # calls under way in one vault
Listed = Future[list[SecretProperties] | None]


@dataclass
class Ready:
    """An item that may be written: what was just seen of it, when, its act once that is begun, and its turn meanwhile.

    `asked`: when Azure was asked for the list that showed it, by the clock of `Secret.written_at`.
    """

    item: BatchItem
    seen: SecretProperties
    at: float
    asked: datetime
    act: Attempt | None = None
    turn: Turn | None = None


@dataclass
class Part:
    """One vault: what is to be looked for, what may be written now, what is under way, and what has waited too long.

    `since`: when Azure last let something through. `asked`: when it was asked for the page under way. `busy`: those
    that somebody else was changing when their turn came.
    """

    vault: Vault
    left: dict[str, BatchItem]
    pace: Pace
    since: float
    pages: Iterator[list[SecretProperties]] | None = None
    page: Listed | None = None
    ready: deque[Ready] = field(default_factory=deque)
    flying: dict[Future[Written], Ready] = field(default_factory=dict)
    stale: dict[str, BatchItem] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    asked: datetime = field(default_factory=timezone.now)

    @property
    def futures(self) -> list[Future[Any]]:
        return [*self.flying, *([self.page] if self.page else [])]

    @property
    def over(self) -> bool:
        return not (self.left or self.ready or self.flying or self.page or self.stale)

    @property
    def wants_page(self) -> bool:
        return self.page is None and len(self.ready) < PAGE_SIZE and bool(self.left)

    def again(self) -> None:
        """Look through the list once more, for what has waited too long."""
        self.pages, self.left, self.stale = None, self.stale, {}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the wish for a turn: free to be sent, changed since it was looked at, or in somebody's hands."""

    free: list[Ready]
    late: list[Ready]
    busy: list[tuple[Ready, Refusal]]


def take_turns(vault: Vault, chosen: list[Ready], holder: str) -> Taken:
    """Take the turns of these items, in the caller's transaction: two statements. Those of `free` are to be given back.

    A single write puts its answer into the inventory within its own turn: so what it did is seen here, once the turn
    is free again.
    """
    keys = [ready.item.key for ready in chosen]
    held, busy = turns.take_all(vault, keys, holder)
    written = dict(Secret.objects.filter(vault=vault, key__in=keys).values_list("key", "written_at"))
    taken = Taken([], [], [(ready, busy[ready.item.key]) for ready in chosen if ready.item.key in busy])
    for ready in chosen:
        ready.turn = held.get(ready.item.key)
        if ready.turn:
            at = written.get(ready.item.key)
            (taken.late if at and at >= ready.asked else taken.free).append(ready)
    turns.give_back(ready.turn for ready in taken.late)
    return taken
