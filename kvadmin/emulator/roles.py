"""Azure's built-in roles, as far as vaults and logs are concerned, custom ones, and who holds them where."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import NAMESPACE_URL, uuid5

DATA_ACTION = "Microsoft.KeyVault/vaults/secrets/"
READ_METADATA = DATA_ACTION + "readMetadata/action"
GET = DATA_ACTION + "getSecret/action"
PURGE = DATA_ACTION + "purge/action"

# What a caller may do outside the vaults: see vaults, see every resource, query a workspace's tables.
SEE_VAULTS, SEE_EVERYTHING, QUERY_LOGS = "vaults", "everything", "logs"
READER = frozenset({SEE_VAULTS, SEE_EVERYTHING, QUERY_LOGS})
SEE_ROLES = "Microsoft.Authorization/roleAssignments/read"
SEE_DENIALS = "Microsoft.Authorization/denyAssignments/read"
MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"


@dataclass(frozen=True)
class Role:
    """What a role allows, in Azure's patterns, where `*` stands for any text and what "not" names is taken away.

    `rights` are those in Azure Resource Manager and Log Analytics that the emulator looks at.
    """

    id: str
    data_actions: tuple[str, ...] = ()
    rights: frozenset[str] = frozenset()
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()
    custom: bool = False

    def allows(self, action: str) -> bool:
        """Whether it allows an action of the control plane."""
        return _within(action, self.actions) and not _within(action, self.not_actions)

    def allows_data(self, action: str) -> bool:
        """Whether it allows an action on what vaults hold."""
        return _within(action, self.data_actions) and not _within(action, self.not_data_actions)


def _within(action: str, patterns: tuple[str, ...]) -> bool:
    return any(_pattern(pattern).fullmatch(action) for pattern in patterns)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE)


VAULTS_ONLY = frozenset({SEE_VAULTS})
_SEE_ROLES = "Microsoft.Authorization/*/read"
_CERTIFICATE_READ = ("Microsoft.KeyVault/vaults/certificates/read", "Microsoft.KeyVault/vaults/keys/read")
ROLES = {
    "Key Vault Administrator": Role(
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        ("Microsoft.KeyVault/vaults/*",),
        VAULTS_ONLY,
        (_SEE_ROLES, "Microsoft.KeyVault/vaults/*/read"),
    ),
    "Key Vault Secrets Officer": Role(
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        (DATA_ACTION + "*",),
        VAULTS_ONLY,
        (_SEE_ROLES, "Microsoft.KeyVault/vaults/*/read"),
    ),
    "Key Vault Secrets User": Role("4633458b-17de-408a-b874-0445c86b69e6", (GET, READ_METADATA)),
    "Key Vault Certificate User": Role(
        "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba", (*_CERTIFICATE_READ, GET, READ_METADATA)
    ),
    "Key Vault Reader": Role(
        "21090545-7ca7-4776-b22c-e363652d74d2",
        ("Microsoft.KeyVault/vaults/*/read", READ_METADATA),
        VAULTS_ONLY,
        (_SEE_ROLES, "Microsoft.KeyVault/vaults/*/read"),
    ),
    "Key Vault Purge Operator": Role("a68e7c17-0ab2-4c09-9a58-125dae29748c", (PURGE,), VAULTS_ONLY),
    "Key Vault Contributor": Role(
        "f25e0fa2-a7c8-4377-a976-54943a77a395",
        (),
        VAULTS_ONLY,
        (_SEE_ROLES, "Microsoft.KeyVault/*", "Microsoft.Resources/deployments/*"),
        (
            "Microsoft.KeyVault/locations/deletedVaults/purge/action",
            "Microsoft.KeyVault/hsmPools/*",
            "Microsoft.KeyVault/managedHsms/*",
        ),
    ),
    "Key Vault Data Access Administrator": Role(
        "8b54135c-b56d-4d72-a534-26097cfdc8d8",
        (),
        VAULTS_ONLY,
        (
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            _SEE_ROLES,
            "Microsoft.KeyVault/vaults/*/read",
        ),
    ),
    "Reader": Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", (), READER, ("*/read",)),
    "Contributor": Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        (),
        READER,
        ("*",),
        (
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ),
    ),
    "Owner": Role("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", (), READER, ("*",)),
    "User Access Administrator": Role(
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9", (), READER, ("*/read", "Microsoft.Authorization/*")
    ),
    "Monitoring Reader": Role("43d0d8ad-25c7-4714-9337-8ba259a9fe05", (), READER, ("*/read",)),
    "Log Analytics Reader": Role("73c42c96-874c-492b-b04d-ab87d138a893", (), READER, ("*/read",)),
    "Log Analytics Data Reader": Role("3b03c2da-16b3-4a49-8834-0f8130efdd3b", (), frozenset({QUERY_LOGS})),
}


@dataclass(frozen=True)
class Assignment:
    """A role held by `object_id` at `scope` (lower-case resource id, "" for everything) and below it.

    `principal_type` is Azure's word; `condition` is shown and not obeyed. There is one tree of management groups,
    and every subscription lies in every one of them.
    """

    object_id: str
    role_name: str
    scope: str
    principal_type: str = "ServicePrincipal"
    created_on: datetime = datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    condition: str = ""

    @property
    def id(self) -> str:
        """32 hex digits, as Azure's log and headers spell it."""
        return uuid5(NAMESPACE_URL, f"{self.object_id}|{self.role_name}|{self.scope}").hex

    def covers(self, resource_id: str) -> bool:
        """Whether `resource_id` (lower-case) is the scope or lies inside it."""
        return contains(self.scope, resource_id)


def contains(scope: str, resource_id: str) -> bool:
    """Whether the one is, or holds, the other; both in lower case."""
    if scope.startswith(MANAGEMENT_GROUP) and resource_id.startswith("/subscriptions/"):
        return True
    return resource_id == scope or resource_id.startswith(f"{scope}/")


class Assignments:
    """All role assignments of the cloud, and its roles by name: built-in ones, and custom ones that are added."""

    def __init__(self) -> None:
        self.roles = dict(ROLES)
        self._by_holder: dict[str, list[Assignment]] = defaultdict(list)

    def __iter__(self) -> Iterator[Assignment]:
        return (assignment for held in self._by_holder.values() for assignment in held)

    def add(self, assignment: Assignment) -> Assignment:
        """Assign; raises ValueError for a role that nobody defined."""
        if assignment.role_name not in self.roles:
            raise ValueError(f"{assignment.role_name!r} is not a role that the emulator knows.")
        self._by_holder[assignment.object_id].append(assignment)
        return assignment

    def remove(self, object_id: str) -> None:
        """End every assignment of this holder."""
        self._by_holder.pop(object_id, None)

    def data_action(self, object_id: str, action: str, resource_id: str) -> Assignment | None:
        """The assignment that allows the data action on the resource, or None."""
        return self._first(object_id, resource_id, lambda role: role.allows_data(action))

    def right(self, object_id: str, right: str, resource_id: str) -> bool:
        """Whether the holder has the right (SEE_VAULTS, SEE_EVERYTHING, QUERY_LOGS) at the resource."""
        return self._first(object_id, resource_id, lambda role: right in role.rights) is not None

    def action(self, object_id: str, action: str, resource_id: str) -> bool:
        """Whether the holder may do this in the control plane at the resource."""
        return self._first(object_id, resource_id, lambda role: role.allows(action)) is not None

    def touches(self, object_id: str, scope: str) -> bool:
        """Whether the holder has any role at, above or below `scope` (lower-case)."""
        return any(a.covers(scope) or a.scope.startswith(f"{scope}/") for a in self._by_holder.get(object_id, ()))

    def _first(self, object_id: str, resource_id: str, allows: Callable[[Role], bool]) -> Assignment | None:
        held = self._by_holder.get(object_id, ())
        return next((a for a in held if allows(self.roles[a.role_name]) and a.covers(resource_id)), None)
