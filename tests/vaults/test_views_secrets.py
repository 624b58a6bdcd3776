"""The pages of one secret and of its versions."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.test import Client
from django.utils import timezone

from kvadmin.emulator.faults import Fault
from tests import factories
from vaults.models import Person, Secret

if TYPE_CHECKING:
    from kvadmin.emulator.state import Azure

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
PAGE = "/vaults/pay-prod/secrets/db-password/"
ClientOf = Callable[[Person], Client]


@pytest.fixture
def secret(azure: Azure) -> Secret:
    """db-password in pay-prod, in Azure as in the inventory."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "the value", at=datetime(2026, 1, 1, tzinfo=UTC))
    return factories.secret(factories.vault("pay-prod"), "db-password", tags={"team": "blue"})


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    return response.content.decode()


# --- Who sees it -----------------------------------------------------------------------------------------------------
def test_somebody_with_a_role_here_sees_the_metadata(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    assert '<span class="tag">team=blue</span>' in text(client_of(reader), PAGE)


@pytest.mark.parametrize("path", [PAGE, PAGE + "versions/"])
def test_somebody_with_a_role_elsewhere_gets_the_same_404_as_for_nothing(
    secret: Secret, path: str, client_of: ClientOf
) -> None:
    client = client_of(factories.person("bob", "reader", vault=factories.vault("hr-test")))
    hidden = text(client, path, 404)
    assert "There is nothing here that you may see." in hidden
    assert "blue" not in hidden


@pytest.mark.parametrize("path", [PAGE, PAGE + "versions/"])
def test_somebody_without_a_role_gets_404(secret: Secret, path: str, nobody: Person, client_of: ClientOf) -> None:
    assert "There is nothing here that you may see." in text(client_of(nobody), path, 404)


def test_a_prefix_role_reaches_its_secrets_and_no_other(secret: Secret, client_of: ClientOf) -> None:
    factories.secret(secret.vault, "app-key", tags={"team": "red"})
    client = client_of(factories.person("db", "reader", vault=secret.vault, prefix="db-"))
    assert "team=blue" in text(client, PAGE)
    assert "red" not in text(client, "/vaults/pay-prod/secrets/app-key/", 404)


# --- Names and versions in the address -------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["new", "delete", "versions", "reveal", "secrets", "000", "-abc", "-", "a" * 127])
def test_every_legal_name_has_its_pages(azure: Azure, reader: Person, client_of: ClientOf, name: str) -> None:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    version = azure.put_secret("pay-prod", name, "x")
    factories.secret(factories.vault("pay-prod"), name)
    client = client_of(reader)
    assert f'<span class="mono">{name}</span>' in text(client, f"/vaults/pay-prod/secrets/{name}/")
    assert version.id in text(client, f"/vaults/pay-prod/secrets/{name}/versions/")


def test_an_address_in_capitals_leads_to_the_same_secret(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    assert "team=blue" in text(client_of(reader), "/vaults/PAY-Prod/secrets/DB-Password/")


@pytest.mark.parametrize("name", ["a_b", "a.b", "..", "a%20b", "a%00b", "%3Cb%3E", "a" * 128, "%C3%A9", "a/b"])
def test_an_impossible_name_is_told_as_one(secret: Secret, reader: Person, client_of: ClientOf, name: str) -> None:
    page = text(client_of(reader), f"/vaults/pay-prod/secrets/{name}/", 404)
    assert "Names in Key Vault have 1 to 127 letters, digits and hyphens" in page


def test_an_impossible_version_is_told_as_one(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), PAGE + "?version=newest%3Cb%3E", 404)
    assert "No version can be called so: a version has 32 characters, 0 to 9 and a to f." in page


# --- What it says ----------------------------------------------------------------------------------------------------
def test_an_expired_secret_is_called_readable(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    Secret.objects.update(expires_on=timezone.now() - timedelta(days=1))
    assert "<strong>Expired, but still readable</strong>" in text(client_of(reader), PAGE)


def test_a_secret_that_is_not_yet_valid_is_called_readable(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    Secret.objects.update(not_before=timezone.now() + timedelta(days=1))
    assert "<strong>Not yet valid, but readable</strong>" in text(client_of(reader), PAGE)


def test_a_managed_secret_is_said_to_belong_to_a_certificate(
    secret: Secret, reader: Person, client_of: ClientOf
) -> None:
    Secret.objects.update(managed=True)
    assert "<strong>Belongs to a certificate</strong>" in text(client_of(reader), PAGE)


@pytest.mark.parametrize("mode", ["direct", "approval"])
def test_the_page_has_one_main_button_and_that_is_about_the_value(
    mode: str, secret: Secret, officer: Person, approver: Person, client_of: ClientOf
) -> None:
    factories.policy(mode)
    factories.assign(officer, "secrets-user")

    page = client_of(officer).get(PAGE).content.decode()
    assert re.findall(r'class="button[^"]* primary"[^>]*>(?:<svg.*?</svg>)?([^<]*)', page, re.DOTALL) == [
        {"direct": "Show the value", "approval": "Ask to see it"}[mode]
    ]


def test_a_vanished_secret_still_has_its_page_and_says_so(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    Secret.objects.update(vanished_at=timezone.now())
    assert "<strong>Gone from Azure</strong>" in text(client_of(reader), PAGE)


def test_markup_in_every_field_is_shown_as_text(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    evil = '<script>alert("x")</script>'
    vault = secret.vault
    vault.shown_name, vault.location, vault.tags, vault.resource_group = evil, evil, {evil: evil}, evil
    vault.health, vault.health_note, vault.environment = "firewall", evil, evil.lower()
    vault.save()
    vault.subscription.name = evil
    vault.subscription.save()
    Secret.objects.update(content_type=evil, tags={evil: evil}, recovery_level=evil)
    client = client_of(reader)
    for path in ("/", "/vaults/", "/vaults/pay-prod/", PAGE, "/search/?q=db-password", PAGE + "versions/"):
        assert "<script>alert" not in text(client, path)
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in text(client, PAGE)


def test_who_read_it_is_shown_to_auditors_only(
    secret: Secret, reader: Person, auditor: Person, client_of: ClientOf
) -> None:
    assert "Who read this" in text(client_of(auditor), PAGE)
    assert "Who read this" not in text(client_of(reader), PAGE)


# --- Versions --------------------------------------------------------------------------------------------------------
def test_versions_come_newest_created_first(azure: Azure, secret: Secret, reader: Person, client_of: ClientOf) -> None:
    third = azure.put_secret("pay-prod", "db-password", "x", at=datetime(2026, 3, 1, tzinfo=UTC))
    second = azure.put_secret("pay-prod", "db-password", "x", at=datetime(2026, 2, 1, tzinfo=UTC))
    page = text(client_of(reader), PAGE + "versions/")
    assert "3 versions, newest created first" in page
    assert page.index(third.id) < page.index("Newest") < page.index(second.id)


def test_versions_of_the_same_second_are_shown_as_a_tie(
    azure: Azure, secret: Secret, reader: Person, client_of: ClientOf
) -> None:
    azure.put_secret("pay-prod", "db-password", "x", at=datetime(2026, 1, 1, tzinfo=UTC))
    page = text(client_of(reader), PAGE + "versions/")
    assert (page.count("One of the newest"), page.count("Newest</span>")) == (2, 0)
    assert "cannot be told apart by age" in page


def test_an_htmx_request_gets_the_versions_alone(secret: Secret, reader: Person, client_of: ClientOf) -> None:
    assert text(client_of(reader), PAGE + "versions/", **{"HX-Request": "true"}).startswith('<div id="versions"')


FAULTS = {
    "dns": "The name pay-prod.vault.azure.net does not resolve.",
    "reset": "The connection to Azure failed; try again.",
    "firewall": "The vault&#x27;s firewall does not let kvadmin in.",
    "html": "The answer could not be understood, so nothing of it was used.",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_azure_is_one_sentence_among_the_versions(
    azure: Azure, secret: Secret, reader: Person, client_of: ClientOf, fault: str
) -> None:
    azure.faults.set("pay-prod", Fault(fault))
    client = client_of(reader)
    fragment = client.get(PAGE + "versions/", headers={"HX-Request": "true"})
    page = client.get(PAGE + "versions/")
    assert (fragment.status_code, page.status_code) == (200, 502)
    assert f"<strong>{FAULTS[fault]}</strong>" in fragment.content.decode()
    assert f"<strong>{FAULTS[fault]}</strong>" in page.content.decode()


def test_the_page_itself_needs_no_azure(azure: Azure, secret: Secret, reader: Person, client_of: ClientOf) -> None:
    azure.faults.set("pay-prod", Fault("dns"))
    assert "team=blue" in text(client_of(reader), PAGE)
    assert azure.log == []


@pytest.mark.parametrize("path", [PAGE, PAGE + "versions/"])
def test_nothing_is_changed_by_a_post(secret: Secret, reader: Person, client_of: ClientOf, path: str) -> None:
    assert client_of(reader).post(path).status_code == 405
