"""The pages of a vault's keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from tests import factories
from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
LIST, PAGE = "/vaults/pay-prod/keys/", "/vaults/pay-prod/keys/signing/"
PAGES = [LIST, PAGE, PAGE + "versions/"]
START = datetime(2026, 5, 1, tzinfo=UTC)
ClientOf = Callable[[Person], Client]


@pytest.fixture
def vault(azure: Azure) -> Vault:
    """pay-prod with one key, "signing", in Azure as in the inventory."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_key("pay-prod", "signing", size=3072, operations=["sign", "verify"], tags={"team": "blue"}, at=START)
    return factories.vault("pay-prod")


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    return response.content.decode()


# --- Who sees them ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PAGES)
def test_who_lists_the_whole_vault_sees_its_keys(vault: Vault, reader: Person, client_of: ClientOf, path: str) -> None:
    assert "signing" in text(client_of(reader), path)


@pytest.mark.parametrize("path", PAGES)
def test_who_lists_another_vault_gets_the_same_404_as_for_nothing(
    azure: Azure, vault: Vault, client_of: ClientOf, path: str
) -> None:
    client = client_of(factories.person("bob", "reader", vault=factories.vault("hr-test")))
    hidden = text(client, path, 404)
    assert "There is nothing here that you may see." in hidden
    assert azure.log == []


@pytest.mark.parametrize("path", PAGES)
def test_who_may_nothing_gets_404(azure: Azure, vault: Vault, nobody: Person, client_of: ClientOf, path: str) -> None:
    assert "There is nothing here that you may see." in text(client_of(nobody), path, 404)
    assert azure.log == []


@pytest.mark.parametrize("path", PAGES)
def test_who_lists_a_part_of_the_secrets_sees_no_keys(
    azure: Azure, vault: Vault, client_of: ClientOf, path: str
) -> None:
    client = client_of(factories.person("db", "reader", vault=vault, prefix="sign"))
    assert "do not reach pay-prod" in text(client, path, 403)
    assert "Keys</a>" not in text(client, "/vaults/pay-prod/")
    assert azure.log == []


def test_the_vaults_page_leads_to_its_keys(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    assert f'href="{LIST}"' in text(client_of(reader), "/vaults/pay-prod/")


# --- The list --------------------------------------------------------------------------------------------------------
def test_a_list_shows_what_azure_has_just_now(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.put_key("pay-prod", "late", kty="EC", enabled=False, expires_on=START)
    page = text(client_of(reader), LIST)
    assert [word in page for word in ("late", "Disabled", "Expired", "team=blue", "2 keys on this page")] == [True] * 5


def test_a_long_list_is_paged_and_asks_for_no_more_than_it_shows(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    for number in range(150):
        azure.put_key("pay-prod", f"key-{number:03}", kty="EC")
    client = client_of(reader)
    first = client.get(LIST)
    token = first.context["part"].token
    assert [row.operation for row in azure.log].count("KeyList") == 4
    second = text(client, f"{LIST}?page={quote(token)}", **{"HX-Request": "true"})
    assert ("key-099" in first.content.decode(), "key-100" in second, "<html" in second) == (True, True, False)
    assert f'href="{LIST}"' in second


@pytest.mark.parametrize("page", ["made-up", "x" * 3000, "https://evil.example/", "%00"])
def test_a_page_that_azure_did_not_name_is_none(vault: Vault, reader: Person, client_of: ClientOf, page: str) -> None:
    assert "This list has no such page" in text(client_of(reader), f"{LIST}?page={page}", 404)


def test_a_vault_without_keys_says_so(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.vault("pay-prod").keys.clear()
    assert "Azure shows none in this vault." in text(client_of(reader), LIST)


def test_three_keys_take_no_more_queries_than_one(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    client, taken = client_of(reader), []
    text(client, LIST)  # the first request of a session does more
    for number in (1, 3):
        azure.put_key("pay-prod", f"key-{number}")
        with CaptureQueriesContext(connection) as queries:
            text(client, LIST)
        taken.append(len(queries))
    assert (taken[0] == taken[1], taken[0] < 10) == (True, True)


# --- When Azure does not answer --------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PAGES)
def test_a_closed_door_is_one_sentence_with_advice(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf, path: str
) -> None:
    azure.faults.set("pay-prod", Fault("firewall"))
    client = client_of(reader)
    page, fragment = text(client, path, 502), text(client, path, **{"HX-Request": "true"})
    for shown in (page, fragment):
        assert "The vault&#x27;s firewall does not let kvadmin in." in shown
        assert "in the vault&#x27;s networking settings" in shown
        assert "Try again" in shown


def test_a_missing_right_names_the_role(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.revoke(KVADMIN)
    azure.grant(KVADMIN, "Key Vault Secrets Officer", f"/subscriptions/{SUBSCRIPTION}")
    assert "the role Key Vault Reader on the vault" in text(client_of(reader), LIST, 502)


def test_an_unknown_key_is_not_found(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/vaults/pay-prod/keys/unknown/", 404)
    assert "Azure has nothing by that name here." in page


def test_the_rest_is_shown_when_the_rotation_may_not_be_known(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    azure.faults.set("pay-prod", Fault("rbac", operations=frozenset({"KeyRotationPolicyGet"})))
    page = text(client_of(reader), PAGE)
    assert ("RSA, 3,072 bits" in page, "has no role on this vault that allows it" in page) == (True, True)


# --- One key ---------------------------------------------------------------------------------------------------------
def test_a_key_shows_type_size_use_and_rotation(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    page = text(client_of(reader), PAGE)
    assert "RSA, 3,072 bits" in page
    assert '<span class="tag">sign</span><span class="tag">verify</span>' in page
    assert "Azure sends an event 30 days before the key expires." in page
    assert "software" in page


def test_a_key_in_hardware_with_a_curve_says_so(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    azure.put_key("pay-prod", "curved", kty="EC-HSM", curve="P-384")
    page = text(client_of(reader), "/vaults/pay-prod/keys/curved/")
    assert ("EC-HSM, curve P-384" in page, "hardware (HSM)" in page) == (True, True)


def test_a_named_version_is_shown_as_one(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    old = azure.vault("pay-prod").keys["signing"].latest.id
    azure.put_key("pay-prod", "signing", size=4096)
    page = text(client_of(reader), f"{PAGE}?version={old.upper()}")
    assert ("RSA, 3,072 bits" in page, "One version of the key" in page, old in page) == (True, True, True)
    assert "KeyRotationPolicyGet" not in [row.operation for row in azure.log]


def test_an_impossible_version_is_told_as_one(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    assert "No version can be called so" in text(client_of(reader), f"{PAGE}?version=newest", 404)


def test_versions_are_newest_first_and_ties_are_told(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    for days in (2, 1, 1):
        azure.put_key("pay-prod", "signing", at=START + timedelta(days=days))
    page = text(client_of(reader), PAGE + "versions/")
    dates = [page.index(f"2026-05-0{day} 00:00:00Z") for day in (3, 2, 1)]
    assert (dates == sorted(dates), page.count("Same second"), page.count("Newest")) == (True, 2, 1)


def test_the_key_of_a_certificate_leads_to_it(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.put_certificate("pay-prod", "tls")
    page = text(client_of(reader), "/vaults/pay-prod/keys/tls/")
    assert 'href="/vaults/pay-prod/certificates/tls/"' in page


@pytest.mark.parametrize("name", ["new", "versions", "keys", "000", "-abc", "a" * 127])
def test_every_legal_name_has_its_pages(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf, name: str
) -> None:
    azure.put_key("pay-prod", name)
    client = client_of(reader)
    assert f'<span class="mono">{name}</span>' in text(client, f"/vaults/pay-prod/keys/{name}/")
    assert name in text(client, f"/vaults/pay-prod/keys/{name}/versions/")


def test_markup_in_tags_is_shown_as_text(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.put_key("pay-prod", "signing", tags={"<b>": "<script>alert(1)</script>"})
    client = client_of(reader)
    for path in (LIST, PAGE):
        page = text(client, path)
        assert ("&lt;script&gt;alert(1)&lt;/script&gt;" in page, "<script>alert" in page) == (True, False)


def test_no_page_reads_a_secret_or_uses_a_key(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)
    for path in PAGES:
        text(client, path)
    assert {row.operation for row in azure.log} == {
        "Authentication",
        "KeyList",
        "KeyGet",
        "KeyRotationPolicyGet",
        "KeyListVersions",
    }


def test_one_is_opened_by_its_name_since_azures_list_cannot_be_searched(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    answer = client_of(reader).get(f"{LIST}?name=%20signing%20")
    assert (answer.status_code, answer.headers["Location"], azure.log) == (302, PAGE, [])


@pytest.mark.parametrize("name", ["", "a_b", "..%2Fx", "https:%2F%2Fevil.example"])
def test_an_impossible_name_to_open_is_told_at_the_field(
    vault: Vault, reader: Person, client_of: ClientOf, name: str
) -> None:
    page = text(client_of(reader), f"{LIST}?name={name}", 422)
    assert '<span class="error" id="id_name_error">' in page
    assert "signing" in page
