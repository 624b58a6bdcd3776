"""A rotation's verbs: start, tick off, disable the old version, close. What is written to Azure goes by keeping.py."""

from __future__ import annotations

from dataclasses import replace

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import ledger
from audit.queries import top_readers
from audit.views.scope import events_for
from kvadmin import actions as a
from vaults import keeping
from vaults.models import ExpiryWatch, Person, Rotation, RotationLine, Secret
from vaults.newest import newest, one_version
from vaults.rules import Refusal
from vaults.wishes import Wish

MOST_READERS = 10
MOST_LINES = 100  # of one checklist


def under_way(secret: Secret) -> Rotation | None:
    """The secret's open rotation, with its lines."""
    mine = Rotation.objects.filter(vault=secret.vault_id, key=secret.key, closed_at=None)
    return mine.prefetch_related("lines").first()


def about(person: Person, secret: Secret) -> tuple[Rotation | None, bool]:
    """For the secret's page: its open rotation, and whether this person is reminded of its expiry. Two queries."""
    mine = Rotation.objects.filter(vault=secret.vault_id, key=secret.key, closed_at=None)
    watched = ExpiryWatch.objects.filter(person=person, vault=secret.vault_id, key=secret.key)
    return mine.first(), watched.exists()


def consumers(person: Person, secret: Secret) -> list[str]:
    """Who read the value lately, for a person who may see that: each is one whom the rotation concerns. One query."""
    events = events_for(person).filter(vault=secret.vault.name, name=secret.key)
    return [reader.who for reader in top_readers(events)[:MOST_READERS]]


def start(actor: ledger.Actor, secret: Secret, lines: list[str], *, reason: str) -> Rotation:
    """Begin, from the version that is the newest in Azure now. Raises Refusal, GatewayError."""
    if secret.managed:
        raise Refusal("managed", keeping.MANAGED)
    latest = newest(secret.vault, secret.name).properties
    try:
        with transaction.atomic():
            made = Rotation.objects.create(
                vault=secret.vault, key=secret.key, reason=reason, started_by=actor.name[:200],
                old_version=latest.version if latest else "", old_created_on=latest.created_on if latest else None,
            )  # fmt: skip
            RotationLine.objects.bulk_create(RotationLine(rotation=made, text=text) for text in lines)
            _record(actor, secret, made, "A rotation is begun.")
    except IntegrityError:
        raise Refusal("under-way", "Somebody has begun a rotation of this secret meanwhile.") from None
    return made


def has_new_version(rotation: Rotation, secret: Secret) -> bool:
    """Whether the inventory shows a version that was made after the rotation began."""
    if secret.created_on is None:
        return False
    return rotation.old_created_on is None or secret.created_on > rotation.old_created_on


def add_line(rotation: Rotation, text: str) -> None:
    """One more line of the checklist. Raises Refusal when it is full."""
    if rotation.lines.count() >= MOST_LINES:
        raise Refusal("full", f"A checklist has {MOST_LINES} lines at most, and this one has them.")
    RotationLine.objects.create(rotation=rotation, text=text)


def tick(rotation: Rotation, line_id: int, by: str) -> None:
    """Tick a line off, or take its tick back."""
    line = rotation.lines.filter(pk=line_id).first()
    if line is None:
        raise Refusal("gone", "There is no such line any more.", 404)
    line.done_at, line.done_by = (None, "") if line.done_at else (timezone.now(), by[:200])
    line.save(update_fields=["done_at", "done_by"])


def disable_old(actor: ledger.Actor, rotation: Rotation, secret: Secret) -> None:
    """Disable the version that was replaced, as an act of its own. Raises Refusal, GatewayError."""
    found, is_newest = one_version(secret.vault, secret.name, rotation.old_version)
    if is_newest or (is_newest is None and not has_new_version(rotation, secret)):
        raise Refusal("newest", "The old version is still the newest one: set a new version first.")
    if found.enabled:
        before = Wish.like(found)
        wish = replace(before, enabled=False)
        keeping.update(actor, secret, rotation.old_version, wish, before=before, reason=rotation.reason)
    rotation.old_disabled_at = timezone.now()
    rotation.save(update_fields=["old_disabled_at"])


def close(actor: ledger.Actor, rotation: Rotation, secret: Secret) -> None:
    """The rotation is over, with whatever is still open on its list; the ledger says what that was."""
    left = rotation.lines.filter(done_at=None).count()
    new = "a new version is set" if has_new_version(rotation, secret) else "no new version is set"
    old = "the old one is disabled" if rotation.old_disabled_at else "the old one is not disabled here"
    with transaction.atomic():
        mine = Rotation.objects.filter(pk=rotation.pk, closed_at=None)
        if not mine.update(closed_at=timezone.now(), closed_by=actor.name[:200]):
            raise Refusal("closed", "This rotation is closed already.")
        _record(actor, secret, rotation, f"The rotation is closed: {new}, {old}, {left} lines of the list are open.")


def _record(actor: ledger.Actor, secret: Secret, rotation: Rotation, note: str) -> None:
    target = ledger.Target(secret.vault.name, secret.key, rotation.old_version)
    ledger.record(a.SECRET_SET, actor, target, reason=rotation.reason, note=note)
