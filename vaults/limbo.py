"""Deleted secrets, and those that Azure is still deleting, recovering or purging: what is known, and since when.

Azure answers at once and is done later. Nothing here says "done" before Azure has shown it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from kvadmin.gateway import deleted as gateway
from kvadmin.gateway import keyvault
from kvadmin.gateway.deleted import DeletedProperties
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import valid_name
from kvadmin.jobs.api import task
from vaults import rows
from vaults.models import DeletedSecret, Secret, Vault

State = DeletedSecret.State
FOLLOWED = 40  # looks at a state that Azure has not confirmed: about half an hour; then the sweeps go on looking
STALE = timedelta(hours=1)  # a state that Azure has not confirmed for so long is judged by the lists alone


# --- What the acts say -----------------------------------------------------------------------------------------------
def deleting(vault: Vault, found: DeletedProperties, asked_by: str) -> DeletedSecret:
    """Azure has taken the wish to delete. The live secret is gone from the inventory at once."""
    with transaction.atomic():
        rows.forget(vault, found.name)
        facts = _facts(found) | {"state": State.DELETING, "since": timezone.now(), "asked_by": asked_by[:200]}
        item, _ = DeletedSecret.objects.update_or_create(vault=vault, key=found.name.lower(), defaults=facts)
        follow_deleted.enqueue(item.pk)
    return item


def goes(item: DeletedSecret, state: DeletedSecret.State, asked_by: str) -> None:
    """Azure has taken the wish to recover or to purge it. A sweep that lists it no longer may be faster, and right."""
    item.state, item.since, item.asked_by = state, timezone.now(), asked_by[:200]
    mine = DeletedSecret.objects.filter(pk=item.pk)
    with transaction.atomic():
        if mine.update(state=item.state, since=item.since, asked_by=item.asked_by):
            follow_deleted.enqueue(item.pk)


@task
def follow_deleted(pk: int, looks: int = 0) -> bool:
    """Asks Azure how far a deletion, a recovery or a purge is, and looks again later until it is done."""
    item = DeletedSecret.objects.select_related("vault").filter(pk=pk).first()
    if item is None or not item.is_pending:
        return True
    try:
        done = follow(item)
    except GatewayError:
        done = False  # the vault is out of reach for now: nothing is known, so nothing is said
    if not done and looks < FOLLOWED:
        pause = timedelta(seconds=min(2 * 2**looks, 60))
        follow_deleted.using(run_after=timezone.now() + pause).enqueue(pk, looks + 1)
    return done


# --- What Azure shows ------------------------------------------------------------------------------------------------
def follow(item: DeletedSecret) -> bool:
    """Ask Azure how far it is, and put it on record; whether it is done. Reads no value. Raises GatewayError."""
    found = gateway.get_deleted_secret(item.vault.uri, item.name)
    match item.state:
        case State.DELETING if found:
            _settle(item, found)
        case State.PURGING if not found:
            _same(item).delete()
        case State.RECOVERING if not found:
            return _recovered(item)
        case State.DELETED:
            pass
        case _:
            return False
    return True


def _recovered(item: DeletedSecret) -> bool:
    """Whether the secret is live again: its versions are listed, which reads none of them."""
    versions = keyvault.list_properties_of_secret_versions(item.vault.uri, item.name).versions
    if not versions:
        return False
    with transaction.atomic():
        rows.store(item.vault, versions[0])
        _same(item).delete()
    return True


def _settle(item: DeletedSecret, found: DeletedProperties) -> None:
    _same(item).update(**_facts(found), state=State.DELETED, since=timezone.now())


def _same(item: DeletedSecret) -> QuerySet[DeletedSecret]:
    """The row, unless something else was asked of it while Azure was asked."""
    return DeletedSecret.objects.filter(pk=item.pk, state=item.state, since=item.since)


def found(vault: Vault, properties: DeletedProperties) -> DeletedSecret:
    """A deleted secret that no list has shown yet."""
    _add(vault, [properties], timezone.now())
    return DeletedSecret.objects.get(vault=vault, key=properties.name.lower())


def listed(vault: Vault, found: list[DeletedProperties] | GatewayError, began: datetime) -> None:
    """Take in what the sweep has listed. A failure is told on the list's page, and changes nothing else."""
    if isinstance(found, GatewayError):
        vault.deleted_note = f"{found.lasting} {found.advice}"[:300]
        vault.save(update_fields=["deleted_note"])
        return
    with transaction.atomic():
        _merge(vault, {one.name.lower(): one for one in found if valid_name(one.name)}, began)
        vault.deleted_listed_at, vault.deleted_note = began, ""
        vault.save(update_fields=["deleted_listed_at", "deleted_note"])


def _merge(vault: Vault, found: dict[str, DeletedProperties], began: datetime) -> None:
    known = {item.key: item for item in DeletedSecret.objects.select_for_update().filter(vault=vault)}
    live = set(Secret.objects.filter(vault=vault, key__in=known, vanished_at=None).values_list("key", flat=True))
    for key, item in known.items():
        if item.since >= began:
            continue  # the list is older than what kvadmin itself has done since
        if key in found:
            _seen(item, found[key], began)
        elif _over(item, began, is_live=key in live):
            item.delete()
    _add(vault, [one for key, one in found.items() if key not in known], began)


def _seen(item: DeletedSecret, found: DeletedProperties, began: datetime) -> None:
    """It is listed as deleted: that ends a deletion, and after a while every hope of a recovery or a purge."""
    done = item.state == State.DELETING or (item.is_pending and item.since < began - STALE)
    facts = _facts(found) | ({"state": State.DELETED, "since": began} if done else {})
    if any(getattr(item, name) != fact for name, fact in facts.items()):
        DeletedSecret.objects.filter(pk=item.pk).update(**facts)


def _over(item: DeletedSecret, began: datetime, *, is_live: bool) -> bool:
    """Whether what is not listed any more is gone. A deletion, or a recovery, may just not be done yet."""
    if item.state in {State.DELETING, State.RECOVERING}:
        return is_live or item.since < began - STALE
    return True


def _add(vault: Vault, found: Iterable[DeletedProperties], began: datetime) -> None:
    new = [
        DeletedSecret(vault=vault, key=one.name.lower(), state=State.DELETED, since=began, **_facts(one))
        for one in found
    ]
    DeletedSecret.objects.bulk_create(new, batch_size=200, ignore_conflicts=True)


def _facts(found: DeletedProperties) -> dict[str, Any]:
    """The columns that Azure decides, as a database takes them."""
    return {
        "name": found.name,
        "deleted_on": found.deleted_on,
        "scheduled_purge_on": found.scheduled_purge_on,
        "recovery_level": rows.plain(found.recovery_level)[:64],
        "recoverable_days": found.recoverable_days,
        "content_type": rows.plain(found.content_type)[:255],
        "tags": rows.storable_tags(found.tags),
        "enabled": found.enabled,
        "expires_on": found.expires_on,
        "managed": found.managed,
    }
