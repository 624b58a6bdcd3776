"""Which vaults there are: Azure Resource Manager's, and those that an administrator registered."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone

from kvadmin.gateway import arm
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import valid_name
from kvadmin.gateway.paging import SWEEP, Patience
from vaults import described
from vaults.models import Subscription, Vault
from vaults.rows import storable_tags

ENVIRONMENT_TAGS = ("environment", "env")  # in any casing; the first that is set counts


def discover(*, patience: Patience = SWEEP) -> tuple[list[Vault], list[str]]:
    """Store what ARM shows; returns the vaults to list, and in plain sentences what may be missing.

    A vault that ARM no longer shows is marked as vanished, but only when ARM answered in full.
    """
    names = _subscriptions(patience)
    answer = _vaults(patience)
    with transaction.atomic():
        _store(answer.found, names)
        described.describe({info.name.lower(): info.properties for info in answer.found}, timezone.now())
        if not answer.problems:
            _mark_vanished(info.name.lower() for info in answer.found)
    return list(Vault.objects.filter(vanished_at=None).order_by("name")), answer.problems


def environment_of(tags: dict[str, str]) -> str:
    """The environment that a vault's tags name, in lower case; "" when they name none."""
    lower = {tag.lower(): value.strip().lower() for tag, value in tags.items()}
    return next((lower[tag][:64] for tag in ENVIRONMENT_TAGS if lower.get(tag)), "")


def _subscriptions(patience: Patience) -> dict[str, str]:
    """Names are only for show: without them a subscription is called by its id."""
    try:
        return arm.list_subscriptions(patience=patience)
    except GatewayError:
        return {}


def _vaults(patience: Patience) -> arm.Vaults:
    try:
        return arm.list_vaults(patience=patience)
    except GatewayError as error:
        return arm.Vaults(problems=[f"Azure could not be asked which vaults there are. {error.lasting}"])


def _store(found: list[arm.VaultInfo], names: dict[str, str]) -> None:
    subscriptions = _store_subscriptions({info.subscription_id for info in found} | set(names), names)
    known = {vault.name: vault for vault in Vault.objects.all()}
    new = []
    for name, info in {info.name.lower(): info for info in found if valid_name(info.name)}.items():
        vault = known.get(name)
        facts = _facts(info, subscriptions[info.subscription_id], vault)
        if vault is None:
            new.append(Vault(name=name, **facts))
        elif changed := [field for field, fact in facts.items() if getattr(vault, field) != fact]:
            for field in changed:
                setattr(vault, field, facts[field])
            vault.save(update_fields=changed)
    Vault.objects.bulk_create(new)


def _store_subscriptions(ids: set[str], names: dict[str, str]) -> dict[str, Subscription]:
    known = {subscription.subscription_id: subscription for subscription in Subscription.objects.all()}
    for key in ids:
        name = names.get(key, "")[:200]
        if key not in known:
            known[key] = Subscription.objects.create(subscription_id=key, name=name)
        elif name and known[key].name != name:
            known[key].name = name
            known[key].save(update_fields=["name"])
    return known


def _facts(info: arm.VaultInfo, subscription: Subscription, known: Vault | None) -> dict[str, Any]:
    """The columns that ARM decides. An environment that an administrator gave stays while no tag says otherwise."""
    given = known.environment if known is not None and known.registered else ""
    tags = storable_tags(info.tags)
    return {
        "shown_name": info.name,
        "resource_id": info.resource_id,
        "uri": info.uri,
        "subscription_id": subscription.pk,
        "resource_group": info.resource_group,
        "location": info.location,
        "environment": environment_of(tags) or given,
        "tags": tags,
        "rbac": info.properties.rbac,
        "purge_protection": info.properties.purge_protection,
        "soft_delete_days": info.properties.soft_delete_days,
        "public_network": info.properties.public_network,
        "vanished_at": None,
    }


def _mark_vanished(found: Iterable[str]) -> None:
    names = set(found)
    shown = Vault.objects.filter(registered=False, vanished_at=None).values_list("pk", "name")
    gone = [pk for pk, name in shown if name not in names]
    Vault.objects.filter(pk__in=gone).update(vanished_at=timezone.now())
