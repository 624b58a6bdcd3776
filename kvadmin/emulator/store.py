"""The secrets of one vault: live ones, deleted ones, and names that Azure still holds back."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from kvadmin.emulator.versioned import Versioned


@dataclass
class Version:
    """One version of a secret. Times are unix seconds; None means the attribute is not set."""

    value: str
    created: int
    content_type: str | None = None
    tags: dict[str, str] | None = None
    enabled: bool = True
    not_before: int | None = None
    expires_on: int | None = None
    kid: str | None = None
    id: str = field(default_factory=lambda: uuid4().hex)
    updated: int = 0

    def __post_init__(self) -> None:
        self.updated = self.updated or self.created


@dataclass
class Secret(Versioned[Version]):
    """A secret and all of its versions."""

    managed: bool = False
    # The secret's entry in a list page as JSON, built once: a list of 100,000 must not cost 100,000 dumps.
    item: bytes | None = None
    # After a recover Azure needs a moment until the secret can be read again.
    readable_from: datetime | None = None

    def add(self, version: Version) -> Version:
        """Make `version` the newest one."""
        self.item = None
        return super().add(version)


@dataclass
class Deleted:
    """A secret that was deleted: `visible_from` is when Azure is done deleting, `purge_on` when it goes for good."""

    secret: Secret
    deleted_on: datetime
    visible_from: datetime
    purge_on: datetime


class Store:
    """Secrets by name, case-insensitively. Not locked: the cloud's lock is held by whoever calls."""

    def __init__(self) -> None:
        self._live: dict[str, Secret] = {}
        self._deleted: dict[str, Deleted] = {}
        self._blocked: dict[str, datetime] = {}
        self._keys: list[str] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def get(self, name: str) -> Secret | None:
        """The live secret of this name, or None."""
        return self._live.get(name.lower())

    def deleted(self, name: str, now: datetime) -> Deleted | None:
        """The deleted secret of this name, or None; one whose purge date has passed is gone."""
        entry = self._deleted.get(name.lower())
        if entry and entry.purge_on <= now:
            del self._deleted[name.lower()]
            return None
        return entry

    def all_deleted(self, now: datetime) -> list[Deleted]:
        """The deleted secrets that a list shows, by name."""
        entries = [self.deleted(name, now) for name in sorted(self._deleted)]
        return [entry for entry in entries if entry and entry.visible_from <= now]

    def blocked(self, name: str, now: datetime) -> bool:
        """Whether a purge of this name is still under way."""
        return self._blocked.get(name.lower(), now) > now

    def add(self, secret: Secret) -> Secret:
        """Put a secret among the live ones."""
        self._live[secret.name.lower()] = secret
        self._keys = None
        return secret

    def delete(self, name: str, now: datetime, delay: timedelta, keep: timedelta) -> Deleted:
        """Move a live secret to the deleted ones: shown there after `delay`, kept for `keep`."""
        secret = self._live.pop(name.lower())
        self._keys = None
        entry = Deleted(secret, now, now + delay, now + keep)
        self._deleted[name.lower()] = entry
        return entry

    def recover(self, name: str, readable_from: datetime) -> Secret:
        """Bring a deleted secret back with all of its versions."""
        secret = self._deleted.pop(name.lower()).secret
        secret.readable_from = readable_from
        return self.add(secret)

    def purge(self, name: str, blocked_until: datetime) -> None:
        """Forget a deleted secret; its name cannot be used until `blocked_until`."""
        del self._deleted[name.lower()]
        self._blocked[name.lower()] = blocked_until

    def page(self, marker: str, size: int) -> tuple[list[Secret], str]:
        """Up to `size` live secrets from `marker` on, by name, and the marker of the next page ("" at the end)."""
        if self._keys is None:
            self._keys = sorted(self._live)
        names, following = page(self._keys, marker, size)
        return [self._live[name] for name in names], following


def page(keys: list[str], marker: str, size: int) -> tuple[list[str], str]:
    """Up to `size` of the sorted `keys` from `marker` on, and the key after them ("" at the end)."""
    start = bisect_left(keys, marker)
    following = keys[start + size] if start + size < len(keys) else ""
    return keys[start : start + size], following
