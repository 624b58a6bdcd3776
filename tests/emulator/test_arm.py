"""Azure Resource Manager, to those who may see and those who may not."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import ANN, OTHER_SUBSCRIPTION, SUBSCRIPTION, Wire

GRAPH = "/providers/Microsoft.ResourceGraph/resources"
VAULTS = "Resources | where type =~ 'microsoft.keyvault/vaults' | project id,name,subscriptionId"
SUBSCRIPTIONS = "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' | project subscriptionId, name"
LIST = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KeyVault/vaults"


def graph(wire: Wire, query: str, **body: Any) -> dict[str, Any]:
    answered: dict[str, Any] = wire.arm("POST", GRAPH, {"query": query, **body}).json()
    return answered


def settings_of(azure: Azure, name: str) -> str:
    return f"{azure.vault(name).resource_id}/providers/Microsoft.Insights/diagnosticSettings"


@pytest.fixture
def two(cloud: Azure) -> Azure:
    """A second subscription with a vault of its own, and one that ARM does not show."""
    cloud.add_subscription(OTHER_SUBSCRIPTION, "Research")
    cloud.add_vault("Lab", subscription_id=OTHER_SUBSCRIPTION, resource_group="LabGroup", tags={"env": "test"})
    cloud.add_vault("hidden", subscription_id=SUBSCRIPTION, visible_in_arm=False)
    return cloud


@pytest.fixture
def ann(session: requests.Session) -> Wire:
    return Wire(session, ANN)


def test_the_graph_knows_the_vaults_of_all_subscriptions_but_the_hidden(two: Azure, wire: Wire) -> None:
    rows = graph(wire, VAULTS)["data"]

    assert [(row["name"], row["subscriptionId"]) for row in rows] == [
        ("pay-prod", SUBSCRIPTION),
        ("Lab", OTHER_SUBSCRIPTION),
    ]


def test_the_graph_keeps_to_the_subscriptions_asked_for(two: Azure, wire: Wire) -> None:
    rows = graph(wire, VAULTS, subscriptions=[OTHER_SUBSCRIPTION])["data"]

    assert [row["name"] for row in rows] == ["Lab"]


def test_the_graph_shows_only_what_the_caller_may_see(two: Azure, ann: Wire) -> None:
    two.grant(ANN, "Reader", f"/subscriptions/{OTHER_SUBSCRIPTION}")

    assert [row["name"] for row in graph(ann, VAULTS)["data"]] == ["Lab"]
    assert [row["name"] for row in graph(ann, SUBSCRIPTIONS)["data"]] == ["Research"]


def test_the_graph_shows_nothing_to_somebody_without_a_role(two: Azure, ann: Wire) -> None:
    assert graph(ann, VAULTS) == {
        "totalRecords": 0,
        "count": 0,
        "data": [],
        "facets": [],
        "resultTruncated": "false",
    }


def test_the_graph_projects_what_is_asked_for_under_the_names_given(two: Azure, wire: Wire) -> None:
    query = (
        "Resources | where type =~ 'microsoft.keyvault/vaults' | extend p=properties | project id,resourceGroup,tags,"
        "uri=tostring(p.vaultUri),rbac=tobool(p.enableRbacAuthorization),purge=tobool(p.enablePurgeProtection),"
        "days=toint(p.softDeleteRetentionInDays),pna=tostring(p.publicNetworkAccess),"
        "pe=array_length(p.privateEndpointConnections) | order by id asc"
    )

    assert graph(wire, query, subscriptions=[OTHER_SUBSCRIPTION])["data"] == [
        {
            "id": two.vault("lab").resource_id,
            "resourceGroup": "labgroup",
            "tags": {"env": "test"},
            "uri": "https://lab.vault.azure.net/",
            "rbac": True,
            "purge": None,
            "days": 90,
            "pna": "Enabled",
            "pe": None,
        }
    ]


def test_the_graph_pages_by_a_skip_token(cloud: Azure, wire: Wire) -> None:
    for number in range(1000):
        cloud.add_vault(f"v-{number:04}", subscription_id=SUBSCRIPTION)

    first = graph(wire, VAULTS)
    second = graph(wire, VAULTS, options={"$skipToken": first["$skipToken"]})

    assert (first["totalRecords"], first["count"], second["count"]) == (1001, 1000, 1)
    assert "$skipToken" not in second


@pytest.mark.parametrize(
    "body",
    [
        {"query": "project id"},
        {"query": "Resources | wherever"},
        {"query": "Resources | where name == 'x'"},
        {"query": "Resources | project"},
        {"query": "Resources | project a=frobnicate(b)"},
        {"query": "Resources | project 'id'"},
        {"query": VAULTS, "options": {"$top": 1001}},
        {"query": VAULTS, "options": {"$skipToken": "!"}},
        {"query": None},
        [],
        None,
    ],
)
def test_a_query_that_cannot_be_read_is_a_bad_request(body: Any, wire: Wire) -> None:
    answer = wire.arm("POST", GRAPH, body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert answer.json()["error"]["details"][0]["code"] == "InvalidQuery"


def test_subscriptions_have_names(two: Azure, wire: Wire) -> None:
    found = wire.arm("GET", "/subscriptions").json()["value"]

    assert [(s["subscriptionId"], s["displayName"], s["state"]) for s in found] == [
        (SUBSCRIPTION, "Payments", "Enabled"),
        (OTHER_SUBSCRIPTION, "Research", "Enabled"),
    ]


def test_a_role_at_one_vault_shows_its_subscription_but_no_vault_of_others(two: Azure, ann: Wire) -> None:
    two.grant(ANN, "Key Vault Reader", two.vault("lab").resource_id)

    assert [s["displayName"] for s in ann.arm("GET", "/subscriptions").json()["value"]] == ["Research"]
    assert ann.arm("GET", LIST).json()["error"]["code"] == "AuthorizationFailed"


def test_a_list_of_vaults_ends_with_an_empty_page(two: Azure, wire: Wire) -> None:
    first = wire.arm("GET", LIST).json()
    last = wire.arm("GET", first["nextLink"]).json()

    assert [vault["name"] for vault in first["value"]] == ["pay-prod"]
    assert last == {"value": []}


def test_a_long_list_of_vaults_is_paged(cloud: Azure, wire: Wire) -> None:
    for number in range(149):
        cloud.add_vault(f"v-{number:04}", subscription_id=SUBSCRIPTION)

    pages, link = [], LIST
    while link:
        answer = wire.arm("GET", link).json()
        pages.append(len(answer["value"]))
        link = answer.get("nextLink", "")

    assert pages == [100, 50, 0]


def test_a_vault_leaves_out_what_was_never_switched_on(cloud: Azure, wire: Wire) -> None:
    cloud.add_vault("old-school", subscription_id=SUBSCRIPTION, rbac=False, public_network=False)
    cloud.grant_access_policy(ANN, "old-school", ["Get"])

    found = {vault["name"]: vault["properties"] for vault in wire.arm("GET", LIST).json()["value"]}

    assert found["pay-prod"]["enableRbacAuthorization"] is True
    assert not {"enableRbacAuthorization", "enablePurgeProtection"} & set(found["old-school"])
    assert found["old-school"]["publicNetworkAccess"] == "Disabled"
    assert found["old-school"]["accessPolicies"][0]["permissions"]["secrets"] == ["get"]


def test_an_unknown_subscription_is_not_found(wire: Wire) -> None:
    answer = wire.arm("GET", f"/subscriptions/{OTHER_SUBSCRIPTION}/providers/Microsoft.KeyVault/vaults")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "SubscriptionNotFound")


@pytest.mark.parametrize(
    ("tables", "kind"),
    [
        (("AZKVAuditLogs",), "Dedicated"),
        (("AzureDiagnostics",), None),
        (("AZKVAuditLogs", "AzureDiagnostics"), "Dedicated"),
    ],
)
def test_a_setting_names_its_workspace_and_the_kind_of_table(
    tables: tuple[str, ...], kind: str | None, cloud: Azure, wire: Wire
) -> None:
    workspace = cloud.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id="c-1", tables=tables)
    cloud.vault("pay-prod").workspace = workspace.resource_id

    properties = wire.arm("GET", settings_of(cloud, "pay-prod")).json()["value"][0]["properties"]

    assert (properties["workspaceId"], properties["logAnalyticsDestinationType"]) == (workspace.resource_id, kind)
    assert [log["categoryGroup"] for log in properties["logs"] if log["enabled"]] == ["audit"]


def test_a_workspace_gives_the_guid_that_queries_name_it_by(cloud: Azure, wire: Wire) -> None:
    workspace = cloud.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id="c-1")

    properties = wire.arm("GET", workspace.resource_id.upper()).json()["properties"]

    assert (properties["customerId"], properties["retentionInDays"]) == ("c-1", 30)


def test_a_vault_without_a_setting_has_an_empty_list(cloud: Azure, wire: Wire) -> None:
    assert wire.arm("GET", settings_of(cloud, "pay-prod")).json() == {"value": []}


def test_a_setting_may_send_to_storage_only(cloud: Azure, wire: Wire) -> None:
    cloud.vault("pay-prod").storage_account = "/subscriptions/s/storage"

    properties = wire.arm("GET", settings_of(cloud, "pay-prod")).json()["value"][0]["properties"]

    assert (properties["workspaceId"], properties["storageAccountId"]) == (None, "/subscriptions/s/storage")


def test_settings_need_more_than_a_role_for_vaults(cloud: Azure, ann: Wire) -> None:
    cloud.grant(ANN, "Key Vault Reader", f"/subscriptions/{SUBSCRIPTION}")

    answer = ann.arm("GET", settings_of(cloud, "pay-prod"))

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "AuthorizationFailed")
    assert "Microsoft.Insights/diagnosticSettings/read" in answer.json()["error"]["message"]


@pytest.mark.parametrize("group", ["rg", "other"])
def test_a_vault_that_is_not_there_is_not_found(group: str, cloud: Azure, wire: Wire) -> None:
    path = settings_of(cloud, "pay-prod").replace("/rg/", f"/{group}/")
    name = "pay-prod" if group == "other" else "gone"

    answer = wire.arm("GET", path.replace("/pay-prod/", f"/{name}/"))

    assert (answer.status_code, answer.json()["error"]) == (
        404,
        {
            "code": "ResourceNotFound",
            "message": f"The Resource 'Microsoft.KeyVault/vaults/{name}' under resource group '{group}' was not found. "
            "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        },
    )


@pytest.mark.parametrize("path", ["/subscriptions", LIST])
def test_an_api_version_is_required(path: str, wire: Wire) -> None:
    answer = wire.arm("GET", f"{path}?api-version=")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MissingApiVersionParameter")


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "AuthenticationFailed"),
        (f"Bearer {KVADMIN.token('https://vault.azure.net')}", "InvalidAuthenticationTokenAudience"),
    ],
)
def test_a_missing_or_wrong_token_is_refused(token: str, code: str, session: requests.Session) -> None:
    url = "https://management.azure.com/subscriptions?api-version=2022-12-01"

    answer = session.get(url, headers={"Authorization": token})

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault("throttled"), 429), (Fault("server", status=503), 503), (Fault("rbac"), 403)],
)
def test_resource_manager_has_faults_too(fault: Fault, status: int, cloud: Azure, wire: Wire) -> None:
    cloud.faults.set(ARM, fault)

    assert wire.arm("POST", GRAPH, {"query": VAULTS}).status_code == status


def test_a_fault_of_the_graph_leaves_the_subscriptions_alone(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set(ARM, Fault("server", operations=frozenset({"ResourceGraph"})))

    assert wire.arm("POST", GRAPH, {"query": VAULTS}).status_code == 500
    assert wire.arm("GET", "/subscriptions").status_code == 200


def test_resource_manager_leaves_no_row_in_a_vault_s_log(cloud: Azure, wire: Wire) -> None:
    wire.arm("GET", LIST)

    assert cloud.log == []


def test_any_other_path_is_not_found(wire: Wire) -> None:
    assert wire.arm("GET", "/tenants").status_code == 404
