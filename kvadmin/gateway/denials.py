"""Deny assignments: they keep somebody out in spite of a role. Azure makes them, for deployment stacks mostly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvadmin.gateway.access import AUTHORIZATION_API, ROLES_READER, Permission, names, names_data, permission
from kvadmin.gateway.classify import call
from kvadmin.gateway.paging import SWEEP, Patience
from kvadmin.gateway.resources import pages, resource_path

# "If the principal ID is a zero GUID and the principal type is SystemDefined, the principal represents all principals."
# ("List Azure deny assignments"; https://learn.microsoft.com/azure/role-based-access-control/deny-assignments)
EVERYBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity, or EVERYBODY. `kind` is Azure's word, such as User or Group."""

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class DenyAssignment:
    """What `permissions` name is refused to the `principals`, but not to the `excluded`, at `scope` and below it.

    The scope is an ARM id in lower case, "/" for the whole tenant. `only_there`: not below it.
    """

    id: str
    name: str
    scope: str
    principals: tuple[Principal, ...]
    excluded: tuple[Principal, ...]
    only_there: bool
    permissions: tuple[Permission, ...]

    def denies(self, action: str) -> bool:
        """Whether it refuses an action of the control plane."""
        return names(self.permissions, action)

    def denies_data(self, action: str) -> bool:
        """Whether it refuses an action on what vaults hold."""
        return names_data(self.permissions, action)


def list_deny_assignments(vault_resource_id: str, *, patience: Patience = SWEEP) -> list[DenyAssignment]:
    """Every deny assignment at, above and below the vault.

    Raises:
        Denied: kvadmin's identity may not read them. Never taken for "there are none".
        GatewayError: Azure could not be asked.
    """
    path = f"{resource_path(vault_resource_id)}/providers/Microsoft.Authorization/denyAssignments"
    found = pages(f"{path}?api-version={AUTHORIZATION_API}", patience, ROLES_READER)
    items = [item for page in found for item in page]
    return call(lambda: [_read(item) for item in items])


def _read(item: dict[str, Any]) -> DenyAssignment:
    properties = item["properties"]
    return DenyAssignment(
        id=item["id"],
        name=properties.get("denyAssignmentName") or item["name"],
        scope=properties["scope"].lower().rstrip("/") or "/",
        principals=_principals(properties["principals"]),
        excluded=_principals(properties.get("excludePrincipals") or ()),
        only_there=properties.get("doNotApplyToChildScopes") is True,
        permissions=tuple(permission(one) for one in properties["permissions"]),
    )


def _principals(items: Any) -> tuple[Principal, ...]:
    return tuple(Principal(one["id"].lower(), one.get("type") or "") for one in items)
