from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.roles import Assignment, Role
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway.access import (
    Permission,
    RoleAssignment,
    RoleDefinition,
    Roles,
    list_role_assignments,
)
from kvadmin.gateway.errors import BadAnswer, Denied, NotFound, Refused, ServerError
from kvadmin.gateway.paging import AT_ONCE
from tests.gateway.canned import error_body
from tests.gateway.conftest import SUBSCRIPTION

ANN = Identity("person", "0a11c0de-0000-4000-8000-00000000a001", "app", "ann@example.org")
TEAM = Identity("group", "0a11c0de-0000-4000-8000-00000000a0f0", "")
CUSTOM = "0a11c0de-0000-4000-8000-00000000c0de"
SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
GET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
GROUP = "/providers/Microsoft.Management/managementGroups/fernhill"


def held_by(vault: Vault, who: Identity) -> list[RoleAssignment]:
    return [one for one in list_role_assignments(vault.resource_id) if one.principal_id == who.object_id]


def definition(*permissions: Permission) -> RoleDefinition:
    return RoleDefinition(CUSTOM, "Own", custom=True, permissions=permissions)


def test_an_assignment_is_told_with_its_role_its_scope_and_its_age(azure: Azure, vault: Vault):
    since = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    azure.grant(ANN, "Key Vault Secrets User", vault.resource_id, since=since, condition="@Resource[x]")

    (found,) = held_by(vault, ANN)

    assert (found.principal_type, found.scope, found.created_on) == ("User", vault.resource_id.lower(), since)
    assert (found.condition, found.role_id) == ("@Resource[x]", SECRETS_USER)
    assert found.role is not None
    assert (found.role.name, found.role.custom, found.role.allows_data(GET)) == ("Key Vault Secrets User", False, True)


@pytest.mark.parametrize("scope", ["/", GROUP, f"/subscriptions/{SUBSCRIPTION}", "{group}", "{vault}", "{secret}"])
def test_every_scope_that_reaches_the_vault_counts(azure: Azure, vault: Vault, scope: str):
    places = {"vault": vault.resource_id, "group": vault.resource_id.partition("/providers")[0]}
    at = scope.format(**places, secret=f"{vault.resource_id}/secrets/db-password")
    azure.grant(TEAM, "Key Vault Secrets User", at)

    assert [(one.scope, one.principal_type) for one in held_by(vault, TEAM)] == [(at.lower(), "Group")]


def test_a_role_at_a_neighbour_whose_name_begins_alike_does_not_count(azure: Azure, vault: Vault):
    azure.grant(ANN, "Key Vault Secrets User", f"{vault.resource_id}-2")

    assert held_by(vault, ANN) == []


def test_assignments_are_read_to_their_last_page(azure: Azure, vault: Vault):
    before = len(list_role_assignments(vault.resource_id))
    for number in range(250):
        azure.assignments.add(Assignment(f"{number:032}", "Reader", f"/subscriptions/{SUBSCRIPTION}"))

    assert len(list_role_assignments(vault.resource_id)) == before + 250


def test_roles_are_asked_for_once_however_many_vaults_there_are(azure: Azure, vault: Vault):
    known: Roles = {}
    before = list_role_assignments(vault.resource_id, known=known)
    azure.faults.set(ARM, Fault("server", operations=frozenset({"RoleDefinition"})))

    assert list_role_assignments(vault.resource_id, known=known, patience=AT_ONCE) == before


def test_who_may_not_read_assignments_gets_an_error_and_no_empty_list(azure: Azure, vault: Vault):
    azure.revoke(KVADMIN)

    with pytest.raises(Denied) as caught:
        list_role_assignments(vault.resource_id)

    assert caught.value.advice.startswith("Give kvadmin's identity the role Key Vault Reader there.")


def test_a_role_that_azure_does_not_explain_is_none_and_its_holder_is_not_left_out(scripted: Any):
    def answer(request: Request) -> Response:
        if "roleDefinitions" in request.path:
            return json_response(404, error_body("RoleDefinitionDoesNotExist"))
        return json_response(200, {"value": [assignment()]})

    scripted(answer)

    (found,) = list_role_assignments(VAULT_ID)

    assert (found.principal_id, found.principal_type, found.role) == (ANN.object_id, "", None)


def test_a_role_is_asked_for_at_the_subscription_whatever_its_id_says(scripted: Any):
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.path)
        one = assignment(roleDefinitionId=f"/elsewhere/../{CUSTOM}")
        return json_response(200, {"value": [one]}) if "roleAssignments" in request.path else json_response(404, {})

    scripted(answer)
    with pytest.raises(BadAnswer):  # an answer of 404 without an error in it says nothing about the role
        list_role_assignments(VAULT_ID, patience=AT_ONCE)

    assert asked[1] == f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{CUSTOM}"


@pytest.mark.parametrize(
    "change", [{"roleDefinitionId": "/x/.."}, {"principalId": None}, {"scope": 5}, {"createdOn": "x"}]
)
def test_an_assignment_that_is_none_is_a_bad_answer(scripted: Any, change: dict[str, Any]):
    scripted(lambda request: json_response(200, {"value": [assignment(**change)]}))

    with pytest.raises(BadAnswer):
        list_role_assignments(VAULT_ID)


def test_a_vault_that_is_gone_is_not_found(azure: Azure, vault: Vault):
    azure.remove_vault("pay-prod")

    with pytest.raises(NotFound):
        list_role_assignments(vault.resource_id)


def test_a_failure_of_azure_is_an_error(azure: Azure, vault: Vault):
    azure.faults.set(ARM, Fault("server", operations=frozenset({"RoleAssignments"})))

    with pytest.raises(ServerError):
        list_role_assignments(vault.resource_id, patience=AT_ONCE)


def test_what_is_no_resource_id_is_refused(azure: Azure):
    with pytest.raises(Refused):
        list_role_assignments("/subscriptions/x")


def test_a_custom_role_of_the_emulator_is_read_with_what_it_takes_away(azure: Azure, vault: Vault):
    role = Role(CUSTOM, ("Microsoft.KeyVault/*",), not_data_actions=(GET,), custom=True)
    azure.add_role("All but reading", role)
    azure.grant(ANN, "All but reading", vault.resource_id)

    (found,) = held_by(vault, ANN)

    assert found.role == RoleDefinition(
        CUSTOM,
        "All but reading",
        custom=True,
        permissions=(Permission(data_actions=("Microsoft.KeyVault/*",), not_data_actions=(GET,)),),
    )


@pytest.mark.parametrize(
    ("patterns", "taken", "allowed"),
    [
        (("*",), (), True),
        (("Microsoft.KeyVault/*",), (), True),
        (("microsoft.keyvault/VAULTS/*/action",), (), True),
        (("Microsoft.KeyVault/vaults/secrets/getSecret/action",), (), True),
        (("Microsoft.KeyVault/vaults/secrets/getSecret",), (), False),
        (("Microsoft.KeyVault/vaults/*/read",), (), False),
        (("Microsoft.KeyVault/vaults/secrets/readMetadata/action",), (), False),
        (("*",), ("Microsoft.KeyVault/vaults/secrets/*",), False),
        (("*",), ("Microsoft.KeyVault/vaults/secrets/GETSECRET/action",), False),
        (("*",), ("Microsoft.KeyVault/vaults/secrets/delete",), True),
        ((), (), False),
    ],
)
def test_patterns_of_data_actions_are_read_as_azure_reads_them(
    patterns: tuple[str, ...], taken: tuple[str, ...], allowed: bool
):
    role = definition(Permission(data_actions=patterns, not_data_actions=taken))

    assert role.allows_data(GET) is allowed


def test_what_one_entry_takes_away_another_may_give():
    taken = Permission(data_actions=("*",), not_data_actions=(GET,))

    assert definition(taken, Permission(data_actions=(GET,))).allows_data(GET) is True


def test_actions_and_data_actions_are_different_things():
    owner = definition(Permission(actions=("*",)))

    assert (owner.allows("Microsoft.KeyVault/vaults/write"), owner.allows_data(GET)) == (True, False)


VAULT_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v"


def assignment(**changes: Any) -> dict[str, Any]:
    role = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{CUSTOM}"
    properties = {"roleDefinitionId": role, "principalId": ANN.object_id, "scope": f"/subscriptions/{SUBSCRIPTION}"}
    return {"id": "/x", "name": "x", "properties": properties | changes}
