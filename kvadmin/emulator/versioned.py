"""What secrets, keys and certificates have alike: a name, and versions in the order of creation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Identified(Protocol):
    """A version: something with an id of its own."""

    id: str


V = TypeVar("V", bound=Identified)


@dataclass
class Versioned(Generic[V]):
    """An object of a vault; `name` keeps the casing in which it was first set."""

    name: str
    versions: dict[str, V] = field(default_factory=dict)

    @property
    def latest(self) -> V:
        """The newest version."""
        return next(reversed(self.versions.values()))

    def version(self, version_id: str) -> V | None:
        """The version of this id, in any casing, or the newest for none; None when there is no such version."""
        return self.versions.get(version_id.lower()) if version_id else self.latest

    def add(self, version: V) -> V:
        """Make `version` the newest one."""
        self.versions[version.id] = version
        return version
