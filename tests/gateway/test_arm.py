from __future__ import annotations

from typing import Any

import pytest

from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.state import Azure
from kvadmin.gateway import arm
from kvadmin.gateway.arm import VaultInfo, list_subscriptions, list_vaults
from kvadmin.gateway.errors import Denied, ServerError, Throttled
from kvadmin.gateway.paging import AT_ONCE, Patience
from kvadmin.gateway.properties import Properties
from tests.gateway.canned import error_body

ONE, TWO = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-000000000002"


@pytest.fixture
def two(azure: Azure) -> Azure:
    """Two subscriptions with a vault each."""
    azure.add_subscription(ONE, "Payments")
    azure.add_subscription(TWO, "Shop")
    azure.add_vault("Pay-Prod", subscription_id=ONE, resource_group="Pay", tags={"environment": "prod"})
    azure.add_vault("shop-dev", subscription_id=TWO, rbac=False, location="northeurope")
    return azure


@pytest.fixture
def no_graph(two: Azure) -> Azure:
    """The same, and Resource Graph refuses to answer."""
    two.faults.set(ARM, Fault("rbac", operations=frozenset({"ResourceGraph"})))
    return two


def names(vaults: arm.Vaults) -> list[str]:
    return sorted(vault.name for vault in vaults.found)


def test_subscriptions_are_listed_by_id_and_name(two: Azure):
    assert list_subscriptions() == {ONE: "Payments", TWO: "Shop"}


def test_only_the_subscriptions_of_the_setting_are_listed(two: Azure, settings: Any):
    settings.KVADMIN_SUBSCRIPTIONS = [TWO.upper(), "unknown"]

    assert list_subscriptions() == {TWO: "Shop"}


def test_subscriptions_that_cannot_be_listed_are_an_error(two: Azure):
    two.faults.set(ARM, Fault("server"))

    with pytest.raises(ServerError):
        list_subscriptions(patience=AT_ONCE)


def test_resource_graph_tells_the_vaults_of_all_subscriptions(two: Azure):
    found = list_vaults()

    assert (names(found), found.problems, found.source) == (["Pay-Prod", "shop-dev"], [], "resource-graph")


@pytest.mark.parametrize("refused", [False, True])
def test_a_vault_is_told_the_same_by_either_source(two: Azure, refused: bool):
    if refused:
        two.faults.set(ARM, Fault("rbac", operations=frozenset({"ResourceGraph"})))

    found = {vault.name: vault for vault in list_vaults().found}

    assert found["Pay-Prod"] == VaultInfo(
        resource_id=f"/subscriptions/{ONE}/resourcegroups/pay/providers/microsoft.keyvault/vaults/pay-prod",
        name="Pay-Prod",
        uri="https://pay-prod.vault.azure.net/",
        subscription_id=ONE,
        resource_group=found["Pay-Prod"].resource_group,
        location="westeurope",
        tags={"environment": "prod"},
        properties=Properties(rbac=True, sku="standard"),
    )
    assert (found["Pay-Prod"].resource_group.lower(), found["shop-dev"].properties.rbac) == ("pay", False)


def test_what_is_unusual_about_a_vault_is_told(azure: Azure):
    azure.add_subscription(ONE, "Payments")
    azure.add_vault("odd", subscription_id=ONE, purge_protection=True, soft_delete_days=7, public_network=False)

    (vault,) = list_vaults().found

    found = vault.properties
    assert (found.purge_protection, found.soft_delete_days, found.public_network, vault.tags) == (True, 7, False, {})


def test_resource_graph_is_read_to_its_last_page(azure: Azure):
    azure.add_subscription(ONE, "Payments")
    for number in range(1_001):
        azure.add_vault(f"vault-{number}", subscription_id=ONE)

    found = list_vaults()

    assert (len(found.found), len({vault.name for vault in found.found})) == (1_001, 1_001)


@pytest.mark.parametrize("refused", [False, True])
def test_only_the_vaults_of_the_setting_are_listed(two: Azure, settings: Any, refused: bool):
    settings.KVADMIN_SUBSCRIPTIONS = [TWO]
    if refused:
        two.faults.set(ARM, Fault("rbac", operations=frozenset({"ResourceGraph"})))

    assert names(list_vaults()) == ["shop-dev"]


def test_a_named_subscription_that_azure_does_not_show_is_a_problem(two: Azure, settings: Any):
    settings.KVADMIN_SUBSCRIPTIONS = [TWO, "99999999-0000-4000-8000-000000000009"]

    found = list_vaults()

    assert (names(found), found.source, found.problems) == (
        ["shop-dev"],
        "resource-graph",
        [
            "Subscription 99999999-0000-4000-8000-000000000009: KVADMIN_SUBSCRIPTIONS names it, but Azure does not "
            "show it to kvadmin."
        ],
    )


def test_seeing_nothing_at_all_is_a_problem_and_no_empty_world(azure: Azure):
    found = list_vaults()

    assert (found.found, found.problems) == ([], [arm.NOTHING_SHOWN])


def test_without_resource_graph_the_subscriptions_are_asked_one_by_one(no_graph: Azure):
    found = list_vaults()

    assert (names(found), found.problems, found.source) == (["Pay-Prod", "shop-dev"], [], "subscriptions")


def test_a_long_subscription_is_read_to_its_empty_last_page(no_graph: Azure):
    for number in range(101):
        no_graph.add_vault(f"vault-{number}", subscription_id=ONE)

    assert len(list_vaults().found) == 103


def test_one_subscription_that_fails_is_told_and_the_others_are_there(no_graph: Azure, settings: Any):
    settings.KVADMIN_SUBSCRIPTIONS = ["99999999-0000-4000-8000-000000000009", TWO]

    found = list_vaults()

    assert (names(found), found.problems) == (
        ["shop-dev"],
        ["Subscription 99999999-0000-4000-8000-000000000009: Azure has nothing by that name here."],
    )


def test_without_resource_graph_seeing_no_subscription_is_a_problem_too(azure: Azure):
    azure.faults.set(ARM, Fault("rbac", operations=frozenset({"ResourceGraph"})))

    assert list_vaults().problems == [arm.NOTHING_SHOWN]


def test_when_nobody_answers_the_vaults_are_not_empty_but_an_error(two: Azure):
    pauses: list[float] = []
    two.faults.set(ARM, Fault("throttled", retry_after=5))

    with pytest.raises(Throttled) as caught:
        list_vaults(patience=Patience(sleep=pauses.append))

    assert (pauses, caught.value.__context__) == ([5.0] * 4, None)


def test_a_vault_without_an_address_yet_is_a_problem(scripted: Any):
    scripted(lambda request: graph_answer([{**ROW, "properties": {}}, {**ROW, "name": "done"}]))

    found = list_vaults()

    assert (names(found), found.problems) == (["done"], ["Vault v: Azure has not given it an address yet."])


def test_the_rows_of_resource_graph_may_lack_whatever_is_not_set(scripted: Any):
    row = ROW | {"tags": None, "location": None}
    scripted(lambda request: graph_answer([row]))

    (vault,) = list_vaults().found

    assert (vault.tags, vault.location, vault.properties) == ({}, "", Properties())


@pytest.mark.parametrize("data", [{"columns": [], "rows": []}, [{"id": 5}], ["x"]])
def test_an_answer_of_resource_graph_that_is_none_leads_to_the_subscriptions(scripted: Any, data: Any):
    def answer(request: Request) -> Response:
        return graph_answer(data) if request.method == "POST" else json_response(200, {"value": []})

    scripted(answer)

    assert list_vaults().source == "subscriptions"


def test_a_skip_token_that_comes_back_does_not_hold_the_sweep_up(scripted: Any):
    def answer(request: Request) -> Response:
        return graph_answer([ROW], token="again") if request.method == "POST" else json_response(200, {"value": []})

    scripted(answer)

    assert list_vaults().source == "subscriptions"


def test_a_subscription_whose_answer_is_none_is_a_problem(scripted: Any, settings: Any):
    settings.KVADMIN_SUBSCRIPTIONS = [ONE]
    scripted(lambda request: json_response(200, {"value": [{"id": "x"}]}))

    assert list_vaults().problems == [
        f"Subscription {ONE}: The answer could not be understood, so nothing of it was used."
    ]


def test_a_refusal_of_resource_manager_names_the_role(scripted: Any):
    scripted(lambda request: json_response(403, error_body("AuthorizationFailed")))

    with pytest.raises(Denied) as caught:
        list_subscriptions()

    assert caught.value.advice.startswith("Give kvadmin's identity the role Reader there.")


ROW: dict[str, Any] = {
    "id": f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v",
    "name": "v",
    "properties": {"vaultUri": "https://v.vault.azure.net/"},
}


def graph_answer(rows: Any, token: str | None = None) -> Response:
    count = len(rows)
    body = {"totalRecords": count, "count": count, "resultTruncated": "false", "facets": [], "data": rows}
    return json_response(200, body | ({"$skipToken": token} if token else {}))
