"""What the rules and the leaver's list ask of the inventory. vaults/inventory.py answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from audit.coverage import Logged

Key = tuple[str, str]  # a vault's and a secret's lower-case name


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """A secret as Azure's list last described it. `created_on` is of its current version; None: Azure did not tell."""

    id: int
    vault: str
    name: str
    enabled: bool
    created_on: datetime | None
    updated_on: datetime | None
    expires_on: datetime | None
    vanished_at: datetime | None
    as_of: datetime | None  # of its vault's last complete listing


class Inventory(Protocol):
    """Each answer costs a fixed number of queries."""

    def vaults(self) -> Sequence[Logged]:
        """Every vault that is there."""
        ...

    def secrets(self, keys: Collection[Key]) -> dict[Key, SecretFacts]:
        """Those of these secrets that are known, gone ones too."""
        ...

    def some_secrets(self, after: int, most: int) -> Sequence[SecretFacts]:
        """The next secrets that are there, by id."""
        ...
