from __future__ import annotations

from typing import Any

import pytest

from kvadmin.gateway.properties import AccessPolicy, PrivateEndpoint, Properties, read_properties

TENANT = "7c1e3b52-0d4f-4f0e-9a57-3a1f6c2d8e90"


def test_what_azure_leaves_out_has_azures_default():
    assert read_properties({}) == Properties()


def test_nulls_are_the_same_as_nothing():
    names = ("sku", "networkAcls", "accessPolicies", "privateEndpointConnections", "enableRbacAuthorization")

    assert read_properties(dict.fromkeys(names)) == Properties()


@pytest.mark.parametrize("spelling", [["Get", "List"], ["get", "list", "LIST"]])
def test_permissions_are_the_same_in_any_casing(spelling: list[str]):
    held = {"tenantId": TENANT, "objectId": "A-B", "permissions": {"keys": ["Sign"], "secrets": spelling}}

    assert read_properties({"accessPolicies": [held]}).policies == (AccessPolicy("a-b", "", ("get", "list")),)


def test_a_policy_for_an_application_with_its_user_is_told_apart():
    held = {"objectId": "a", "applicationId": "B", "permissions": {"secrets": ["all"]}}

    assert read_properties({"accessPolicies": [held]}).policies == (AccessPolicy("a", "b", ("all",)),)


def test_a_policy_without_secret_permissions_allows_none():
    assert read_properties({"accessPolicies": [{"objectId": "a", "permissions": {"keys": ["get"]}}]}).policies == (
        AccessPolicy("a", "", ()),
    )


def test_the_firewall_is_read():
    acls = {
        "bypass": "None",
        "defaultAction": "Deny",
        "ipRules": [{"value": "203.0.113.0/24"}],
        "virtualNetworkRules": [{"id": "/subscriptions/s/subnets/a", "ignoreMissingVnetServiceEndpoint": False}],
    }
    found = read_properties({"networkAcls": acls})

    assert (found.default_action, found.trusted_services) == ("deny", False)
    assert (found.ip_rules, found.subnets) == (("203.0.113.0/24",), ("/subscriptions/s/subnets/a",))


@pytest.mark.parametrize(
    ("connection", "endpoint"),
    [
        (
            {
                "id": "/v/privateEndpointConnections/c",
                "properties": {
                    "privateEndpoint": {"id": "/subscriptions/s/privateEndpoints/pe-1"},
                    "privateLinkServiceConnectionState": {"status": "Approved"},
                },
            },
            PrivateEndpoint("pe-1", "Approved"),
        ),
        ({"id": "/v/privateEndpointConnections/c"}, PrivateEndpoint("c", "Unknown")),
    ],
)
def test_private_endpoints_are_told_with_their_status(connection: dict[str, Any], endpoint: PrivateEndpoint):
    assert read_properties({"privateEndpointConnections": [connection]}).private_endpoints == (endpoint,)


def test_public_access_that_is_switched_off_is_off():
    assert read_properties({"publicNetworkAccess": "disabled"}).public_network is False
