"""The inventory as audit's rules and lists ask for it (audit/inventory.py): facts without values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from django.db.models import Q, QuerySet

from audit.coverage import Logged
from audit.inventory import Key, SecretFacts
from vaults.models import Secret, Vault

_COLUMNS = (
    "id", "vault__name", "key", "enabled", "created_on", "updated_on", "expires_on", "vanished_at", "vault__listed_at",
)  # fmt: skip


class StoredInventory:
    """What the last sweeps have stored."""

    def vaults(self) -> Sequence[Logged]:
        return list(Vault.objects.filter(vanished_at=None).defer("tags"))

    def secrets(self, keys: Collection[Key]) -> dict[Key, SecretFacts]:
        return {(facts.vault, facts.name): facts for facts in _facts(Secret.objects.filter(_named(keys)))}

    def some_secrets(self, after: int, most: int) -> Sequence[SecretFacts]:
        there = Secret.objects.filter(vanished_at=None, vault__vanished_at=None, pk__gt=after).order_by("pk")
        return list(_facts(there[:most]))


def _facts(secrets: QuerySet[Secret]) -> Iterable[SecretFacts]:
    return (SecretFacts(*row) for row in secrets.values_list(*_COLUMNS))


def _named(keys: Collection[Key]) -> Q:
    """Secrets by vault and name: one condition for each vault."""
    by_vault: dict[str, set[str]] = defaultdict(set)
    for vault, name in keys:
        by_vault[vault].add(name)
    found = Q(pk__in=[])
    for vault, names in by_vault.items():
        found |= Q(vault__name=vault, key__in=names)
    return found
