"""Who can get at values, from Azure's role assignments and access policies. No database, no Azure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kvadmin.gateway.access import Permission, RoleAssignment, RoleDefinition
from vaults import exposure
from vaults.models import AzureAccess, Subscription, Vault

ANN, BOT = "0a11c0de-0000-4000-8000-00000000a001", "0a11c0de-0000-4000-8000-00000000b0b0"
GROUP = "/subscriptions/s1/resourcegroups/rg"
ID = f"{GROUP}/providers/microsoft.keyvault/vaults/pay"
SECRETS = "Microsoft.KeyVault/vaults/secrets/"
USER = Permission(data_actions=(f"{SECRETS}getSecret/action", f"{SECRETS}readMetadata/action"))
READER = Permission(actions=("*/read",), data_actions=("Microsoft.KeyVault/vaults/*/read",))
OWNER, CONTRIBUTOR = Permission(actions=("*",)), Permission(("*",), ("Microsoft.Authorization/*/Write",))
VAULT_CONTRIBUTOR = Permission(actions=("Microsoft.KeyVault/*",))
ACCESS_ADMIN = Permission(actions=("Microsoft.Authorization/*",))
POLICY_WRITER = Permission(actions=("Microsoft.KeyVault/vaults/accessPolicies/write",))


def vault(*, rbac: bool) -> Vault:
    return Vault(pk=1, name="pay", resource_id=ID, rbac=rbac, subscription=Subscription(name="Payments"))


def held(*permissions: Permission, role_id: str = "r", **fields: Any) -> RoleAssignment:
    role = RoleDefinition(role_id, "Own", permissions=permissions)
    found = {"id": "/a", "principal_id": ANN, "principal_type": "User", "scope": ID, "role_id": role_id, "role": role}
    return RoleAssignment(**{**found, **fields})


def powers(one: RoleAssignment, *, rbac: bool, deployments: bool = False) -> set[str]:
    rows = exposure.by_roles(vault(rbac=rbac), [one], deployments=deployments)
    return {name for row in rows for name in ("reads", "backs_up", "grants", "deploys") if getattr(row, name)}


@pytest.mark.parametrize(
    ("permission", "by_roles", "by_policies"),
    [
        (USER, {"reads"}, set()),
        (READER, set(), set()),
        (Permission(data_actions=(f"{SECRETS}*",)), {"reads", "backs_up"}, set()),
        (Permission(data_actions=(f"{SECRETS}backup/action",)), {"backs_up"}, set()),
        (Permission(data_actions=("*",), not_data_actions=(f"{SECRETS}getSecret/action",)), {"backs_up"}, set()),
        (OWNER, {"grants"}, {"grants"}),
        (ACCESS_ADMIN, {"grants"}, {"grants"}),
        (CONTRIBUTOR, set(), {"grants"}),
        (VAULT_CONTRIBUTOR, set(), {"grants"}),
        (POLICY_WRITER, set(), {"grants"}),
    ],
)
def test_what_a_role_gives_depends_on_the_vaults_permission_model(
    permission: Permission, by_roles: set[str], by_policies: set[str]
) -> None:
    assert (powers(held(permission), rbac=True), powers(held(permission), rbac=False)) == (by_roles, by_policies)


@pytest.mark.parametrize(("rbac", "found"), [(True, {"grants"}), (False, set())])
def test_who_hands_out_data_roles_only_gains_nothing_in_a_vault_of_policies(rbac: bool, found: set[str]) -> None:
    assign = Permission(actions=("Microsoft.Authorization/roleAssignments/write",))

    assert powers(held(assign, role_id=exposure.DATA_ACCESS_ADMINISTRATOR), rbac=rbac) == found


@pytest.mark.parametrize(("deployments", "found"), [(True, {"deploys"}), (False, set())])
def test_deployments_count_only_where_the_vault_is_open_to_them(deployments: bool, found: set[str]) -> None:
    assert powers(held(CONTRIBUTOR), rbac=True, deployments=deployments) == found


def test_a_role_at_one_secret_reads_it_and_writes_no_vault() -> None:
    at_secret = f"{ID}/secrets/db"

    assert powers(held(USER, scope=at_secret), rbac=True) == {"reads"}
    assert powers(held(OWNER, scope=at_secret), rbac=False, deployments=True) == set()


def test_a_role_that_nobody_explained_is_kept_as_such() -> None:
    (row,) = exposure.by_roles(vault(rbac=True), [held(role=None)], deployments=False)

    assert (row.role_known, row.reads, row.role_name) == (False, False, "")


def test_an_assignment_that_does_not_reach_the_vault_is_left_out() -> None:
    beside = [held(USER, scope=scope) for scope in (f"{ID}-2", "/subscriptions/s2", f"{GROUP}2")]

    assert exposure.by_roles(vault(rbac=True), beside, deployments=False) == []


@pytest.mark.parametrize(
    ("principal_type", "kind"),
    [("User", "person"), ("Group", "group"), ("ForeignGroup", "group"), ("ServicePrincipal", "app"), ("", "unknown")],
)
def test_an_identity_is_a_person_a_group_an_application_or_not_told(principal_type: str, kind: str) -> None:
    (row,) = exposure.by_roles(vault(rbac=True), [held(USER, principal_type=principal_type)], deployments=False)

    assert row.principal_kind == kind


def test_age_condition_and_scope_stay_with_the_right() -> None:
    since = datetime(2026, 1, 2, tzinfo=UTC)
    one = held(USER, scope=GROUP, created_on=since, condition="@Resource")
    (row,) = exposure.by_roles(vault(rbac=True), [one], deployments=False)

    assert (row.since, row.condition, row.scope, row.assignment_id) == (since, "@Resource", GROUP, "/a")


def policy(*secrets: str, object_id: str = ANN, application_id: str = "") -> dict[str, Any]:
    return {"object_id": object_id, "application_id": application_id, "secrets": list(secrets)}


@pytest.mark.parametrize(
    ("secrets", "found"),
    [
        (["get"], [(True, False)]),
        (["all"], [(True, True)]),
        (["backup", "list"], [(False, True)]),
        (["list", "set"], []),
        ([], []),
    ],
)
def test_a_policy_reads_by_get_or_by_all(secrets: list[str], found: list[tuple[bool, bool]]) -> None:
    rows = exposure.by_policies(vault(rbac=False), [policy(*secrets)], [])

    assert [(row.reads, row.backs_up) for row in rows] == found


def test_policies_count_for_nothing_while_the_vault_uses_roles() -> None:
    assert exposure.by_policies(vault(rbac=True), [policy("all")], []) == []


def test_the_kind_of_a_policys_identity_is_known_from_a_role_that_it_holds() -> None:
    role = AzureAccess(principal_id=ANN, principal_kind="group")
    rows = exposure.by_policies(vault(rbac=False), [policy("get"), policy("get", object_id=BOT)], [role])

    assert [row.principal_kind for row in rows] == ["group", "unknown"]


@pytest.mark.parametrize(
    ("scope", "text", "wide"),
    [
        ("", "this vault", False),
        (ID, "this vault", False),
        (f"{ID}/secrets/db", "only the secret db", False),
        (GROUP, "resource group rg", False),
        ("/subscriptions/s1", "subscription Payments", True),
        ("/providers/microsoft.management/managementgroups/root", "management group root", True),
        ("/", "the whole tenant", True),
    ],
)
def test_a_scope_is_told_in_words(scope: str, text: str, wide: bool) -> None:
    assert (exposure.scope_text(scope, vault(rbac=True)), exposure.is_wide(scope)) == (text, wide)
