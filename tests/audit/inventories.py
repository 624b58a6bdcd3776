"""An inventory for tests of the rules: what they may ask of vaults and secrets, without either."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from audit.inventory import Key, SecretFacts

WORKSPACE = "99999999-0000-4000-8000-000000000001"


@dataclass
class FakeVault:
    name: str = "pay-prod"
    resource_id: str = ""
    log_state: str = "ok"
    workspace_id: str = WORKSPACE


@dataclass
class FakeInventory:
    known_vaults: list[FakeVault] = field(default_factory=list)
    known_secrets: list[SecretFacts] = field(default_factory=list)

    def vaults(self) -> Sequence[FakeVault]:
        return self.known_vaults

    def secrets(self, keys: Collection[Key]) -> dict[Key, SecretFacts]:
        return {(facts.vault, facts.name): facts for facts in self.known_secrets if (facts.vault, facts.name) in keys}

    def some_secrets(self, after: int, most: int) -> Sequence[SecretFacts]:
        return [facts for facts in self.known_secrets if facts.id > after and not facts.vanished_at][:most]


def facts(name: str = "db-password", vault: str = "pay-prod", **fields: object) -> SecretFacts:
    """A secret that was made two hundred days ago, enabled and without an expiry."""
    old: datetime = timezone.now() - timedelta(days=200)
    plain: dict[str, object] = {
        "id": 1, "enabled": True, "created_on": old, "updated_on": old, "expires_on": None, "vanished_at": None,
        "as_of": timezone.now(),
    }  # fmt: skip
    return SecretFacts(vault=vault, name=name, **plain | fields)  # type: ignore[arg-type]
