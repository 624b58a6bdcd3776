"""What deny assignments keep from whom, as far as it is about getting at values in a vault. Pure.

Whether one holds for somebody depends on groups, whose members Azure does not list: so nobody is left out of those who
can read because of one. It stands beside them, as what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kvadmin.gateway.denials import EVERYBODY, DenyAssignment
from vaults import exposure
from vaults.models import AzureAccess, Vault

Kept = Mapping[str, Any]
# The powers of AzureAccess, and what is refused to whoever would have them.
WORDS = {
    "reads": "reading values",
    "backs_up": "backing up",
    "grants": "handing out the right to read",
    "deploys": "deploying with values",
}


def kept(vault: Vault, found: Iterable[DenyAssignment], *, deployments: bool) -> list[dict[str, Any]]:
    """Those that matter for values, as VaultDetail keeps them. `deployments`: as for role assignments."""
    rows = [_kept(vault, one, deployments=deployments) for one in found if _reaches(one, vault)]
    return sorted((row for row in rows if row["powers"]), key=lambda row: str(row["id"]))


def _reaches(one: DenyAssignment, vault: Vault) -> bool:
    return exposure.reaches(one.scope, vault) and (not one.only_there or one.scope == vault.resource_id)


def _kept(vault: Vault, one: DenyAssignment, *, deployments: bool) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "scope": one.scope,
        "only_there": one.only_there,
        "principals": [asdict(who) for who in one.principals],
        "excluded": [asdict(who) for who in one.excluded],
        "powers": _powers(vault, one, deployments=deployments),
    }


def _powers(vault: Vault, one: DenyAssignment, *, deployments: bool) -> list[str]:
    """Secrets lie below their vault. A vault with access policies asks nobody's roles for values, nor what denies."""
    values = vault.rbac and not one.only_there
    writes = (exposure.ASSIGN_ROLES,) if vault.rbac else (exposure.ASSIGN_ROLES, *exposure.WRITE_VAULT)
    denied = {
        "reads": values and one.denies_data(exposure.READ),
        "backs_up": values and one.denies_data(exposure.BACK_UP),
        "grants": any(one.denies(action) for action in writes),
        "deploys": deployments and one.denies(exposure.DEPLOY),
    }
    return [power for power in WORDS if denied[power]]


# --- In words --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Denial:
    """One deny assignment on the page. `who` is empty for everybody."""

    name: str
    who: list[str]
    excluded: list[str]
    what: str
    place: str
    only_there: bool


def told(vault: Vault, row: Kept, names: Mapping[str, str]) -> Denial:
    """With the names that are known for ids; a group says that it is one."""
    everybody = any(who["id"] == EVERYBODY for who in row["principals"])
    return Denial(
        name=row["name"],
        who=[] if everybody else [_named(who, names) for who in row["principals"]],
        excluded=[_named(who, names) for who in row["excluded"]],
        what=", ".join(WORDS[power] for power in row["powers"]),
        place=exposure.scope_text(row["scope"], vault),
        only_there=row["only_there"],
    )


def _named(who: Mapping[str, str], names: Mapping[str, str]) -> str:
    name = names.get(who["id"]) or who["id"]
    return f"{name} (group)" if "Group" in who["kind"] else name


def ids(rows: Iterable[Kept]) -> set[str]:
    """The ids of all identities that these name."""
    return {who["id"] for row in rows for who in [*row["principals"], *row["excluded"]]} - {EVERYBODY}


def may_hold_for(right: AzureAccess, rows: Iterable[Kept]) -> bool:
    """Whether one of them may refuse what this right gives: certainly not to whom it excludes by name."""
    return any(_may_hold(right, row) for row in rows if any(getattr(right, power) for power in row["powers"]))


def _may_hold(right: AzureAccess, row: Kept) -> bool:
    if right.principal_id in {who["id"] for who in row["excluded"]}:
        return False
    named = {who["id"] for who in row["principals"]} & {EVERYBODY, right.principal_id}
    groups = right.principal_kind == AzureAccess.Kind.GROUP or any("Group" in who["kind"] for who in row["principals"])
    return bool(named) or groups
