"""Keeps what Azure says of each vault's set-up and of who can get at its values: by the sweep, or when asked anew."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone

from kvadmin.gateway import arm
from kvadmin.gateway.access import Roles, list_role_assignments
from kvadmin.gateway.denials import list_deny_assignments
from kvadmin.gateway.diagnostics import Diagnostics
from kvadmin.gateway.errors import Denied, GatewayError, error_for
from kvadmin.gateway.own import own_object_id
from kvadmin.gateway.paging import AT_ONCE, SWEEP, Patience
from kvadmin.gateway.properties import Properties
from vaults import denials, environments, exposure
from vaults.models import AccessState, AzureAccess, Secret, Vault, VaultDetail

logger = logging.getLogger(__name__)
# Role assignments change seldom, and one call for each vault is dear: a sweep looks at those that are this old.
LOOK_AGAIN = timedelta(minutes=50)
LOST = (OperationalError, InterfaceError)  # the database is away: no vault's fault
LOOK_SECONDS = 300.0  # of one sweep: Azure may throttle, and the sweep has to come to an end
AT_A_TIME = 40  # vaults whose answers may be in memory at once
_FACTS = (
    "vault_id", "by", "principal_id", "principal_kind", "application_id", "own", "reads", "backs_up", "grants",
    "deploys", "role_known", "role_id", "role_name", "custom", "scope", "assignment_id", "permissions", "since",
    "condition",
)  # fmt: skip
_LOOK = ["access_state", "access_note", "access_at", "denials", "looked_at", "named_environments"]


# --- Properties ------------------------------------------------------------------------------------------------------
def describe(found: dict[str, Properties], now: datetime) -> None:
    """Store the properties of these vaults, by their names in lower case; only what differs is written.

    Where something differs, who can get at values may differ too: the next look is due at once.
    """
    new, changed = [], []
    for vault in Vault.objects.filter(name__in=found).select_related("detail"):
        facts = _facts(found[vault.name])
        detail = getattr(vault, "detail", None)
        if detail is None:
            new.append(VaultDetail(vault=vault, **facts))
        elif any(getattr(detail, name) != fact for name, fact in facts.items()):
            changed.append(_with(detail, {**facts, "looked_at": None}))
    VaultDetail.objects.bulk_create(new)
    VaultDetail.objects.bulk_update(changed, [*_facts(Properties()), "looked_at"], batch_size=100)
    VaultDetail.objects.filter(vault__name__in=found).update(described_at=now)


def _facts(properties: Properties) -> dict[str, Any]:
    return {
        "rbac": properties.rbac,
        "sku": properties.sku[:20],
        "soft_delete": properties.soft_delete,
        "default_action": properties.default_action[:10],
        "trusted_services": properties.trusted_services,
        "ip_rules": list(properties.ip_rules),
        "subnets": list(properties.subnets),
        "private_endpoints": [asdict(endpoint) for endpoint in properties.private_endpoints],
        "template_deployment": properties.template_deployment,
        "policies": [{**asdict(policy), "secrets": list(policy.secrets)} for policy in properties.policies],
    }


def _with(detail: VaultDetail, facts: dict[str, Any]) -> VaultDetail:
    for name, fact in facts.items():
        setattr(detail, name, fact)
    return detail


def keep_settings(vault: Vault, found: Diagnostics, now: datetime) -> None:
    """Store the vault's diagnostic settings; when they could not be read, what was known stays."""
    if found.state == "unreadable" and not found.settings:
        return
    settings = [{**asdict(setting), "categories": list(setting.categories)} for setting in found.settings]
    VaultDetail.objects.filter(vault=vault).update(settings=settings, settings_at=now)


@dataclass(frozen=True, slots=True)
class Answer:
    """What Azure says of one vault: rights that lead to values, and what denies them; None where it does not say."""

    rows: list[AzureAccess]
    denials: list[dict[str, Any]] | None


# --- Who can get at values -------------------------------------------------------------------------------------------
def look_at_due(vaults: Iterable[Vault], pool: Executor, began: datetime, patience: Patience) -> None:
    """Look at those vaults that Azure described since `began`, and whose last look is old enough, the oldest first.

    Threads only ask Azure. What fails is told per vault; whatever time does not suffice for is the next sweep's.
    """
    due, deadline = _due(vaults, began), time.monotonic() + LOOK_SECONDS
    known: Roles = {}
    own = own_object_id() if due else ""
    for start in range(0, len(due), AT_A_TIME):
        if time.monotonic() > deadline:
            return
        some = due[start : start + AT_A_TIME]
        for detail, answer in pool.map(lambda one: (one, _ask(one, known, patience)), some):
            _keep(detail, answer, own)


def _keep(detail: VaultDetail, answer: Answer | GatewayError, own: str) -> None:
    try:
        _store(detail, answer, own)
    except LOST:
        raise
    except Exception as error:  # noqa: BLE001 - what cannot be stored of one vault must not end the whole sweep
        logger.error("role assignments of %s: %s", detail.vault.name, type(error).__name__)


def _due(vaults: Iterable[Vault], began: datetime) -> list[VaultDetail]:
    fresh = VaultDetail.objects.filter(vault__in=[vault.pk for vault in vaults], described_at__gte=began)
    old = Q(looked_at=None) | Q(looked_at__lt=timezone.now() - LOOK_AGAIN)
    return list(fresh.filter(old).select_related("vault").order_by(F("looked_at").asc(nulls_first=True), "pk"))


def look(vault: Vault) -> VaultDetail | None:
    """Ask Azure about one vault here and now: its properties, then who can get at its values. None: not in ARM.

    Raises:
        GatewayError: Azure did not describe the vault. That role assignments cannot be read is a state, and no error.
    """
    if not vault.resource_id:
        return None
    found = arm.get_vault(vault.resource_id, patience=AT_ONCE).properties
    with transaction.atomic():
        vault.rbac, vault.purge_protection = found.rbac, found.purge_protection
        vault.soft_delete_days, vault.public_network = found.soft_delete_days, found.public_network
        vault.save(update_fields=["rbac", "purge_protection", "soft_delete_days", "public_network"])
        describe({vault.name: found}, timezone.now())
    detail = VaultDetail.objects.select_related("vault").get(vault=vault)
    _store(detail, _ask(detail, {}, AT_ONCE), own_object_id())
    return detail


def _ask(detail: VaultDetail, known: Roles, patience: Patience = SWEEP) -> Answer | GatewayError:
    vault = detail.vault
    try:
        found = list_role_assignments(vault.resource_id, known=known, patience=patience)
        roles = exposure.by_roles(vault, found, deployments=detail.template_deployment)
        return Answer([*roles, *exposure.by_policies(vault, detail.policies, roles)], _denials(detail, patience))
    except GatewayError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a fault of our own in one vault must not end the whole sweep
        logger.error("role assignments of %s: %s", vault.name, type(error).__name__)
        return error_for("bad-answer")


def _denials(detail: VaultDetail, patience: Patience) -> list[dict[str, Any]] | None:
    """What may keep somebody out in spite of a right; None where Azure does not tell, which is not "nothing"."""
    vault = detail.vault
    try:
        found = list_deny_assignments(vault.resource_id, patience=patience)
    except GatewayError:
        return None
    return denials.kept(vault, found, deployments=detail.template_deployment)


def _store(detail: VaultDetail, answer: Answer | GatewayError, own: str) -> None:
    """After a failure what was known stays, as of its own time; access policies are known from the properties."""
    now = timezone.now()
    detail.looked_at, detail.access_note = now, ""
    if isinstance(answer, GatewayError):
        detail.access_state = AccessState.DENIED if isinstance(answer, Denied) else AccessState.FAILED
        detail.access_note = answer.lasting[:300]
        kept = list(AzureAccess.objects.filter(vault=detail.vault, by=AzureAccess.By.ROLE))
        rows = [*kept, *exposure.by_policies(detail.vault, detail.policies, kept)]
    else:
        detail.access_state, detail.access_at = AccessState.OK, now
        rows, detail.denials = answer.rows, answer.denials
    for row in rows:
        row.own = row.principal_id == own
    detail.named_environments = _twins(detail.vault)
    with transaction.atomic():
        _replace(detail.vault, rows)
        detail.save(update_fields=_LOOK)


def _replace(vault: Vault, rows: list[AzureAccess]) -> None:
    before = AzureAccess.objects.filter(vault=vault)
    if sorted(map(_key, before)) == sorted(map(_key, rows)):
        return
    before.delete()
    for row in rows:
        row.pk = None
    AzureAccess.objects.bulk_create(rows)


def _key(row: AzureAccess) -> list[str]:
    return [str(getattr(row, name)) for name in _FACTS]  # a choice and its word as a column are the same text


def _twins(vault: Vault) -> dict[str, int]:
    live = Secret.objects.filter(vault=vault, vanished_at=None, managed=False)
    return environments.twins(live.values_list("key", flat=True).iterator())
