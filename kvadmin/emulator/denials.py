"""Deny assignments, which keep somebody out in spite of a role: Azure makes them itself, for deployment stacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from kvadmin.emulator.identities import Identity
from kvadmin.emulator.roles import Role, contains

EVERYBODY = "00000000-0000-0000-0000-000000000000"
TYPES = {"person": "User", "group": "Group"}


@dataclass(frozen=True)
class Denial:
    """What `denied` names is refused to `principals`, or to everybody when there are none, but not to `excluded`.

    `scope` is a lower-case resource id. `only_there`: what lies below the scope is left alone.
    """

    name: str
    scope: str
    denied: Role
    principals: tuple[Identity, ...] = ()
    excluded: tuple[Identity, ...] = ()
    only_there: bool = False

    @property
    def id(self) -> str:
        """32 hex digits, as Azure's refusals spell it."""
        return uuid5(NAMESPACE_URL, f"deny|{self.name}|{self.scope}").hex

    def covers(self, resource_id: str) -> bool:
        """Whether it holds at `resource_id` (lower-case)."""
        return resource_id == self.scope or (not self.only_there and contains(self.scope, resource_id))

    def is_for(self, object_id: str, groups: Mapping[str, Iterable[str]]) -> bool:
        """Whether it holds for this identity; `groups` tells who is in which."""
        named, spared = ({one.object_id for one in some} for some in (self.principals, self.excluded))
        mine = {object_id, *(group for group, members in groups.items() if object_id in members)}
        return bool(not named or mine & named) and not mine & spared


def denying(
    denials: Iterable[Denial], groups: Mapping[str, Iterable[str]], object_id: str, action: str, resource_id: str
) -> Denial | None:
    """The one that refuses this data action, or None."""
    held = (one for one in denials if one.denied.allows_data(action) and one.covers(resource_id))
    return next((one for one in held if one.is_for(object_id, groups)), None)


def denials_at(denials: Iterable[Denial], scope: str) -> list[dict[str, Any]]:
    """All at, above and below the lower-case scope as Azure Resource Manager shows them, by id."""
    found = [one for one in denials if one.covers(scope) or one.scope.startswith(f"{scope}/")]
    return [_shown(one) for one in sorted(found, key=lambda one: one.id)]


def _shown(one: Denial) -> dict[str, Any]:
    name = str(UUID(one.id))
    everybody = [{"id": EVERYBODY, "type": "SystemDefined"}]
    return {
        "properties": {
            "denyAssignmentName": one.name,
            "description": None,
            "permissions": [
                {
                    "actions": list(one.denied.actions),
                    "notActions": list(one.denied.not_actions),
                    "dataActions": list(one.denied.data_actions),
                    "notDataActions": list(one.denied.not_data_actions),
                }
            ],
            "scope": one.scope or "/",
            "doNotApplyToChildScopes": one.only_there,
            "principals": [_principal(who) for who in one.principals] or everybody,
            "excludePrincipals": [_principal(who) for who in one.excluded],
            "isSystemProtected": True,
        },
        "id": f"{one.scope}/providers/Microsoft.Authorization/denyAssignments/{name}",
        "type": "Microsoft.Authorization/denyAssignments",
        "name": name,
    }


def _principal(who: Identity) -> dict[str, str]:
    return {"id": who.object_id, "type": TYPES.get(who.kind, "ServicePrincipal")}
