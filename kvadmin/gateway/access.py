"""Who may do what with a vault by Azure's own roles: assignments of every scope that reaches it, and what roles allow.

Azure lists neither what somebody could activate for a while (Privileged Identity Management) nor a group's members.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from kvadmin.gateway.classify import Need, call
from kvadmin.gateway.errors import Denied, NotFound, error_for
from kvadmin.gateway.paging import SWEEP, Patience
from kvadmin.gateway.resources import one, pages, resource_path

# The first version that tells of conditions.
AUTHORIZATION_API = "2022-04-01"
# Both Key Vault Reader and Reader hold Microsoft.Authorization/*/read; the former is the smaller one.
ROLES_READER = Need("Key Vault Reader")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Permission:
    """One entry of a role definition, in Azure's patterns: `*` stands for any text. What "not" names is taken away."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role of Azure's, or a custom one, by its GUID."""

    id: str
    name: str
    custom: bool = False
    permissions: tuple[Permission, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether it allows an action of the control plane, such as Microsoft.KeyVault/vaults/write."""
        return names(self.permissions, action)

    def allows_data(self, action: str) -> bool:
        """Whether it allows an action on what vaults hold, such as .../secrets/getSecret/action."""
        return names_data(self.permissions, action)


def names(permissions: tuple[Permission, ...], action: str) -> bool:
    """Whether an action of the control plane is among these."""
    return any(_within(action, p.actions) and not _within(action, p.not_actions) for p in permissions)


def names_data(permissions: tuple[Permission, ...], action: str) -> bool:
    """Whether an action on what vaults hold is among these."""
    return any(_within(action, p.data_actions) and not _within(action, p.not_data_actions) for p in permissions)


def _within(action: str, patterns: tuple[str, ...]) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """A role that an identity holds at `scope`: an ARM id in lower case, "/" for the whole tenant.

    `principal_type` is Azure's word (User, Group, ServicePrincipal, ForeignGroup, Device), "" where it has none.
    `role` is None when Azure would not say what the role allows: then nobody knows whether it reads values.
    """

    id: str
    principal_id: str
    principal_type: str
    scope: str
    role_id: str
    role: RoleDefinition | None
    created_on: datetime | None = None
    condition: str = ""


Roles = dict[str, RoleDefinition | None]  # by GUID


def list_role_assignments(
    vault_resource_id: str, *, known: Roles | None = None, patience: Patience = SWEEP
) -> list[RoleAssignment]:
    """Every role assignment that reaches the vault: at it, above it up to the tenant, and below it at one secret.

    `known` keeps role definitions for the next vault: hand the same one in again.

    Raises:
        Denied: kvadmin's identity may not read role assignments there. Never taken for "there are none".
        GatewayError: Azure could not be asked.
    """
    known = {} if known is None else known
    # Without a filter Azure gives what lies at, above and below; atScope() would leave out the single secrets.
    path = f"{resource_path(vault_resource_id)}/providers/Microsoft.Authorization/roleAssignments"
    found = pages(f"{path}?api-version={AUTHORIZATION_API}", patience, ROLES_READER)
    items = [item for page in found for item in page]
    return [_assignment(item, vault_resource_id, known, patience) for item in items]


def _assignment(item: dict[str, Any], vault_resource_id: str, known: Roles, patience: Patience) -> RoleAssignment:
    found = call(lambda: _read(item))
    return replace(found, role=_definition(found.role_id, vault_resource_id, known, patience))


def _read(item: dict[str, Any]) -> RoleAssignment:
    properties = item["properties"]
    return RoleAssignment(
        id=item["id"],
        principal_id=properties["principalId"].lower(),
        principal_type=properties.get("principalType") or "",
        scope=properties["scope"].lower().rstrip("/") or "/",
        role_id=properties["roleDefinitionId"].lower().rpartition("/")[2],
        role=None,
        created_on=_moment(properties.get("createdOn")),
        condition=properties.get("condition") or "",
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _definition(role_id: str, vault_resource_id: str, known: Roles, patience: Patience) -> RoleDefinition | None:
    if not _GUID.fullmatch(role_id):
        raise error_for("bad-answer", status=200)
    if role_id not in known:
        known[role_id] = _read_definition(role_id, vault_resource_id, patience)
    return known[role_id]


def _read_definition(role_id: str, vault_resource_id: str, patience: Patience) -> RoleDefinition | None:
    """Asked for at the vault's subscription, where built-in roles and every custom one that may be held there are."""
    subscription = "/".join(resource_path(vault_resource_id).split("/")[:3])
    path = f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role_id}"
    try:
        body = one(f"{path}?api-version={AUTHORIZATION_API}", patience, ROLES_READER)
    except (Denied, NotFound):
        return None
    return call(lambda: _read_role(role_id, body["properties"]))


def _read_role(role_id: str, properties: dict[str, Any]) -> RoleDefinition:
    return RoleDefinition(
        id=role_id,
        name=properties["roleName"],
        custom=properties.get("type") == "CustomRole",
        permissions=tuple(permission(item) for item in properties["permissions"]),
    )


def permission(item: dict[str, Any]) -> Permission:
    """One entry as Azure spells it."""
    return Permission(
        actions=tuple(item.get("actions") or ()),
        not_actions=tuple(item.get("notActions") or ()),
        data_actions=tuple(item.get("dataActions") or ()),
        not_data_actions=tuple(item.get("notDataActions") or ()),
    )
