"""Who can get at the values in a vault by Azure's own rights: from role assignments and access policies to rows. Pure.

Under either permission model only its own rights count for values: with Azure roles, access policies are not looked at;
with access policies, roles give no value. But whoever may write the vault there can add a policy for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kvadmin import actions as a
from kvadmin.gateway.access import RoleAssignment, RoleDefinition
from vaults.models import AzureAccess, Vault

Kind = AzureAccess.Kind
READ, BACK_UP = a.SECRET_REVEAL.data_action, a.SECRET_BACKUP.data_action
ASSIGN_ROLES = "Microsoft.Authorization/roleAssignments/write"
DEPLOY = "Microsoft.KeyVault/vaults/deploy/action"
WRITE_VAULT = ("Microsoft.KeyVault/vaults/write", "Microsoft.KeyVault/vaults/accessPolicies/write")
# Key Vault Data Access Administrator hands out Key Vault's data roles only, which an access-policy vault ignores.
DATA_ACCESS_ADMINISTRATOR = "8b54135c-b56d-4d72-a534-26097cfdc8d8"
_KINDS = {"User": Kind.PERSON, "Group": Kind.GROUP, "ForeignGroup": Kind.GROUP, "ServicePrincipal": Kind.APP}
_ALL = "all"


def by_roles(vault: Vault, found: Iterable[RoleAssignment], *, deployments: bool) -> list[AzureAccess]:
    """Those role assignments that matter for values. `deployments`: whether template deployments may take values."""
    rows = [_by_role(vault, one, deployments=deployments) for one in found if reaches(one.scope, vault)]
    return [row for row in rows if _matters(row)]


def _matters(row: AzureAccess) -> bool:
    return row.reads or row.backs_up or row.grants or row.deploys or not row.role_known


def reaches(scope: str, vault: Vault) -> bool:
    """Whether a lower-case scope holds the vault, or lies in it. Azure answers so already; a slip would name people."""
    outside_subscriptions = not scope.startswith("/subscriptions/")  # a management group or the tenant: Azure chose it
    inside = within(scope, vault)
    return outside_subscriptions or inside or scope == vault.resource_id or vault.resource_id.startswith(f"{scope}/")


def within(scope: str, vault: Vault) -> bool:
    """Whether the scope is a part of the vault, such as one secret."""
    return scope.startswith(f"{vault.resource_id}/")


def _by_role(vault: Vault, one: RoleAssignment, *, deployments: bool) -> AzureAccess:
    role = one.role
    at_vault = not within(one.scope, vault)
    return AzureAccess(
        vault=vault,
        by=AzureAccess.By.ROLE,
        principal_id=one.principal_id[:36],
        principal_kind=_KINDS.get(one.principal_type, Kind.UNKNOWN),
        reads=bool(role and vault.rbac and role.allows_data(READ)),
        backs_up=bool(role and vault.rbac and role.allows_data(BACK_UP)),
        grants=bool(role and _grants(role, rbac=vault.rbac, at_vault=at_vault)),
        deploys=bool(role and deployments and at_vault and role.allows(DEPLOY)),
        role_known=role is not None,
        role_id=one.role_id,
        role_name=role.name[:200] if role else "",
        custom=bool(role and role.custom),
        scope=one.scope[:600],
        assignment_id=one.id[:700],
        since=one.created_on,
        condition=one.condition,
    )


def _grants(role: RoleDefinition, *, rbac: bool, at_vault: bool) -> bool:
    """Whether its holder can give themselves the right to read values."""
    if rbac:
        return role.allows(ASSIGN_ROLES)
    if not at_vault:
        return False
    via_role = role.id != DATA_ACCESS_ADMINISTRATOR and role.allows(ASSIGN_ROLES)
    return via_role or any(role.allows(action) for action in WRITE_VAULT)


def by_policies(vault: Vault, policies: Iterable[Mapping[str, Any]], roles: Iterable[AzureAccess]) -> list[AzureAccess]:
    """The access policies that allow values: none while the vault uses roles. `policies` as VaultDetail keeps them.

    Azure tells no kind of identity with a policy; where it stands among `roles` too, it is known from there.
    """
    if vault.rbac:
        return []
    kinds = {row.principal_id: row.principal_kind for row in roles}
    rows = [_by_policy(vault, policy, kinds) for policy in policies]
    return [row for row in rows if row.reads or row.backs_up]


def _by_policy(vault: Vault, policy: Mapping[str, Any], kinds: Mapping[str, str]) -> AzureAccess:
    held = set(policy["secrets"])
    return AzureAccess(
        vault=vault,
        by=AzureAccess.By.POLICY,
        principal_id=policy["object_id"][:36],
        principal_kind=kinds.get(policy["object_id"], Kind.UNKNOWN),
        application_id=policy["application_id"][:36],
        reads=bool(held & {"get", _ALL}),
        backs_up=bool(held & {"backup", _ALL}),
        permissions=sorted(held),
    )


# --- In words --------------------------------------------------------------------------------------------------------
def scope_text(scope: str, vault: Vault) -> str:
    """A scope as a person reads it, seen from the vault."""
    if scope in ("", vault.resource_id):
        return "this vault"
    if within(scope, vault):
        return f"only {scope.removeprefix(vault.resource_id).strip('/').replace('secrets/', 'the secret ')}"
    parts = scope.strip("/").split("/")
    if parts[0] != "subscriptions":
        return f"management group {parts[-1]}" if parts[-1] else "the whole tenant"
    return f"subscription {vault.subscription or parts[1]}" if len(parts) == 2 else f"resource group {parts[-1]}"


def is_wide(scope: str) -> bool:
    """Whether it is a whole subscription, a management group or the tenant."""
    return scope != "" and (not scope.startswith("/subscriptions/") or scope.count("/") == 2)


def readers(rows: Sequence[AzureAccess]) -> list[AzureAccess]:
    """The rows by which values are read. One who may back up a secret may read it wherever they may restore it."""
    return [row for row in rows if row.reads or row.backs_up]


def grantors(rows: Sequence[AzureAccess]) -> list[AzureAccess]:
    return [row for row in rows if row.grants]
