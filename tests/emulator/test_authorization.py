"""Role assignments and role definitions over Azure Resource Manager, and the firewall's rules."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from kvadmin.emulator.denials import EVERYBODY, Denial
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.roles import Assignment, Role
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import ANN, SUBSCRIPTION, Wire, shape

TEAM = Identity("group", "0a11c0de-0000-4000-8000-00000000a0f0", "", name="Payments team")
CUSTOM = "0a11c0de-0000-4000-8000-00000000c0de"
# As Azure documents an assignment at api-version 2022-04-01.
DOCUMENTED = {
    "properties": {
        "roleDefinitionId": "str",
        "principalId": "str",
        "principalType": "str",
        "scope": "str",
        "condition": "NoneType",
        "conditionVersion": "NoneType",
        "createdOn": "str",
        "updatedOn": "str",
        "createdBy": "NoneType",
        "updatedBy": "NoneType",
        "delegatedManagedIdentityResourceId": "NoneType",
        "description": "NoneType",
    },
    "id": "str",
    "type": "str",
    "name": "str",
}


def assignments(azure: Azure) -> str:
    return f"{azure.vault('pay-prod').resource_id}/providers/Microsoft.Authorization/roleAssignments"


def scopes_of(azure: Azure, wire: Wire, query: str = "") -> list[str]:
    path = f"{assignments(azure)}?api-version=2022-04-01{query}"
    items = wire.arm("GET", path).json()["value"]
    return sorted(item["properties"]["scope"] for item in items if item["properties"]["principalId"] == ANN.object_id)


@pytest.fixture
def everywhere(cloud: Azure) -> Azure:
    """Ann holds a role at every kind of scope, and at a neighbour that the vault has nothing to do with."""
    vault = cloud.vault("pay-prod").resource_id
    cloud.add_vault("pay-prod-2", subscription_id=SUBSCRIPTION)
    for scope in (
        "/",
        "/providers/Microsoft.Management/managementGroups/fernhill",
        f"/subscriptions/{SUBSCRIPTION}",
        vault.partition("/providers")[0],
        vault,
        f"{vault}/secrets/db-password",
        f"{vault}-2",
    ):
        cloud.grant(ANN, "Key Vault Secrets User", scope)
    return cloud


def test_an_assignment_has_the_documented_form(cloud: Azure, wire: Wire) -> None:
    item = wire.arm("GET", assignments(cloud)).json()["value"][0]

    assert (shape(item), item["properties"]["principalType"]) == (DOCUMENTED, "ServicePrincipal")


def test_all_that_lies_at_above_and_below_a_vault_is_listed(everywhere: Azure, wire: Wire) -> None:
    vault = everywhere.vault("pay-prod").resource_id.lower()
    subscription, group = f"/subscriptions/{SUBSCRIPTION}", vault.partition("/providers")[0]
    above = ["/", "/providers/microsoft.management/managementgroups/fernhill", subscription, group]

    assert scopes_of(everywhere, wire) == sorted([*above, vault, f"{vault}/secrets/db-password"])
    assert scopes_of(everywhere, wire, "&$filter=atScope()") == sorted([*above, vault])


DENIALS = "/providers/Microsoft.Authorization/denyAssignments?api-version=2022-04-01"
DOCUMENTED_DENIAL = {
    "properties": {
        "denyAssignmentName": "str",
        "description": "NoneType",
        "permissions": [{"actions": [], "notActions": [], "dataActions": ["str"], "notDataActions": []}],
        "scope": "str",
        "doNotApplyToChildScopes": "bool",
        "principals": [{"id": "str", "type": "str"}],
        "excludePrincipals": [{"id": "str", "type": "str"}],
        "isSystemProtected": "bool",
    },
    "id": "str",
    "type": "str",
    "name": "str",
}
NO_READS = Role("", ("Microsoft.KeyVault/vaults/secrets/getSecret/action",))


def denials(azure: Azure, wire: Wire) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = wire.arm("GET", azure.vault("pay-prod").resource_id + DENIALS).json()["value"]
    return items


def test_a_deny_assignment_has_the_documented_form(cloud: Azure, wire: Wire) -> None:
    cloud.denials.append(Denial("stack", f"/subscriptions/{SUBSCRIPTION}", NO_READS, excluded=(TEAM,)))
    (item,) = denials(cloud, wire)

    assert shape(item) == DOCUMENTED_DENIAL
    assert item["properties"]["principals"] == [{"id": EVERYBODY, "type": "SystemDefined"}]
    assert item["properties"]["excludePrincipals"] == [{"id": TEAM.object_id, "type": "Group"}]


def test_deny_assignments_at_above_and_below_a_vault_are_listed(cloud: Azure, wire: Wire) -> None:
    vault, subscription = cloud.vault("pay-prod").resource_id.lower(), f"/subscriptions/{SUBSCRIPTION}"
    for scope in (subscription, vault, f"{vault}/secrets/db-password", f"{vault}-2"):
        cloud.denials.append(Denial("stack", scope, NO_READS))
    cloud.denials.append(Denial("only there", subscription, NO_READS, only_there=True))

    found = [(item["properties"]["denyAssignmentName"], item["properties"]["scope"]) for item in denials(cloud, wire)]
    assert sorted(found) == [("stack", scope) for scope in (subscription, vault, f"{vault}/secrets/db-password")]


def test_who_may_not_read_deny_assignments_is_refused(cloud: Azure, session: requests.Session) -> None:
    error = Wire(session, ANN).arm("GET", cloud.vault("pay-prod").resource_id + DENIALS).json()["error"]

    assert "Microsoft.Authorization/denyAssignments/read" in error["message"]


@pytest.mark.parametrize(
    ("principals", "excluded", "scope", "status"),
    [
        ((), (), "", 403),
        ((), (ANN,), "", 200),
        ((ANN,), (), "", 403),
        ((KVADMIN,), (), "", 200),
        ((TEAM,), (), "", 403),
        ((), (TEAM,), "", 200),
        ((), (), "/secrets/db-password", 403),
        ((), (), "/secrets/another", 200),
    ],
)
def test_a_deny_assignment_wins_over_a_role(
    cloud: Azure,
    session: requests.Session,
    principals: tuple[Identity, ...],
    excluded: tuple[Identity, ...],
    scope: str,
    status: int,
) -> None:
    vault = cloud.vault("pay-prod").resource_id.lower()
    cloud.grant(ANN, "Key Vault Secrets User", vault)
    cloud.groups = {TEAM.object_id: {ANN.object_id}}
    cloud.denials.append(Denial("stack", vault + scope, NO_READS, principals, excluded))

    answer = Wire(session, ANN).call("GET", "/secrets/db-password/")
    assert (answer.status_code, "DeniedByDenyAssignment" in answer.text) == (status, status == 403)


def test_many_assignments_come_in_pages(cloud: Azure, wire: Wire) -> None:
    for number in range(120):
        cloud.assignments.add(Assignment(f"{number:032}", "Reader", f"/subscriptions/{SUBSCRIPTION}"))
    first = wire.arm("GET", assignments(cloud)).json()
    second = wire.arm("GET", first["nextLink"]).json()

    assert (len(first["value"]), len(second["value"]), second["nextLink"]) == (100, 24, None)


def test_who_may_not_read_assignments_is_refused(cloud: Azure, session: requests.Session) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", f"/subscriptions/{SUBSCRIPTION}")
    error = Wire(session, ANN).arm("GET", assignments(cloud)).json()["error"]

    assert error["code"] == "AuthorizationFailed"
    assert "Microsoft.Authorization/roleAssignments/read" in error["message"]


def test_a_group_and_a_condition_are_told(cloud: Azure, wire: Wire) -> None:
    cloud.grant(
        TEAM, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id, condition="@Resource[x] StringLike 'db*'"
    )
    items = wire.arm("GET", assignments(cloud)).json()["value"]
    found = [item["properties"] for item in items if item["properties"]["principalId"] == TEAM.object_id]

    assert [(one["principalType"], one["condition"], one["conditionVersion"]) for one in found] == [
        ("Group", "@Resource[x] StringLike 'db*'", "2.0")
    ]


def test_a_custom_role_takes_away_what_it_names(cloud: Azure, session: requests.Session) -> None:
    secrets = "Microsoft.KeyVault/vaults/secrets/"
    role = Role(CUSTOM, (f"{secrets}*",), not_data_actions=(f"{secrets}getSecret/action",), custom=True)
    cloud.add_role("All but reading", role)
    cloud.grant(ANN, "All but reading", cloud.vault("pay-prod").resource_id)
    ann = Wire(session, ANN)

    assert (ann.call("GET", "/secrets").status_code, ann.call("GET", "/secrets/db-password/").status_code) == (200, 403)


def test_a_role_definition_is_told_by_its_id(cloud: Azure, wire: Wire) -> None:
    cloud.add_role("Own", Role(CUSTOM, ("Microsoft.KeyVault/vaults/secrets/*",), custom=True))
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/"
    own, built_in = (wire.arm("GET", path + one).json() for one in (CUSTOM, "4633458b-17de-408a-b874-0445c86b69e6"))

    assert [(one["properties"]["roleName"], one["properties"]["type"]) for one in (own, built_in)] == [
        ("Own", "CustomRole"),
        ("Key Vault Secrets User", "BuiltInRole"),
    ]
    assert own["properties"]["permissions"][0]["dataActions"] == ["Microsoft.KeyVault/vaults/secrets/*"]


def test_an_unknown_role_definition_is_not_found(wire: Wire) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{CUSTOM}"

    assert wire.arm("GET", path).json()["error"]["code"] == "RoleDefinitionDoesNotExist"


@pytest.mark.parametrize(("rules", "status"), [((), 403), (("198.51.100.0/24",), 403), (("203.0.113.0/24",), 200)])
def test_a_firewall_lets_in_those_whom_its_rules_name(
    cloud: Azure, wire: Wire, rules: tuple[str, ...], status: int
) -> None:
    vault = cloud.vault("pay-prod")
    vault.default_action, vault.ip_rules = "Deny", rules

    assert (KVADMIN.address, wire.call("GET", "/secrets").status_code) == ("203.0.113.10", status)


def test_a_vault_shows_its_rules_and_its_private_endpoints(cloud: Azure, wire: Wire) -> None:
    vault = cloud.vault("pay-prod")
    vault.default_action, vault.ip_rules, vault.private_endpoints = "Deny", ("203.0.113.0/24",), {"pe-1": "Approved"}
    properties = wire.arm("GET", vault.resource_id).json()["properties"]
    connection = properties["privateEndpointConnections"][0]["properties"]

    assert properties["networkAcls"]["ipRules"] == [{"value": "203.0.113.0/24"}]
    assert connection["privateLinkServiceConnectionState"]["status"] == "Approved"
    assert connection["privateEndpoint"]["id"].endswith("/privateEndpoints/pe-1")
