"""Many secrets in a browser: a file that is imported byte for byte, ticks that become a preview, and no barrier."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from kvadmin.emulator.state import Azure
from tests import factories
from tests.browser import world
from tests.vaults.awkward import VALUES
from vaults.models import Secret, Session

IMPORT = "/vaults/pay-prod/import/"


@pytest.fixture(autouse=True)
def _company(azure: Azure, transactional_db: None) -> None:
    world.build(azure)
    Secret.objects.filter(key="db-password").update(expires_on=timezone.now() + timedelta(days=3))
    factories.person("officer", "secrets-officer")


def choose(page: Page, content: bytes, name: str) -> None:
    page.locator("[data-import-file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    expect(page.locator("[data-import-output] table")).to_be_visible()


def test_every_value_of_a_file_reaches_azure_byte_for_byte(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    values = {f"v-{number}": value for number, value in enumerate(VALUES.values()) if value}
    page.goto(IMPORT)
    choose(page, json.dumps(values).encode(), "values.json")
    expect(page.get_by_text("Nothing is written yet.")).to_be_visible()
    page.get_by_label("Reason").fill("INC-7: the matrix")
    page.get_by_role("button", name="Write what is ticked").click()
    expect(page.locator("[data-import-output]")).to_contain_text(f"{len(values)} secrets")
    expect(page.get_by_text("Nothing is written yet.")).to_be_hidden()
    store = azure.vault("pay-prod").secrets
    assert {name: store.get(name).latest.value for name in values} == values  # type: ignore[union-attr]


def test_a_changed_name_has_to_be_previewed_again_and_no_value_is_on_the_page(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(IMPORT)
    choose(page, b"DB_USER='hunter2-7f3a'\n", "x.env")
    page.locator("[name=name-1]").fill("user-of-db")
    page.locator("[name=name-1]").blur()
    expect(page.locator("[data-import-confirm]")).to_be_hidden()
    page.get_by_role("button", name="Preview").click()
    page.get_by_label("Reason").fill("INC-7: move")
    page.get_by_role("button", name="Write what is ticked").click()
    expect(page.locator("[data-import-output]")).to_contain_text("1 secret")
    assert azure.vault("pay-prod").secrets.get("user-of-db").latest.value == "hunter2-7f3a"  # type: ignore[union-attr]
    assert "hunter2-7f3a" not in page.content()


def test_ticked_secrets_become_a_preview(page: Page, signed_in: Callable[[Page, str], None]) -> None:
    signed_in(page, "officer")
    page.goto("/vaults/pay-prod/")
    page.get_by_label("Tick db-password").check()
    page.get_by_role("button", name="Change the ticked ones").click()
    page.get_by_label("Change", exact=True).select_option("disable")
    expect(page.get_by_label("Tags", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#bulk-preview")).to_contain_text("enabled → becomes disabled")
    expect(page.get_by_role("button", name="Change 1 secret")).to_be_visible()


def test_no_page_of_many_secrets_has_a_barrier(
    page: Page, signed_in: Callable[[Page, str], None], axe: Callable[[Page], None]
) -> None:
    signed_in(page, "officer")
    secret = "/vaults/pay-prod/secrets/db-password/"
    for path in ("/bulk/", "/bulk/?change=disable", "/rotation/", f"/rotation/?month={timezone.now():%Y-%m}",
                 f"{secret}rotate/"):  # fmt: skip
        page.goto(path)
        axe(page)
    page.goto(IMPORT)
    choose(page, b"DB_USER=x\nEMPTY=\nDB-USER=y\nnot a line\n", "x.env")
    axe(page)


def test_a_file_that_was_chosen_when_the_session_was_over_stays_chosen(
    page: Page, signed_in: Callable[[Page, str], None], azure: Azure
) -> None:
    signed_in(page, "officer")
    page.goto(IMPORT)
    choose(page, b"DB_USER=x\n", "x.env")
    page.get_by_label("Reason").fill("INC-7: move")
    Session.objects.all().delete()
    page.get_by_role("button", name="Write what is ticked").click()
    expect(page.locator("[data-import-error]")).to_contain_text("what you typed or chose is still here")

    signed_in(page, "officer")  # in another tab
    page.get_by_role("button", name="Write what is ticked").click()

    expect(page.locator("[data-import-output]")).to_contain_text("1 secret")
    assert azure.vault("pay-prod").secrets.get("DB-USER").latest.value == "x"  # type: ignore[union-attr]
