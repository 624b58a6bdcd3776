"""Asking and approving, each person in a browser of their own; and an emergency, with its review."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from audit.ledger import Actor
from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import factories
from tests.audit.rows import revealed
from tests.browser import world
from vaults.models import RevealPolicy, RevealRequest, Secret

SECRET = "/vaults/pay-prod/secrets/db-password/"
SignedIn = Callable[[Page, str], None]


@pytest.fixture(autouse=True)
def db_password(azure: Azure, transactional_db: None) -> Secret:
    secret = world.build(azure)
    RevealPolicy.objects.update(ended_at=secret.vault.checked_at)
    factories.policy("approval", break_glass=True)
    factories.person("approver", "approver")
    factories.person("oncall", "break-glass-holder")
    return secret


@pytest.fixture
def other(browser: Browser, browser_context_args: dict[str, object]) -> Iterator[Page]:
    """A second person's browser: nothing of the first one's is in it."""
    context = browser.new_context(**browser_context_args)  # type: ignore[arg-type] # as pytest-playwright makes them
    yield context.new_page()
    context.close()


def shown(page: Page) -> str:
    expect(page.locator("[data-secret-value]")).to_be_visible()
    return str(page.locator("[data-secret-value]").evaluate("node => node.textContent"))


def test_a_developer_asks_an_approver_decides_and_the_value_is_shown_once(
    page: Page, other: Page, signed_in: SignedIn
) -> None:
    signed_in(page, "reader")
    signed_in(other, "approver")
    page.goto(SECRET)
    page.get_by_role("link", name="Ask to see it").click()
    page.get_by_label("Reason").fill("INC-7: the nightly job fails")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_role("heading", name="What has happened")).to_be_visible()

    other.goto("/requests/")
    other.get_by_role("link", name="#", exact=False).first.click()
    other.get_by_role("button", name="Approve").click()
    other.wait_for_load_state()

    page.goto(SECRET)
    page.get_by_role("button", name="Show the value").click()
    assert shown(page) == world.VALUE
    expect(page.get_by_text("You can show the value one time")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show the value")).to_be_hidden()
    expect(page.get_by_role("link", name="Go on with this secret")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Ask to see it")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Show the value")).to_have_count(0)
    assert RevealRequest.objects.get().state == "consumed"


def test_a_form_that_comes_back_wrong_begins_where_it_is_wrong(page: Page, signed_in: SignedIn) -> None:
    RevealPolicy.objects.update(ticket_pattern=r"INC-\d+")
    signed_in(page, "reader")
    page.goto(SECRET + "ask/")
    page.get_by_label("Reason").fill("INC-7: the nightly job fails")
    page.get_by_label("Ticket").fill("later")
    page.keyboard.press("Enter")

    expect(page.locator("#id_ticket_error")).to_be_visible()
    expect(page.get_by_label("Ticket")).to_be_focused()


def test_a_no_reaches_the_person_with_its_reason(page: Page, other: Page, signed_in: SignedIn) -> None:
    request = factories.ask(factories.Person.objects.get(username="reader"), Secret.objects.get(key="db-password"))
    signed_in(page, "approver")
    page.goto(f"/requests/{request.pk}/")
    page.get_by_label("Comment").fill("Not during the freeze")
    page.get_by_role("button", name="Deny").click()
    page.wait_for_load_state()

    signed_in(other, "reader")
    other.goto(f"/requests/{request.pk}/")

    expect(other.get_by_text("Not during the freeze").first).to_be_visible()
    assert RevealRequest.objects.get().state == "denied"


def test_an_emergency_opens_at_once_and_waits_for_its_review(page: Page, other: Page, signed_in: SignedIn) -> None:
    page.goto("/sign-in/")
    page.get_by_label("Username").fill("oncall")
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url("**/")
    page.goto(SECRET + "break-glass/")
    page.get_by_label("Reason").fill("Payments are down")
    page.get_by_label("Ticket").fill("INC-9")
    page.get_by_role("button", name="Break the glass").click()
    page.goto(SECRET)
    page.get_by_role("button", name="Show the value").click()
    assert shown(page) == world.VALUE

    emergency = RevealRequest.objects.get()
    page.goto(f"/requests/{emergency.pk}/")
    page.get_by_role("button", name="I am done: hand it back").click()
    page.get_by_role("dialog").get_by_role("button").first.click()
    expect(page.get_by_text("Review due").first).to_be_visible()

    signed_in(other, "approver")
    other.goto(f"/requests/{emergency.pk}/")
    other.get_by_label("Comment").fill("I was on the call")
    other.get_by_role("button", name="Justified").click()
    other.wait_for_load_state()
    emergency.refresh_from_db()
    assert emergency.state == "justified"
    assert LedgerEntry.objects.filter(request=emergency.pk, phase="revealed").count() == 1


PAGES = {
    "reader": [SECRET, "/requests/?show=mine", "/why/?vault=pay-prod&secret=db-password"],
    "approver": ["/requests/", "/requests/1/"],
    "oncall": [SECRET + "break-glass/"],
    "administrator": ["/policies/"],
    "auditor": ["/audit/coverage/", "/audit/findings/", "/audit/leavers/?person=reader"],
}


@pytest.mark.parametrize("username", PAGES)
def test_every_page_of_asking_and_of_evidence_is_accessible_and_fits_a_phone(
    username: str, page: Page, signed_in: Callable[[Page, str], None], no_barrier: Callable[[Page, str], None]
) -> None:
    signed_in(page, username)
    if username == "reader":
        no_barrier(page, SECRET + "ask/")  # who has asked already is led to their request
    reader = factories.Person.objects.get(username="reader")
    request = factories.ask(reader, Secret.objects.get(key="db-password"))
    revealed(who=Actor(str(reader.pk), "reader"), request_id="a-line-of-the-leavers-list")

    for path in PAGES[username]:
        no_barrier(page, path.replace("/requests/1/", f"/requests/{request.pk}/"))
