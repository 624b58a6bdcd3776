"""Role assignments and role definitions as Azure Resource Manager shows them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from kvadmin.emulator.roles import Assignment, Role
from kvadmin.emulator.state import Azure

DEFINITIONS = "/providers/Microsoft.Authorization/roleDefinitions/"


def assignments_at(azure: Azure, scope: str, *, below: bool) -> list[dict[str, Any]]:
    """All that apply at the lower-case scope: above and at it, and `below` it if that is asked for; by id."""
    found = [a for a in azure.assignments if a.covers(scope) or (below and a.scope.startswith(f"{scope}/"))]
    return [_assignment(azure, a, scope) for a in sorted(found, key=lambda a: a.id)]


def _assignment(azure: Azure, held: Assignment, scope: str) -> dict[str, Any]:
    name, at = str(UUID(held.id)), held.scope or "/"
    subscription = "/".join(scope.split("/")[:3])
    moment = held.created_on.strftime("%Y-%m-%dT%H:%M:%S.%f") + "1Z"  # Azure counts in tenths of microseconds
    return {
        "properties": {
            "roleDefinitionId": f"{subscription}{DEFINITIONS}{azure.assignments.roles[held.role_name].id}",
            "principalId": held.object_id,
            "principalType": held.principal_type,
            "scope": at,
            "condition": held.condition or None,
            "conditionVersion": "2.0" if held.condition else None,
            "createdOn": moment,
            "updatedOn": moment,
            "createdBy": None,
            "updatedBy": None,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{held.scope}/providers/Microsoft.Authorization/roleAssignments/{name}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": name,
    }


def definition(azure: Azure, role_id: str, scope: str) -> dict[str, Any] | None:
    """The role with this lower-case GUID, or None; `scope` is the subscription at which it was asked for."""
    for name, role in azure.assignments.roles.items():
        if role.id == role_id:
            return _definition(name, role, scope)
    return None


def _definition(name: str, role: Role, scope: str) -> dict[str, Any]:
    permission = {
        "actions": list(role.actions),
        "notActions": list(role.not_actions),
        "dataActions": list(role.data_actions),
        "notDataActions": list(role.not_data_actions),
    }
    return {
        "properties": {
            "roleName": name,
            "type": "CustomRole" if role.custom else "BuiltInRole",
            "description": "",
            "assignableScopes": [scope if role.custom else "/"],
            "permissions": [permission],
        },
        "id": f"{scope}{DEFINITIONS}{role.id}",
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    }
