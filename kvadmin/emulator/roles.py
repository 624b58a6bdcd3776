"""Azure's built-in roles, as far as secrets, vaults and logs are concerned, and who holds them where."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

DATA_ACTION = "Microsoft.KeyVault/vaults/secrets/"
READ_METADATA = DATA_ACTION + "readMetadata/action"
GET = DATA_ACTION + "getSecret/action"
PURGE = DATA_ACTION + "purge/action"
EVERY_DATA_ACTION = frozenset(
    {READ_METADATA, GET, PURGE, DATA_ACTION + "delete"}
    | {f"{DATA_ACTION}{verb}/action" for verb in ("setSecret", "update", "backup", "restore", "recover")}
)

# What a caller may do outside the vaults: see vaults, see every resource, query a workspace's tables.
SEE_VAULTS, SEE_EVERYTHING, QUERY_LOGS = "vaults", "everything", "logs"
READER = frozenset({SEE_VAULTS, SEE_EVERYTHING, QUERY_LOGS})


@dataclass(frozen=True)
class Role:
    """What a role allows: data actions on secrets, and rights in Azure Resource Manager and Log Analytics."""

    data_actions: frozenset[str] = frozenset()
    rights: frozenset[str] = frozenset()


VAULTS_ONLY = frozenset({SEE_VAULTS})
ROLES = {
    "Key Vault Administrator": Role(EVERY_DATA_ACTION, VAULTS_ONLY),
    "Key Vault Secrets Officer": Role(EVERY_DATA_ACTION, VAULTS_ONLY),
    "Key Vault Secrets User": Role(frozenset({GET, READ_METADATA})),
    "Key Vault Certificate User": Role(frozenset({GET, READ_METADATA})),
    "Key Vault Reader": Role(frozenset({READ_METADATA}), VAULTS_ONLY),
    "Key Vault Purge Operator": Role(frozenset({PURGE}), VAULTS_ONLY),
    "Key Vault Contributor": Role(frozenset(), VAULTS_ONLY),
    "Reader": Role(frozenset(), READER),
    "Contributor": Role(frozenset(), READER),
    "Owner": Role(frozenset(), READER),
    "Monitoring Reader": Role(frozenset(), READER),
    "Log Analytics Reader": Role(frozenset(), READER),
    "Log Analytics Data Reader": Role(frozenset(), frozenset({QUERY_LOGS})),
}


@dataclass(frozen=True)
class Assignment:
    """A role held by `object_id` at `scope` (lower-case resource id, "" for everything) and below it."""

    object_id: str
    role_name: str
    scope: str

    @property
    def id(self) -> str:
        """32 hex digits, as Azure's log and headers spell it."""
        return uuid5(NAMESPACE_URL, f"{self.object_id}|{self.role_name}|{self.scope}").hex

    def covers(self, resource_id: str) -> bool:
        """Whether `resource_id` (lower-case) is the scope or lies inside it."""
        return resource_id == self.scope or resource_id.startswith(f"{self.scope}/")


class Assignments:
    """All role assignments of the cloud."""

    def __init__(self) -> None:
        self._by_holder: dict[str, list[Assignment]] = defaultdict(list)

    def add(self, object_id: str, role_name: str, scope: str) -> Assignment:
        """Assign; raises ValueError for a role that is not in ROLES."""
        if role_name not in ROLES:
            raise ValueError(f"{role_name!r} is not a role that the emulator knows.")
        assignment = Assignment(object_id, role_name, scope.lower().rstrip("/"))
        self._by_holder[object_id].append(assignment)
        return assignment

    def remove(self, object_id: str) -> None:
        """End every assignment of this holder."""
        self._by_holder.pop(object_id, None)

    def data_action(self, object_id: str, action: str, resource_id: str) -> Assignment | None:
        """The assignment that allows the data action on the resource, or None."""
        return self._first(object_id, resource_id, lambda role: action in role.data_actions)

    def right(self, object_id: str, right: str, resource_id: str) -> bool:
        """Whether the holder has the right (SEE_VAULTS, SEE_EVERYTHING, QUERY_LOGS) at the resource."""
        return self._first(object_id, resource_id, lambda role: right in role.rights) is not None

    def touches(self, object_id: str, scope: str) -> bool:
        """Whether the holder has any role at, above or below `scope` (lower-case)."""
        return any(a.covers(scope) or a.scope.startswith(f"{scope}/") for a in self._by_holder.get(object_id, ()))

    def _first(self, object_id: str, resource_id: str, allows: Callable[[Role], bool]) -> Assignment | None:
        held = self._by_holder.get(object_id, ())
        return next((a for a in held if allows(ROLES[a.role_name]) and a.covers(resource_id)), None)
