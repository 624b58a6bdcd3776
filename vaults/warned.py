"""Puts together what the rules of warnings.py look at, and keeps which of them ring, for the board."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from audit.models import OwnIdentity
from kvadmin import badges
from vaults.models import AzureAccess, Vault, VaultDetail, VaultWarning
from vaults.warnings import RANK, Advice, Seen, ring

logger = logging.getLogger(__name__)
# Of each identity: the vaults in which it reads, with their environments.
Places = Mapping[str, Mapping[int, str]]


def warnings_of(vault: Vault, detail: VaultDetail | None, access: list[AzureAccess]) -> list[Advice]:
    """The warnings of one vault, from what is stored; none where Azure Resource Manager does not show it."""
    if detail is None or not vault.resource_id:
        return []
    return ring(_seen(vault, detail, access, _places(_readers(access)), _own()))


@dataclass(frozen=True, slots=True)
class Rung:
    """How many warnings a vault has, as kept at the last look, and the level of the most serious; "": it has none."""

    count: int
    level: str

    @property
    def tone(self) -> str:
        return badges.find("warning", self.level).tone


def rung(vaults: Iterable[Vault]) -> dict[int, Rung]:
    """For those of these vaults that the rules could look at, by primary key. Two queries, whatever their number."""
    there = [vault.pk for vault in vaults if vault.resource_id and vault.vanished_at is None]
    levels: dict[int, list[str]] = {
        pk: [] for pk in VaultDetail.objects.filter(vault__in=there).values_list("vault", flat=True)
    }
    for pk, level in VaultWarning.objects.filter(vault__in=levels).order_by().values_list("vault", "level"):
        levels[pk].append(level)
    return {pk: Rung(len(found), min(found, key=RANK.__getitem__, default="")) for pk, found in levels.items()}


def _seen(vault: Vault, detail: VaultDetail, access: list[AzureAccess], places: Places, own: frozenset[str]) -> Seen:
    elsewhere = {
        who: frozenset(name for pk, name in places.get(who, {}).items() if pk != vault.pk) for who in _readers(access)
    }
    return Seen(vault, detail, access, elsewhere, own, settings.KVADMIN_CLIENT_ID)


def _readers(access: Iterable[AzureAccess]) -> set[str]:
    return {row.principal_id for row in access if row.reads}


def _places(readers: set[str] | None = None) -> Places:
    reading = AzureAccess.objects.filter(reads=True, vault__vanished_at=None)
    if readers is not None:
        reading = reading.filter(principal_id__in=readers)
    places: dict[str, dict[int, str]] = defaultdict(dict)
    for who, pk, environment in reading.order_by().values_list("principal_id", "vault", "vault__environment"):
        places[who][pk] = environment
    return places


def _own() -> frozenset[str]:
    return frozenset(OwnIdentity.objects.values_list("object_id", flat=True))


def renew() -> None:
    """Let the rules look at every vault, and keep what rings since when. Only what changed is written."""
    access: dict[int, list[AzureAccess]] = defaultdict(list)
    for row in AzureAccess.objects.filter(vault__vanished_at=None).order_by("pk"):
        access[row.vault_id].append(row)
    places, own, wanted = _places(), _own(), {}
    described = VaultDetail.objects.filter(vault__vanished_at=None).exclude(vault__resource_id="")
    for detail in described.select_related("vault__subscription"):
        pk = detail.vault_id
        for advice in _ring(_seen(detail.vault, detail, access[pk], places, own)):
            wanted[pk, advice.code] = advice
    _keep(wanted)


def _ring(seen: Seen) -> list[Advice]:
    try:
        return ring(seen)
    except Exception as error:  # noqa: BLE001 - a fault of our own at one vault must not end the whole sweep
        logger.error("warnings of %s: %s", seen.vault.name, type(error).__name__)
        return []


def _keep(wanted: dict[tuple[int, str], Advice]) -> None:
    known = {(row.vault_id, row.code): row for row in VaultWarning.objects.all()}
    now = timezone.now()
    new = [_with(VaultWarning(vault_id=key[0], since=now), one) for key, one in wanted.items() if key not in known]
    both = [(row, wanted[key]) for key, row in known.items() if key in wanted]
    changed = [_with(row, one) for row, one in both if (row.level, row.sentence) != (one.level, one.sentence)]
    with transaction.atomic():
        VaultWarning.objects.filter(pk__in=[row.pk for key, row in known.items() if key not in wanted]).delete()
        VaultWarning.objects.bulk_create(new)
        VaultWarning.objects.bulk_update(changed, ["level", "sentence"], batch_size=200)


def _with(row: VaultWarning, warning: Advice) -> VaultWarning:
    row.code, row.level, row.sentence = warning.code, warning.level, warning.sentence
    return row
