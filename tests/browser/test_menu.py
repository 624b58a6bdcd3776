"""The pages on a phone: a menu that opens by itself, with or without scripts, and by the keyboard."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from kvadmin.emulator.state import Azure
from tests.browser import world


def test_on_a_phone_the_pages_are_a_menu_that_the_keyboard_opens(
    page: Page, azure: Azure, transactional_db: None, signed_in: Callable[[Page, str], None]
) -> None:
    world.build(azure)
    signed_in(page, "auditor")
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/")
    pages = page.get_by_role("navigation", name="Pages")
    expect(pages).to_be_hidden()

    page.get_by_role("button", name="Pages").press("Enter")
    expect(pages.get_by_role("link", name="Ledger")).to_be_visible()
    page.keyboard.press("Escape")
    expect(pages).to_be_hidden()
    page.get_by_role("button", name="Pages").press("Enter")
    pages.get_by_role("link", name="Ledger").press("Enter")

    page.wait_for_url("**/audit/ledger/")
    expect(pages).to_be_hidden()
