"""What only a browser proves of signing in: a security key, and a form that survives a lost session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from kvadmin.emulator.state import Azure
from tests import factories
from tests.browser import world
from vaults.models import Person, Secret, Session


@pytest.fixture(autouse=True)
def db_password(azure: Azure, transactional_db: None) -> Secret:
    return world.build(azure)


@pytest.fixture
def security_key(page: Page) -> Iterator[None]:
    """Chromium's own make-believe key on USB, which is always touched at once."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "usb", "hasResidentKey": False, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield
    cdp.detach()


def give_password(page: Page, name: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.usefixtures("security_key")
def test_a_security_key_is_added_and_opens_the_account_together_with_the_password(
    page: Page, base_url: str, settings, axe: Callable[[Page], None]
) -> None:
    settings.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True  # the live server speaks plain HTTP
    settings.KVADMIN_REQUIRE_SECOND_FACTOR = True
    page.goto("/people/")
    give_password(page, "administrator")
    page.wait_for_url(f"{base_url}/second-factors/")
    axe(page)

    page.get_by_role("link", name="Add a security key").click()
    expect(page.get_by_label("Name")).to_have_value("Security key")
    page.get_by_label("Name").fill("blue key")
    page.get_by_role("button", name="Add this key").click()
    page.get_by_role("button", name="Show the codes").click()
    expect(page.locator(".codes li")).to_have_count(10)
    axe(page)
    page.get_by_role("link", name="I have them").click()
    expect(page.get_by_role("row", name="blue key")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    page.goto("/people/")
    give_password(page, "administrator")
    page.wait_for_url(f"{base_url}/sign-in/second-factor/")
    axe(page)
    expect(page.get_by_role("button", name="Use a security key")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_url}/people/")
    expect(page.get_by_role("heading", name="People")).to_be_visible()

    page.goto("/sign-in/again/?next=/roles/")
    axe(page)
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Sign in again").click()
    page.wait_for_url(f"{base_url}/roles/")


def test_a_reason_that_was_typed_when_the_session_was_over_is_there_after_signing_in(
    page: Page, base_url: str, signed_in: Callable[[Page, str], None], axe: Callable[[Page], None]
) -> None:
    factories.policy("approval", environment="prod")
    factories.person("approver", "approver")
    why = "INC-7: the nightly job fails since 02:10, and its log says that the password is refused"
    signed_in(page, "reader")
    path = "/vaults/pay-prod/secrets/db-password/ask/"
    page.goto(path)
    page.get_by_label("Reason").fill(why)
    Session.objects.filter(person=Person.objects.get(username="reader")).delete()
    page.get_by_role("button", name="Ask", exact=True).click()

    expect(page.get_by_text("What you had typed is there again after you sign in")).to_be_visible()
    give_password(page, "reader")

    page.wait_for_url(base_url + path)
    expect(page.get_by_label("Reason")).to_have_value(why)
    axe(page)


def test_the_sessions_of_oneself_and_of_somebody_else(
    page: Page, signed_in: Callable[[Page, str], None], axe: Callable[[Page], None]
) -> None:
    signed_in(page, "administrator")
    page.goto("/sessions/")
    expect(page.get_by_text("This one")).to_be_visible()
    axe(page)
    page.goto(f"/people/{Person.objects.get(username='administrator').pk}/sessions/")
    axe(page)
    page.goto("/second-factors/app/")
    axe(page)
