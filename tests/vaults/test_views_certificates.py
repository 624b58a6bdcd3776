"""The pages of a vault's certificates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
LIST, PAGE = "/vaults/pay-prod/certificates/", "/vaults/pay-prod/certificates/tls/"
PAGES = [LIST, PAGE, PAGE + "versions/"]
START = datetime(2026, 5, 1, tzinfo=UTC)
CANARY = "private-key-canary"
ClientOf = Callable[[Person], Client]


@pytest.fixture
def vault(azure: Azure) -> Vault:
    """pay-prod with one certificate, "tls", in Azure, and its secret in the inventory."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_certificate(
        "pay-prod",
        "tls",
        subject="CN=pay.example,O=Fernhill",
        dns_names=["pay.example", "www.pay.example"],
        issuer="DigiCert",
        actions=[("AutoRenew", {"days_before_expiry": 30})],
        tags={"team": "blue"},
        at=START,
        value=CANARY,
    )
    made = factories.vault("pay-prod")
    factories.secret(made, "tls", managed=True)
    return made


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    return response.content.decode()


# --- Who sees them ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", PAGES)
def test_who_lists_the_whole_vault_sees_its_certificates(
    vault: Vault, reader: Person, client_of: ClientOf, path: str
) -> None:
    assert "tls" in text(client_of(reader), path)


@pytest.mark.parametrize("path", PAGES)
def test_who_lists_another_vault_gets_the_same_404_as_for_nothing(
    azure: Azure, vault: Vault, client_of: ClientOf, path: str
) -> None:
    client = client_of(factories.person("bob", "reader", vault=factories.vault("hr-test")))
    assert "There is nothing here that you may see." in text(client, path, 404)
    assert azure.log == []


@pytest.mark.parametrize("path", PAGES)
def test_who_may_nothing_gets_404(azure: Azure, vault: Vault, nobody: Person, client_of: ClientOf, path: str) -> None:
    assert "There is nothing here that you may see." in text(client_of(nobody), path, 404)
    assert azure.log == []


@pytest.mark.parametrize("path", PAGES)
def test_who_lists_a_part_of_the_secrets_sees_no_certificates(
    azure: Azure, vault: Vault, client_of: ClientOf, path: str
) -> None:
    client = client_of(factories.person("tls", "reader", vault=vault, prefix="tls"))
    assert "do not reach pay-prod" in text(client, path, 403)
    assert 'href="/vaults/pay-prod/certificates/tls/"' not in text(client, "/vaults/pay-prod/secrets/tls/")
    assert azure.log == []


def test_the_vaults_page_and_a_certificates_secret_lead_to_it(
    vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    client = client_of(reader)
    assert f'href="{LIST}"' in text(client, "/vaults/pay-prod/")
    assert f'href="{PAGE}"' in text(client, "/vaults/pay-prod/secrets/tls/")


def test_a_certificate_leads_back_to_its_secret_and_its_key(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), PAGE)
    assert 'href="/vaults/pay-prod/secrets/tls/"' in page
    assert 'href="/vaults/pay-prod/keys/tls/"' in page


# --- What they say ---------------------------------------------------------------------------------------------------
def test_a_list_shows_state_expiry_and_thumbprint(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    azure.put_certificate("pay-prod", "old", at=START - timedelta(days=720), enabled=False)
    page = text(client_of(reader), LIST)
    assert [word in page for word in ("Disabled", "Expired", "team=blue", "2 certificates on this page")] == [True] * 4
    assert page.count('data-label="Thumbprint"') == 2


def test_a_certificate_shows_subject_issuer_names_and_policy(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), PAGE)
    for words in (
        "CN=pay.example, O=Fernhill",
        "CN=Emulated Authority R1",
        '<span class="tag">www.pay.example</span>',
        "RSA, 2,048 bits",
        "DigiCert",
        "12 months",
        "Azure renews it 30 days before it expires.",
        "can be exported with its private part",
    ):
        assert words in page


def test_a_self_signed_certificate_is_called_so(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    azure.put_certificate("pay-prod", "own", actions=[])
    page = text(client_of(reader), "/vaults/pay-prod/certificates/own/")
    assert ("Self-signed" in page, "Nothing: somebody has to renew it." in page) == (True, True)


def test_a_certificate_whose_secret_is_not_listed_yet_says_so(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    azure.put_certificate("pay-prod", "fresh")
    assert "not in the inventory" in text(client_of(reader), "/vaults/pay-prod/certificates/fresh/")


def test_an_old_version_is_shown_without_a_policy(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    old = azure.vault("pay-prod").certificates["tls"].latest.id
    azure.put_certificate("pay-prod", "tls", at=START + timedelta(days=300))
    page = text(client_of(reader), f"{PAGE}?version={old}")
    assert ("One version of the certificate" in page, "Policy for the next one" in page, old in page) == (
        True,
        False,
        True,
    )


def test_versions_are_newest_first(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.put_certificate("pay-prod", "tls", at=START + timedelta(days=1))
    page = text(client_of(reader), PAGE + "versions/")
    dates = [page.index(f"2026-05-0{day} 00:00:00Z") for day in (2, 1)]
    assert (dates == sorted(dates), page.count('data-label="Thumbprint"')) == (True, 2)


def test_a_long_list_is_paged(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    for number in range(120):
        azure.put_certificate("pay-prod", f"crt-{number:03}")
    client = client_of(reader)
    first = client.get(LIST)
    second = text(client, f"{LIST}?page={quote(first.context['part'].token)}")
    assert ("crt-099" in first.content.decode(), "crt-100" in second, "crt-099" in second) == (True, True, False)


@pytest.mark.parametrize("path", PAGES)
def test_a_closed_door_is_one_sentence_with_advice(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf, path: str
) -> None:
    azure.faults.set("pay-prod", Fault("private-link"))
    page = text(client_of(reader), path, 502)
    assert "The vault accepts private connections only" in page
    assert "Try again" in page


def test_an_unknown_certificate_is_not_found(vault: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/vaults/pay-prod/certificates/unknown/", 404)
    assert "Azure has nothing by that name here." in page


def test_markup_from_azure_is_shown_as_text(azure: Azure, vault: Vault, reader: Person, client_of: ClientOf) -> None:
    azure.put_certificate("pay-prod", "odd", subject="CN=\\<script\\>alert(1)", tags={"<b>": "<i>"})
    client = client_of(reader)
    for path in (LIST, "/vaults/pay-prod/certificates/odd/"):
        page = text(client, path)
        assert ("&lt;i&gt;" in page, "<script>alert" in page, "<i>" in page) == (True, False, False)


def test_no_page_reads_a_secret_or_shows_a_private_key(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    client = client_of(reader)
    shown = "".join(text(client, path) for path in PAGES)
    assert {row.operation for row in azure.log} == {
        "Authentication",
        "CertificateList",
        "CertificateGet",
        "CertificateListVersions",
    }
    assert CANARY not in shown


def test_three_certificates_take_no_more_queries_than_one(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    client, taken = client_of(reader), []
    text(client, LIST)  # the first request of a session does more
    for number in (1, 3):
        azure.put_certificate("pay-prod", f"crt-{number}")
        with CaptureQueriesContext(connection) as queries:
            text(client, LIST)
        taken.append(len(queries))
    assert (taken[0] == taken[1], taken[0] < 10) == (True, True)


def test_one_is_opened_by_its_name_since_azures_list_cannot_be_searched(
    azure: Azure, vault: Vault, reader: Person, client_of: ClientOf
) -> None:
    answer = client_of(reader).get(f"{LIST}?name=%20tls%20")
    assert (answer.status_code, answer.headers["Location"], azure.log) == (302, PAGE, [])


@pytest.mark.parametrize("name", ["", "a_b", "..%2Fx", "https:%2F%2Fevil.example"])
def test_an_impossible_name_to_open_is_told_at_the_field(
    vault: Vault, reader: Person, client_of: ClientOf, name: str
) -> None:
    page = text(client_of(reader), f"{LIST}?name={name}", 422)
    assert '<span class="error" id="id_name_error">' in page
    assert "tls" in page
