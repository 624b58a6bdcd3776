"""The whole way in a browser: sign in, find a secret, see its value for a moment, and find that read in the audit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from audit.ingest import ingest_audit
from audit.models import AccessEvent, LedgerEntry
from kvadmin.emulator.state import Azure
from tests.browser import world
from vaults.models import Person, Secret

SECRET = "/vaults/pay-prod/secrets/db-password/"


@pytest.fixture(autouse=True)
def db_password(azure: Azure, transactional_db: None) -> Secret:
    return world.build(azure)


def reveal(page: Page, reason: str = "INC-7: the nightly job fails") -> None:
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name="Show the value").click()


def shown(page: Page) -> str:
    """The text of the value's block, exactly."""
    return str(page.locator("[data-secret-value]").evaluate("node => node.textContent"))


def test_from_the_sign_in_page_to_the_audit_page(
    page: Page, base_url: str, signed_in: Callable[[Page, str], None]
) -> None:
    page.goto("/")
    page.get_by_label("Username").fill("secrets-user")
    page.get_by_label("Password").fill("pw")
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(base_url + "/")

    page.keyboard.press("/")
    page.keyboard.type("db-pass")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="db-password").click()
    reveal(page)
    expect(page.locator("[data-secret-value]")).to_be_visible()
    assert shown(page) == world.VALUE

    ingest_audit([world.WORKSPACE])
    signed_in(page, "auditor")
    page.goto("/audit/?secret=db-password")
    row = page.locator("#audit-table tbody tr").filter(has_text="SecretGet")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("secrets-user")
    expect(row).to_contain_text("INC-7: the nightly job fails")
    expect(row).to_contain_text("Explained")


def test_the_value_leaves_the_page_by_hide_by_escape_and_by_time(
    page: Page, signed_in: Callable[[Page, str], None], settings
) -> None:
    settings.KVADMIN_REVEAL_SECONDS = 5
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    ways = [
        lambda: page.get_by_role("button", name="Hide now").click(),
        lambda: page.keyboard.press("Escape"),
        lambda: None,
    ]

    for hide in ways:
        reveal(page)
        expect(page.locator("[data-secret-value]")).to_be_visible()
        hide()
        expect(page.locator("[data-secret-value]")).to_have_count(0, timeout=10_000)
        assert "canary" not in page.content()


def test_copying_gives_every_byte_and_the_escaped_view_shows_the_invisible_ones(
    page: Page, signed_in: Callable[[Page, str], None]
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    reveal(page)

    page.get_by_role("button", name="Escaped").click()
    page.get_by_role("button", name="Copy exact value").click()

    expect(page.locator("[data-secret-message]")).to_contain_text("opied")
    assert page.evaluate("navigator.clipboard.readText()") == world.VALUE
    assert shown(page) != world.VALUE


def test_what_was_not_copied_is_not_said_to_be(page: Page, signed_in: Callable[[Page, str], None]) -> None:
    """Over plain HTTP a browser has no clipboard for pages: the value is selected, all of it and nothing else."""
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    reveal(page)

    page.get_by_role("button", name="Copy exact value").click()

    expect(page.locator("[data-secret-message]")).to_contain_text("Not copied")
    selected = page.evaluate("document.getSelection().getRangeAt(0).cloneContents().textContent")
    assert selected == world.VALUE


def test_base64_is_decoded_for_reading_only_whatever_a_tag_says(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    """A tag that names an encoding is some program's word, and there are some that no decoder knows."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    azure.put_secret("pay-prod", "db-password", "aMOpbGxvIHdvcmxkIQ==", tags={"file-encoding": '"iso-8859-1"'})
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    reveal(page)
    assert shown(page) == "aMOpbGxvIHdvcmxkIQ=="

    page.locator('[data-secret-view="base64"]').click()
    page.get_by_role("button", name="Copy exact value").click()

    expect(page.locator("[data-secret-message]")).to_contain_text("kvadmin cannot clear your clipboard")
    assert (shown(page), page.evaluate("navigator.clipboard.readText()")) == ("héllo world!", "aMOpbGxvIHdvcmxkIQ==")


def test_back_reload_and_another_person_find_no_value(page: Page, signed_in: Callable[[Page, str], None]) -> None:
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    reveal(page)
    expect(page.locator("[data-secret-value]")).to_be_visible()

    page.goto("/vaults/")
    page.go_back()
    assert "canary" not in page.content()
    page.reload()
    assert "canary" not in page.content()
    signed_in(page, "reader")
    page.goto(SECRET)
    expect(page.get_by_text("You may not see this value")).to_be_visible()
    assert "canary" not in page.content()


def test_the_browser_keeps_nothing_of_a_value(page: Page, signed_in: Callable[[Page, str], None]) -> None:
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    reveal(page)
    expect(page.locator("[data-secret-value]")).to_be_visible()

    kept = page.evaluate(
        """async () => JSON.stringify([
            {...localStorage}, {...sessionStorage}, document.cookie, history.state, location.href,
            (await indexedDB.databases()).length, await caches.keys(),
            [...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.value)),
            [...document.querySelectorAll('input, textarea')].map(e => e.value)])"""
    )

    assert "canary" not in kept
    # Only htmx keeps anything there: the path of the page that is open.
    assert page.evaluate("Object.entries({...localStorage, ...sessionStorage})") == [
        ["htmx-current-path-for-history", SECRET]
    ]


def test_a_refusal_keeps_the_reason_and_says_why(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    azure.put_secret("pay-prod", "db-password", "off", enabled=False)

    reveal(page, "INC-8")

    expect(page.get_by_role("alert")).to_contain_text("disabled")
    expect(page.get_by_label("Reason")).to_have_value("INC-8")
    assert LedgerEntry.objects.get(phase="failed").code == "disabled"


# One test for each person, and not for each page: to make the world takes longer than to look at a page.
PAGES = {
    "": ["/sign-in/"],
    "reader": [
        "/", "/vaults/", "/vaults/?health=gone", "/vaults/pay-prod/", "/vaults/old-prod/", SECRET, SECRET + "versions/",
        "/search/?q=db", "/search/?q=nothing-like-this", "/help/", "/audit/", "/no/such/page",
    ],
    "secrets-user": [SECRET],
    "administrator": [
        "/people/", "/people/{person}/", "/roles/", "/roles/assign/", "/policies/", "/sync/", "/register-vault/",
    ],
    "auditor": ["/audit/", "/audit/events/{event}/", "/audit/ledger/"],
}  # fmt: skip


@pytest.mark.parametrize("username", PAGES)
def test_every_page_is_accessible_and_fits_a_phone(
    username: str, page: Page, signed_in: Callable[[Page, str], None], no_barrier: Callable[[Page, str], None]
) -> None:
    ingest_audit([world.WORKSPACE])
    event, person = AccessEvent.objects.latest("at"), Person.objects.get(username="reader")
    if username:
        signed_in(page, username)

    for path in PAGES[username]:
        no_barrier(page, path.format(event=event.pk, person=person.pk))


def test_an_open_value_is_accessible(
    page: Page, signed_in: Callable[[Page, str], None], axe: Callable[[Page], None]
) -> None:
    signed_in(page, "secrets-user")
    page.goto(SECRET)
    reveal(page)
    expect(page.locator("[data-secret-value]")).to_be_visible()

    axe(page)


def test_the_keyboard_reaches_everything(page: Page, signed_in: Callable[[Page, str], None]) -> None:
    signed_in(page, "secrets-user")
    page.goto("/")

    page.keyboard.press("g")
    page.keyboard.press("v")
    page.wait_for_url("**/vaults/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.goto(SECRET)
    page.get_by_label("Reason").focus()
    page.keyboard.type("INC-7 by keyboard")
    page.keyboard.press("Enter")

    expect(page.locator("[data-secret-value]")).to_be_visible()
