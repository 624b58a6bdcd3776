"""The inventory as text: what is known of each secret, and never a value. CSV for people, JSON Lines for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from audit import export
from vaults.models import Secret

FORMATS = {"csv": "text/csv", "jsonl": "application/jsonl"}
BATCH = 1000
COLUMNS = (
    "vault", "environment", "name", "enabled", "content_type", "tags", "created_on", "updated_on", "not_before",
    "expires_on", "managed", "recovery_level", "recoverable_days", "inventory_as_of",
)  # fmt: skip


def secrets_of(found: QuerySet[Secret]) -> Iterator[Secret]:
    """The secrets by their number, a batch at a time: no cursor is held open while a slow reader takes them."""
    last = 0
    rows = found.select_related("vault").defer("haystack", "vault__tags", "vault__health_note").order_by("pk")
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        yield from batch
        last = batch[-1].pk


def secrets_by_id(ids: list[int]) -> Iterator[Secret]:
    """The secrets with these ids, in the same way."""
    for start in range(0, len(ids), BATCH):
        yield from secrets_of(Secret.objects.filter(pk__in=ids[start : start + BATCH]))


def written(form: str, rows: Iterable[Secret]) -> Iterator[str]:
    """The secrets in one of FORMATS. In CSV no cell is taken for a formula, and tags are JSON in one cell."""
    if form == "csv":
        return export.table(COLUMNS, (_cells(row) for row in rows))
    return (json.dumps(_facts(row), ensure_ascii=False, sort_keys=True) + "\n" for row in rows)


def _facts(secret: Secret) -> dict[str, Any]:
    facts = (
        secret.vault.name, secret.vault.environment, secret.name, secret.enabled, secret.content_type, secret.tags,
        secret.created_on, secret.updated_on, secret.not_before, secret.expires_on, secret.managed,
        secret.recovery_level, secret.recoverable_days, secret.vault.listed_at,
    )  # fmt: skip
    return {name: _plain(fact) for name, fact in zip(COLUMNS, facts, strict=True)}


def _plain(fact: Any) -> Any:
    """Times to the second, as Azure keeps them."""
    return f"{fact:%Y-%m-%dT%H:%M:%SZ}" if isinstance(fact, datetime) else fact


def _cells(secret: Secret) -> list[Any]:
    facts = _facts(secret)
    facts["tags"] = json.dumps(secret.tags, ensure_ascii=False, sort_keys=True) if secret.tags else ""
    return list(facts.values())
