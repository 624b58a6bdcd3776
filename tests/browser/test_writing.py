"""Writing in a browser: what was typed, pasted or taken from a file is what Azure has and the reveal shows, exactly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from kvadmin.emulator.state import Azure
from tests import factories
from tests.browser import world
from tests.vaults.awkward import VALUES
from vaults import limbo
from vaults.models import DeletedSecret, Person, Secret, Session

SECRET = "/vaults/pay-prod/secrets/db-password/"
SET = f"{SECRET}set/"
NEW = "/vaults/pay-prod/new-secret/"
PARTS = 6  # of the sixty values, so that several processes share them


@pytest.fixture(autouse=True)
def officer(azure: Azure, transactional_db: None, settings) -> Person:
    """An officer who may see values as well, so that each can be looked at again."""
    settings.KVADMIN_REVEALS_PER_HOUR = 1000
    world.build(azure)
    person = factories.person("officer", "secrets-officer")
    factories.assign(person, "secrets-user")
    return person


def put_in(page: Page, value: str) -> None:
    """As a person would: typed where a text field can hold it, with its line breaks chosen; else from a file."""
    plain = value.replace("\r\n", "\n")
    typed = "\r" not in plain and (value == plain or plain.replace("\n", "\r\n") == value)
    if typed:
        page.locator("[data-value-text]").fill(plain)
        page.locator("[data-value-endings]").select_option("crlf" if "\r\n" in value else "lf")
    else:
        page.locator("[data-value-file]").set_input_files(
            {"name": "value.txt", "mimeType": "application/octet-stream", "buffer": value.encode()}
        )
        expect(page.locator("[data-value-exact]")).to_be_visible()


def write(page: Page, value: str) -> None:
    page.goto(SET)
    put_in(page, value)
    page.get_by_label("Reason").fill("INC-7: the matrix")
    page.get_by_role("button", name="Show what will change").click()
    page.get_by_role("button", name="Write the new version").click()
    page.wait_for_url(f"**{SECRET}")


def newest(azure: Azure) -> str:
    return azure.vault("pay-prod").secrets.get("db-password").latest.value


def only_the_newest(azure: Azure) -> None:
    """Forget the older versions, so that their growing list does not slow the pages down."""
    secret = azure.vault("pay-prod").secrets.get("db-password")
    secret.versions = {secret.latest.id: secret.latest}


@pytest.mark.parametrize("part", range(PARTS))
def test_sixty_values_through_form_azure_page_and_clipboard(
    part: int, page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    signed_in(page, "officer")
    wrong = []
    for name, value in list(VALUES.items())[part::PARTS]:
        azure.clock.advance(timedelta(seconds=2))
        write(page, value)
        page.get_by_label("Reason").fill("INC-7: the matrix")
        page.get_by_role("button", name="Show the value").click()
        shown = page.locator("[data-secret-value]").evaluate("node => node.textContent")
        page.get_by_role("button", name="Copy exact value").click()
        expect(page.locator("[data-secret-message]")).to_contain_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        if not (newest(azure) == shown == copied == value):
            wrong.append((name, newest(azure) == value, shown == value, copied == value))
        only_the_newest(azure)

    assert wrong == []


def test_bytes_are_counted_while_one_types_and_too_many_are_not_sent(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(SET)

    page.locator("[data-value-text]").fill("é" * 12_800)
    expect(page.locator("[data-value-bytes]")).to_have_text("25,600 of 25,600 bytes")
    page.locator("[data-value-text]").press("End")
    page.locator("[data-value-text]").fill("é" * 12_800 + "x")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()

    expect(page.get_by_text("25,601 bytes: Azure takes 25,600 at most.")).to_be_visible()
    assert newest(azure) == world.VALUE


def test_line_breaks_and_what_cannot_be_seen_are_told(page: Page, signed_in: Callable[[Page, str], None]) -> None:
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-text]").fill("one\u200b\ntwo\n")

    expect(page.locator("[data-value-facts]")).to_have_text("2 lines, LF, ends with a line break")
    expect(page.locator("[data-value-invisible]")).to_have_text("1 invisible character")
    page.locator("[data-value-endings]").select_option("crlf")
    expect(page.locator("[data-value-facts]")).to_have_text("2 lines, CRLF, ends with a line break")
    page.get_by_role("button", name="Mark invisible characters").click()
    expect(page.locator("[data-value-escaped]")).to_contain_text("ZWSP")


def test_what_is_pasted_with_windows_line_breaks_is_asked_about(
    page: Page, signed_in: Callable[[Page, str], None]
) -> None:
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-text]").evaluate(
        """node => {
            const data = new DataTransfer();
            data.setData("text/plain", "a\\r\\nb");
            node.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        }"""
    )

    expect(page.locator("[data-value-note]")).to_contain_text("other line breaks than LF (CRLF)")
    expect(page.locator("[data-value-endings]")).to_have_value("crlf")


def test_bytes_that_are_no_text_are_taken_as_base64_and_that_is_said(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-file]").set_input_files(
        {"name": "key.pfx", "mimeType": "application/x-pkcs12", "buffer": bytes(range(250, 256))}
    )

    expect(page.locator("[data-value-note]")).to_contain_text("its bytes are taken as base64")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.locator("[data-review-value]")).to_have_text("a new value of 8 bytes")
    page.get_by_role("button", name="Write the new version").click()
    page.wait_for_url(f"**{SECRET}")
    assert newest(azure) == "+vv8/f7/"


def test_somebody_was_faster_and_one_s_own_goes_on_top_after_a_look(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-text]").fill("mine")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_role("heading", name="What will change")).to_be_visible()
    expect(page.locator("main .button.primary")).to_have_text("Write the new version")
    azure.clock.advance(timedelta(seconds=5))
    azure.put_secret("pay-prod", "db-password", "theirs", tags={"team": "green"})

    page.get_by_role("button", name="Write the new version").click()
    expect(page.get_by_role("heading", name="Somebody was faster")).to_be_visible()
    assert newest(azure) == "theirs"
    azure.clock.advance(timedelta(seconds=5))
    page.get_by_role("button", name="mine goes on top").click()
    page.get_by_role("button", name="Write the new version").click()
    page.wait_for_url(f"**{SECRET}")

    assert newest(azure) == "mine"


def expired(azure: Azure) -> None:
    """A newest version that has expired; Azure keeps whole seconds, so it is made in a later one."""
    azure.clock.advance(timedelta(seconds=5))
    azure.put_secret("pay-prod", "db-password", "v", expires_on=azure.clock.now() - timedelta(days=1))


def test_an_old_expiry_that_is_not_confirmed_leads_to_what_confirms_it(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    expired(azure)
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-text]").fill("new")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()
    page.get_by_role("button", name="Write the new version").click()

    confirms = page.get_by_label("Write it with this expiry all the same")
    expect(confirms).to_be_focused()
    expect(confirms).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#keep-expiry-error")).to_contain_text("Confirm that, or give another date.")
    confirms.check()
    page.get_by_role("button", name="Write the new version").click()
    page.wait_for_url(f"**{SECRET}")
    assert newest(azure) == "new"


def test_after_a_plain_form_the_focus_is_on_what_will_change_and_then_on_what_has_to_be_confirmed(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    expired(azure)
    signed_in(page, "officer")
    page.goto(f"{SECRET}update/")
    page.get_by_label("Content type").fill("text/x-new")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_role("heading", name="What will change")).to_be_focused()

    page.goto(f"{SECRET}roll-back/")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_role("heading", name="What will change")).to_be_focused()
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_label("Write it with this expiry all the same")).to_be_focused()


def test_a_new_secret_by_keyboard_with_a_generated_value(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(NEW)
    page.get_by_role("textbox", name="Name", exact=True).fill("made-here")
    page.get_by_text("Generate a value").click()
    page.get_by_role("button", name="Generate, and put it into the field").click()
    expect(page.locator("[data-value-bytes]")).to_have_text("24 of 25,600 bytes")
    page.get_by_label("Reason").fill("INC-7")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Write the secret").press("Enter")
    page.wait_for_url("**/secrets/made-here/")

    assert len(azure.vault("pay-prod").secrets.get("made-here").latest.value) == 24


def test_nothing_of_the_value_stays_in_the_page_or_the_browser(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    write(page, "canary-77")
    page.go_back()
    page.wait_for_load_state("networkidle")

    kept = page.evaluate(
        """() => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, history.state, location.href,
            [...document.querySelectorAll('*')].flatMap(e => [...e.attributes].map(a => a.value)),
            [...document.querySelectorAll('input, textarea')].map(e => e.value)])"""
    )
    assert "canary-77" not in kept
    assert newest(azure) == "canary-77"


def test_a_page_that_was_left_offers_to_write_nothing_when_it_comes_back(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    """It comes back from the browser's memory without the value: writing then would write an empty one."""
    before = newest(azure)
    signed_in(page, "officer")
    page.goto(SET)
    put_in(page, "a\rb")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_role("button", name="Write the new version")).to_be_visible()

    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")

    expect(page.get_by_role("button", name="Write the new version")).to_be_hidden()
    expect(page.locator("[data-value-facts]")).to_have_text("Empty")
    expect(page.locator("[data-value-exact]")).to_be_hidden()
    assert newest(azure) == before


def test_every_page_is_accessible_and_fits_a_phone(
    page: Page, signed_in: Callable[[Page, str], None], no_barrier: Callable[[Page, str], None]
) -> None:
    signed_in(page, "officer")

    for path in (SECRET, SET, NEW, f"{SECRET}update/", f"{SECRET}roll-back/", f"{SECRET}delete/", "/deleted/"):
        no_barrier(page, path)


def test_deleting_recovering_and_purging_by_hand(
    page: Page, signed_in: Callable[[Page, str], None], axe: Callable[[Page], None], officer: Person
) -> None:
    factories.assign(officer, "purge-operator")
    signed_in(page, "officer")
    page.goto(SECRET)
    page.get_by_role("link", name="Delete", exact=True).click()
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Delete the secret").click()
    expect(page.locator("#deleted-table")).to_contain_text("Being deleted")
    axe(page)
    limbo.follow(DeletedSecret.objects.get())
    expect(page.get_by_role("link", name="Purge db-password")).to_be_visible(timeout=15_000)
    page.get_by_role("link", name="Purge db-password").click()
    axe(page)
    page.get_by_label("The secret's name, typed").fill("db-password")
    page.get_by_label("Reason").fill("INC-7")
    page.get_by_role("button", name="Purge for good").click()
    expect(page.locator("#deleted-table")).to_contain_text("Being purged")
    assert Secret.objects.get(key="db-password").vanished_at is not None


def sign_in_elsewhere(page: Page, link: str, name: str) -> None:
    """In the tab that the link opens, by name and password."""
    with page.context.expect_page() as opened:
        page.get_by_role("link", name=link).click()
    tab = opened.value
    tab.get_by_label("Username").fill(name)
    tab.get_by_label("Password").fill("pw")
    tab.get_by_role("button", name="Sign in", exact=True).click()
    tab.wait_for_url("**/vaults/**")
    tab.close()


def test_a_value_that_was_typed_when_the_session_was_over_is_written_after_a_sign_in_in_another_tab(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-text]").fill("typed-before")
    page.get_by_label("Reason").fill("INC-7: rotated")
    Session.objects.all().delete()
    page.get_by_role("button", name="Show what will change").click()
    expect(page.locator("[data-write-error]")).to_contain_text("what you typed or chose is still here")

    sign_in_elsewhere(page, "Sign in (new tab)", "officer")

    expect(page.locator("[data-value-text]")).to_have_value("typed-before")
    page.get_by_role("button", name="Show what will change").click()
    page.get_by_role("button", name="Write the new version").click()
    page.wait_for_url(f"**{SECRET}")
    assert newest(azure) == "typed-before"


def test_what_one_person_typed_is_not_written_in_the_name_of_whoever_signs_in_instead(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    factories.person("other", "secrets-officer")
    before = newest(azure)
    signed_in(page, "officer")
    page.goto(SET)
    page.locator("[data-value-text]").fill("typed-before")
    page.get_by_label("Reason").fill("INC-7: rotated")
    page.get_by_role("button", name="Show what will change").click()
    expect(page.get_by_role("button", name="Write the new version")).to_be_visible()

    signed_in(page, "other")
    page.get_by_role("button", name="Write the new version").click()

    expect(page.locator("[data-write-error]")).to_contain_text("This page was open for too long")
    assert newest(azure) == before
