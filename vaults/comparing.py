"""Two vaults, or two environments, side by side: by metadata, from the inventory, without a single read.

Rows are joined by name, which is the same in any casing. Where an environment holds a name more than once, which of
them is meant is not known, and nothing is claimed about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from kvadmin import actions as a
from vaults import policy
from vaults.models import Health, Person, Secret, Vault
from vaults.wishes import Change, Wish, changes

MOST = 50_000  # secrets of one side


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its name for people, the vaults that the person may see of it, and what may make it incomplete."""

    label: str
    vaults: list[Vault]
    doubts: list[str] = field(default_factory=list)

    @property
    def vault(self) -> Vault | None:
        """The one vault that it is, if it is one."""
        return self.vaults[0] if len(self.vaults) == 1 else None

    @property
    def as_of(self) -> datetime | None:
        """The oldest of its vaults' last complete listings; those that were never listed have doubts of their own."""
        return min((vault.listed_at for vault in self.vaults if vault.listed_at), default=None)


@dataclass(frozen=True, slots=True)
class Pair:
    """What both sides have under one name. `differences` are those of two secrets; else there are none."""

    key: str
    left: list[Secret]
    right: list[Secret]
    differences: list[Change]

    @property
    def state(self) -> str:
        """Of what both sides have, or of what only one has: a word of badges' "comparison"."""
        if not self.right:
            return "left"
        if not self.left:
            return "right"
        if len(self.left) > 1 or len(self.right) > 1:
            return "several"
        return "differs" if self.differences else "same"

    @property
    def name(self) -> str:
        return (self.left or self.right)[0].name

    @property
    def ids(self) -> str:
        """Both secrets, for a form that asks whether their values are equal; "" where there is no such question."""
        if self.state in {"differs", "same"}:
            return f"{self.left[0].pk}-{self.right[0].pk}"
        return ""


class TooMany(Exception):
    """A side holds more than is compared at once. Its text is one sentence for the person."""


def side(person: Person | AnonymousUser, asked: str) -> Side | None:
    """The side that "vault:NAME" or "environment:NAME" means, as far as the person may see it; None: nothing of it."""
    kind, _, name = asked.partition(":")
    visible = policy.visible_vaults(person).filter(vanished_at=None).select_related("subscription")
    if kind not in {"vault", "environment"} or not name:
        return None
    found = list(visible.filter(**{"name" if kind == "vault" else "environment": name.lower()}).order_by("name"))
    if not found:
        return None
    label = str(found[0]) if kind == "vault" else f"environment {name.lower()}"
    return Side(label, found, [text for vault in found for text in _doubts(person, vault)])


def _doubts(person: Person | AnonymousUser, vault: Vault) -> Iterator[str]:
    """Why what is known of a vault may be old, or a part only."""
    if vault.listed_at is None:
        yield f"{vault} was never listed in full: that something is not there means nothing."
    elif vault.health != Health.OK:
        since = f"{vault.listed_at:%Y-%m-%d %H:%M}Z"
        yield f"{vault} cannot be listed now ({vault.get_health_display()}): this is how it was {since}."
    if not policy.may(person, a.SECRET_LIST, vault):
        yield f"You may see a part of {vault} only: what is not shown here may be there all the same."


def compare(
    person: Person | AnonymousUser, left: Side, right: Side, ignored: Iterable[str] = (), *, most: int = MOST
) -> list[Pair]:
    """Every name of either side, in order; tags of the names in `ignored` do not count. Two queries. Raises TooMany."""
    leave_out = frozenset(ignored)
    rows = [(secret.key, 0, secret) for secret in _secrets(person, left, most)]
    rows += [(secret.key, 1, secret) for secret in _secrets(person, right, most)]
    rows.sort(key=lambda row: row[:2])
    return [_pair(key, list(group), leave_out) for key, group in groupby(rows, key=lambda row: row[0])]


def _secrets(person: Person | AnonymousUser, one: Side, most: int) -> list[Secret]:
    found: QuerySet[Secret] = policy.visible_secrets(person).filter(vault__in=one.vaults, vanished_at=None)
    rows = list(found.defer("haystack", "recovery_level").order_by("key", "pk")[: most + 1])
    if len(rows) > most:
        raise TooMany(f"{one.label} holds more than {most:,} secrets. Compare vault by vault.")
    places = {vault.pk: vault for vault in one.vaults}
    for secret in rows:
        secret.vault = places[secret.vault_id]
    return rows


def _pair(key: str, rows: list[tuple[str, int, Secret]], ignored: frozenset[str]) -> Pair:
    left = [secret for _, where, secret in rows if where == 0]
    right = [secret for _, where, secret in rows if where == 1]
    both = len(left) == 1 and len(right) == 1
    return Pair(key, left, right, _differences(left[0], right[0], ignored) if both else [])


def _differences(left: Secret, right: Secret, ignored: frozenset[str]) -> list[Change]:
    found = [one for one in changes(_wish(left, ignored), _wish(right, ignored)) if one.kind != "kept"]
    if left.managed != right.managed:
        words = {True: "of a certificate", False: "plain"}
        found.append(Change("Kind", words[left.managed], words[right.managed]))
    return found


def _wish(secret: Secret, ignored: frozenset[str]) -> Wish:
    tags = {name: value for name, value in secret.tags.items() if name.lower() not in ignored}
    return Wish(secret.content_type, tags, secret.enabled, secret.not_before, secret.expires_on)
