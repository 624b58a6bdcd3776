"""Secrets' rows of one vault: written only where Azure's list differs from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from kvadmin.gateway.keyvault import SecretProperties, valid_name
from vaults import search
from vaults.models import Secret, Vault

# What Azure's list decides, in the order of _facts; vanished_at is among them, so that what returned is revived.
FACTS = (
    "name", "content_type", "tags", "enabled", "managed", "created_on", "updated_on", "not_before", "expires_on",
    "recovery_level", "recoverable_days", "vanished_at",
)  # fmt: skip
_COLUMNS = ("vault_id", "key", *FACTS, "haystack")
_PER_STATEMENT = 200
Facts = tuple[Any, ...]


def store(vault: Vault, properties: SecretProperties) -> None:
    """Put what Azure answered to a write into the inventory at once: a new secret, or the newest version of one.

    The properties of an older version do not belong here. A list that was begun before this moment no longer counts
    for this secret.
    """
    store_all(vault, [properties])


def store_all(vault: Vault, found: Iterable[SecretProperties]) -> None:
    """As `store`, for several secrets of one vault: two statements for all of them."""
    facts = {secret.name.lower(): _facts(secret) for secret in found}
    with transaction.atomic(savepoint=False):
        _upsert(vault, facts)
        Secret.objects.filter(vault=vault, key__in=facts).update(written_at=timezone.now())


def forget(vault: Vault, key: str) -> None:
    """Mark a secret as gone from Azure at once: it was deleted. Its row stays, as history."""
    now = timezone.now()
    Secret.objects.filter(vault=vault, key=key.lower()).update(written_at=now, vanished_at=now)


def stored(vault: Vault, name: str) -> SecretProperties | None:
    """A live secret as the last list of its vault has told it, without a version's id; None: not in the inventory."""
    row = Secret.objects.filter(vault=vault, key=name.lower(), vanished_at=None).first()
    if row is None:
        return None
    return SecretProperties(
        row.name, "", row.enabled, row.content_type, row.tags, row.created_on, row.updated_on, row.not_before,
        row.expires_on, row.recovery_level, row.recoverable_days, row.managed,
    )  # fmt: skip


class VaultRows:
    """The rows of one vault during one listing: `write` each batch, and `vanish` only after a complete listing.

    `began`: when the list was begun. What kvadmin itself has changed since then is newer than what the list says.
    """

    def __init__(self, vault: Vault, began: datetime | None = None) -> None:
        self.vault = vault
        self._began = began or timezone.now()
        self._last: int | None = Secret.objects.filter(vault=vault).aggregate(last=Max("pk"))["last"]
        self._seen: set[int] = set()

    def write(self, found: Iterable[SecretProperties]) -> int:
        """Store a batch of Azure's list in one transaction; returns how many rows were new or different."""
        facts = {secret.name.lower(): _facts(secret) for secret in found if valid_name(secret.name)}
        with transaction.atomic():
            if self._last is not None or Secret.objects.filter(vault=self.vault).exists():
                facts = self._different(facts)
            _upsert(self.vault, facts)
        return len(facts)

    def vanish(self) -> int:
        """Mark the rows that the listing did not show; returns how many."""
        if self._last is None:
            return 0
        live = Secret.objects.filter(vault=self.vault, vanished_at=None).exclude(written_at__gte=self._began)
        before = live.filter(pk__lte=self._last).values_list("pk", flat=True)
        gone = [pk for pk in before.iterator() if pk not in self._seen]
        for start in range(0, len(gone), _PER_STATEMENT):
            live.filter(pk__in=gone[start : start + _PER_STATEMENT]).update(vanished_at=timezone.now())
        return len(gone)

    def count(self) -> int:
        return Secret.objects.filter(vault=self.vault, vanished_at=None).count()

    def _different(self, facts: dict[str, Facts]) -> dict[str, Facts]:
        """Those that have no row yet, or another one."""
        rows = Secret.objects.filter(vault=self.vault, key__in=facts).values_list("pk", "key", "written_at", *FACTS)
        different = dict(facts)
        for pk, key, written_at, *stored in rows:
            self._seen.add(pk)
            if tuple(stored) == facts[key] or (written_at and written_at >= self._began):
                del different[key]
        return different


def _facts(secret: SecretProperties) -> Facts:
    """The secret as its row holds it: texts cut to their columns, and without what a database refuses."""
    return (
        secret.name,
        plain(secret.content_type)[:255],
        storable_tags(secret.tags),
        secret.enabled,
        secret.managed,
        secret.created_on,
        secret.updated_on,
        secret.not_before,
        secret.expires_on,
        plain(secret.recovery_level)[:64],
        secret.recoverable_days,
        None,
    )


# NUL, and half of a surrogate pair, which JSON can spell: one such tag would fail the sweep of all vaults, each time.
_REFUSED = re.compile("[\x00\ud800-\udfff]")


def storable_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags, with a mark in place of each character that no database takes."""
    if any(_REFUSED.search(text) for text in chain(tags, tags.values())):
        return {plain(tag): plain(value) for tag, value in tags.items()}
    return tags


def plain(text: str) -> str:
    return _REFUSED.sub("\ufffd", text)


def _upsert(vault: Vault, facts: dict[str, Facts]) -> None:
    """Insert the rows, or overwrite those whose key is there.

    Plain SQL, the same on SQLite and PostgreSQL: bulk_create takes three times as long for it, which is most of what
    a sweep does.
    """
    adapt = _adapters()
    with connection.cursor() as cursor:
        items = list(facts.items())
        for start in range(0, len(items), _PER_STATEMENT):
            chunk = items[start : start + _PER_STATEMENT]
            params: list[Any] = []
            for key, fact in chunk:
                params += (vault.pk, key, *adapt(fact), _haystack(vault, key, fact))
            cursor.execute(_statement(len(chunk)), params)


def _haystack(vault: Vault, key: str, fact: Facts) -> str:
    _, content_type, tags, enabled, managed, *_ = fact
    return search.haystack(vault.name, key, content_type, tags, enabled=enabled, managed=managed)


def _adapters() -> Callable[[Facts], Iterable[Any]]:
    """Turns facts into what the database's driver takes, as the model's fields would."""
    document = connection.ops.adapt_json_value
    moment = lru_cache(1024)(connection.ops.adapt_datetimefield_value)  # times repeat: created and changed at once

    def adapt(fact: Facts) -> Iterable[Any]:
        name, content_type, tags, enabled, managed, created, updated, start, end, level, days, vanished = fact
        times = moment(created), moment(updated), moment(start), moment(end)
        return name, content_type, document(tags, None), enabled, managed, *times, level, days, vanished

    return adapt


def _statement(rows: int) -> str:
    row = f"({', '.join(['%s'] * len(_COLUMNS))})"
    kept = ", ".join(f"{column} = excluded.{column}" for column in (*FACTS, "haystack"))
    table = Secret._meta.db_table
    return (
        f"INSERT INTO {table} ({', '.join(_COLUMNS)}) VALUES {', '.join([row] * rows)} "  # noqa: S608 - constants only
        f"ON CONFLICT (vault_id, key) DO UPDATE SET {kept}"
    )
