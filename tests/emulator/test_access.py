"""Who may do what: roles at each scope, access policies, and the network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests

from kvadmin.emulator.state import Azure
from tests.emulator.cloud import ANN, OTHER_SUBSCRIPTION, SUBSCRIPTION, Wire

OLD_SCHOOL = "https://old-school.vault.azure.net"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
PAY_PROD = f"{GROUP}/providers/Microsoft.KeyVault/vaults/pay-prod"

# What each request of a table of roles answers: list, read, set, delete, then purge of another, deleted secret.
CALLS: tuple[tuple[str, str, object], ...] = (
    ("GET", "/secrets", None),
    ("GET", "/secrets/db-password/", None),
    ("PUT", "/secrets/db-password", {"value": "x"}),
    ("DELETE", "/secrets/db-password", None),
    ("DELETE", "/deletedsecrets/gone", None),
)


@pytest.fixture
def ann(session: requests.Session) -> Wire:
    return Wire(session, ANN)


@pytest.fixture
def gone(cloud: Azure, wire: Wire) -> None:
    """A deleted secret."""
    cloud.put_secret("pay-prod", "gone", "x")
    wire.call("DELETE", "/secrets/gone")


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        ("Key Vault Administrator", [200, 200, 200, 200, 204]),
        ("Key Vault Secrets Officer", [200, 200, 200, 200, 204]),
        ("Key Vault Secrets User", [200, 200, 403, 403, 403]),
        ("Key Vault Reader", [200, 403, 403, 403, 403]),
        ("Key Vault Purge Operator", [403, 403, 403, 403, 204]),
        ("Key Vault Contributor", [403, 403, 403, 403, 403]),
        ("Owner", [403, 403, 403, 403, 403]),
    ],
)
def test_a_role_allows_what_azure_s_role_allows(
    role: str, statuses: list[int], cloud: Azure, gone: None, ann: Wire
) -> None:
    cloud.grant(ANN, role, PAY_PROD)

    assert [ann.call(*call).status_code for call in CALLS] == statuses


@pytest.mark.parametrize(
    "scope", ["", f"/subscriptions/{SUBSCRIPTION}", GROUP.upper(), PAY_PROD, f"{PAY_PROD}/secrets/DB-password"]
)
def test_a_role_counts_at_each_scope_above_the_secret(scope: str, cloud: Azure, ann: Wire) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", scope)

    assert ann.call("GET", "/secrets/db-password/").json()["value"] == "ABC123"


@pytest.mark.parametrize("scope", [f"/subscriptions/{OTHER_SUBSCRIPTION}", PAY_PROD[:-1], f"{PAY_PROD}/secrets/db"])
def test_a_role_elsewhere_counts_for_nothing(scope: str, cloud: Azure, ann: Wire) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", scope)

    assert ann.call("GET", "/secrets/db-password/").json()["error"]["innererror"] == {"code": "ForbiddenByRbac"}


def test_a_role_at_one_secret_does_not_list(cloud: Azure, ann: Wire) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", f"{PAY_PROD}/secrets/db-password")

    refusal = ann.call("GET", "/secrets").json()["error"]

    assert refusal["innererror"] == {"code": "ForbiddenByRbac"}
    assert "Action: 'Microsoft.KeyVault/vaults/secrets/readMetadata/action'" in refusal["message"]


def test_an_unknown_role_cannot_be_granted(cloud: Azure) -> None:
    with pytest.raises(ValueError, match="'Key Vault King' is not a role"):
        cloud.grant(ANN, "Key Vault King", PAY_PROD)


def test_an_allowed_answer_names_its_assignment(cloud: Azure, wire: Wire) -> None:
    answer = wire.call("GET", "/secrets")

    assert answer.headers["x-ms-keyvault-rbac-assignment-id"] == cloud.log[-1].assignment_id
    assert len(cloud.log[-1].assignment_id) == 32


@pytest.fixture
def old_school(cloud: Azure) -> Callable[..., None]:
    """Make an access-policy vault in which Ann has these permissions."""

    def make(*permissions: str) -> None:
        cloud.add_vault("old-school", subscription_id=SUBSCRIPTION, rbac=False)
        cloud.put_secret("old-school", "db-password", "ABC123")
        cloud.grant_access_policy(ANN, "old-school", permissions)

    return make


@pytest.mark.parametrize(
    ("permissions", "statuses"),
    [
        (("List",), [200, 403, 403]),
        (("get", "SET"), [403, 200, 200]),
        (("all",), [200, 200, 200]),
        ((), [403, 403, 403]),
    ],
)
def test_an_access_policy_allows_what_it_lists(
    permissions: tuple[str, ...], statuses: list[int], old_school: Callable[..., None], ann: Wire
) -> None:
    old_school(*permissions)

    assert [ann.call(*call, vault=OLD_SCHOOL).status_code for call in CALLS[:3]] == statuses


def test_roles_count_for_nothing_in_an_access_policy_vault(
    cloud: Azure, old_school: Callable[..., None], ann: Wire
) -> None:
    old_school()
    cloud.grant(ANN, "Key Vault Administrator", "")

    assert ann.call("GET", "/secrets", vault=OLD_SCHOOL).json()["error"]["innererror"] == {"code": "AccessDenied"}


def test_a_private_vault_refuses_everybody_who_comes_from_outside(cloud: Azure, wire: Wire) -> None:
    cloud.vault("pay-prod").public_network = False

    assert wire.call("GET", "/secrets").json()["error"]["innererror"] == {"code": "ForbiddenByConnection"}


def test_a_private_vault_answers_through_its_private_link(cloud: Azure, wire: Wire) -> None:
    cloud.vault("pay-prod").public_network = False
    cloud.vault("pay-prod").private_link = True

    assert wire.call("GET", "/secrets").status_code == 200


@pytest.mark.parametrize("token", ["Bearer", "Bearer nonsense", "Bearer a.b.c", "Bearer a.W10.c", "Basic abc"])
def test_what_is_no_token_is_challenged(token: str, wire: Wire) -> None:
    answer = wire.call("GET", "/secrets", Authorization=token)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Unauthorized")
    assert "WWW-Authenticate" in answer.headers
