"""What deny assignments keep from whom, as far as it is about values. No database, no Azure."""

from __future__ import annotations

from typing import Any

import pytest

from kvadmin.gateway.access import Permission
from kvadmin.gateway.denials import EVERYBODY, DenyAssignment, Principal
from tests.vaults.test_exposure import ANN, BOT, GROUP, ID, SECRETS, vault
from vaults import denials
from vaults.models import AzureAccess

TEAM = "0a11c0de-0000-4000-8000-00000000a0f0"
ALL, NO_ONE = (Principal(EVERYBODY, "SystemDefined"),), ()
GET = Permission(data_actions=(f"{SECRETS}getSecret/action",))
WRITE = Permission(actions=("*/write", "*/delete"))


def denial(*permissions: Permission, **fields: Any) -> DenyAssignment:
    facts = {"id": "/d", "name": "stack", "scope": ID, "principals": ALL, "excluded": NO_ONE, "only_there": False}
    return DenyAssignment(**{**facts, "permissions": permissions, **fields})


def powers(one: DenyAssignment, *, rbac: bool, deployments: bool = False) -> list[str]:
    rows = denials.kept(vault(rbac=rbac), [one], deployments=deployments)
    return [power for row in rows for power in row["powers"]]


@pytest.mark.parametrize(
    ("permission", "by_roles", "by_policies"),
    [
        (GET, ["reads"], []),
        (Permission(data_actions=("*",)), ["reads", "backs_up"], []),
        (Permission(data_actions=("*",), not_data_actions=(f"{SECRETS}getSecret/action",)), ["backs_up"], []),
        (WRITE, ["grants"], ["grants"]),
        (Permission(actions=("Microsoft.KeyVault/vaults/write",)), [], ["grants"]),
        (Permission(actions=("*/delete",)), [], []),
    ],
)
def test_what_is_refused_depends_on_the_vaults_permission_model(
    permission: Permission, by_roles: list[str], by_policies: list[str]
) -> None:
    one = denial(permission)
    assert (powers(one, rbac=True), powers(one, rbac=False)) == (by_roles, by_policies)


def test_deployments_count_where_they_may_take_values() -> None:
    one = denial(Permission(actions=("Microsoft.KeyVault/vaults/deploy/action",)))
    assert [powers(one, rbac=True, deployments=may) for may in (True, False)] == [["deploys"], []]


@pytest.mark.parametrize(
    ("scope", "expected"),
    [(ID, ["grants"]), (GROUP, []), ("/subscriptions/s1", []), ("/", [])],
)
def test_one_that_does_not_reach_below_its_scope_keeps_nobody_from_a_secret(scope: str, expected: list[str]) -> None:
    one = denial(GET, WRITE, scope=scope, only_there=True)
    assert powers(one, rbac=True) == expected


@pytest.mark.parametrize(("scope", "count"), [(GROUP, 1), (f"{ID}/secrets/db", 1), (f"{ID}-2", 0), ("/", 1)])
def test_only_what_reaches_the_vault_counts(scope: str, count: int) -> None:
    assert len(denials.kept(vault(rbac=True), [denial(GET, scope=scope)], deployments=False)) == count


def right(principal_id: str = ANN, kind: str = "person", **fields: Any) -> AzureAccess:
    return AzureAccess(principal_id=principal_id, principal_kind=kind, **{"reads": True, **fields})


@pytest.mark.parametrize(
    ("principals", "excluded", "who", "expected"),
    [
        (ALL, NO_ONE, right(), True),
        (ALL, (Principal(ANN, "User"),), right(), False),
        (ALL, (Principal(TEAM, "Group"),), right(), True),
        ((Principal(ANN, "User"),), NO_ONE, right(), True),
        ((Principal(BOT, "ServicePrincipal"),), NO_ONE, right(), False),
        ((Principal(TEAM, "Group"),), NO_ONE, right(), True),
        ((Principal(ANN, "User"),), NO_ONE, right(TEAM, "group"), True),
        (ALL, NO_ONE, right(reads=False, grants=True), False),
    ],
)
def test_for_whom_one_may_hold(
    principals: tuple[Principal, ...], excluded: tuple[Principal, ...], who: AzureAccess, expected: bool
) -> None:
    """Nobody knows who is in a group, so a group may be anybody's."""
    rows = denials.kept(vault(rbac=True), [denial(GET, principals=principals, excluded=excluded)], deployments=False)
    assert denials.may_hold_for(who, rows) is expected


def test_it_is_told_in_words() -> None:
    one = denial(GET, WRITE, principals=(Principal(ANN, "User"), Principal(TEAM, "Group")), scope=GROUP)
    (row,) = denials.kept(vault(rbac=True), [one], deployments=False)
    told = denials.told(vault(rbac=True), row, {ANN: "Ann Example"})

    assert told.who == ["Ann Example", f"{TEAM} (group)"]
    assert (told.what, told.place) == ("reading values, handing out the right to read", "resource group rg")
    assert denials.ids([row]) == {ANN, TEAM}
