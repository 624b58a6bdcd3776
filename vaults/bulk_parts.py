"""One vault of a change of many secrets while the worker is at it: what is looked for, ready, under way, or waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from audit.ledger import Attempt
from kvadmin.gateway.keyvault import PAGE_SIZE, SecretProperties
from kvadmin.gateway.writes import Written
from vaults.models import BatchItem, Vault
from vaults.pace import Pace

AT_ONCE = 4  # calls under way in one vault
Listed = Future[list[SecretProperties] | None]
Outcome = Callable[[Attempt], None]


@dataclass
class Ready:
    """An item that may be written: what was just seen of it, when, and its act once that is begun."""

    item: BatchItem
    seen: SecretProperties
    at: float
    act: Attempt | None = None


@dataclass
class Part:
    """One vault: what is to be looked for, what may be written now, what is under way, and what has waited too long.

    `since`: when Azure last let something through.
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
