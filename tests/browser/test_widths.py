"""What stays on one line, and that no page is wider than its window."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from kvadmin.emulator.state import Azure
from tests import factories
from tests.browser import world
from vaults.models import Vault, VaultWarning

VERSIONS = (
    "secrets/db-password/",
    "secrets/db-password/versions/",
    "keys/signing/versions/",
    "certificates/tls/versions/",
)
LINES = """nodes => Math.max(0, ...nodes.map(node => {
  const range = document.createRange();
  range.selectNodeContents(node);
  return new Set([...range.getClientRects()].map(line => Math.round(line.bottom / 12))).size;
}))"""
WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture(autouse=True)
def _company(azure: Azure, transactional_db: None) -> None:
    world.build(azure)
    soon = azure.clock.now() + timedelta(days=6)
    for value in ("v1", "v2"):
        azure.put_secret("pay-prod", "db-password", value, expires_on=soon)
    azure.put_key("pay-prod", "signing", expires_on=soon)
    azure.put_certificate("pay-prod", "tls")
    factories.person("officer", "secrets-officer")


@pytest.mark.parametrize("width", [390, 900, 1100, 1280, 1440])
def test_the_id_of_a_version_is_one_line(width: int, page: Page, signed_in: Callable[[Page, str], None]) -> None:
    signed_in(page, "officer")
    page.set_viewport_size({"width": width, "height": 900})
    for path in VERSIONS:
        page.goto(f"/vaults/pay-prod/{path}")
        page.locator("#versions th a.mono").first.wait_for()
        assert page.locator("#versions th a.mono").evaluate_all(LINES) == 1, path
        assert page.evaluate(WIDTH) <= width, path


@pytest.mark.parametrize(("person", "rows"), [("officer", 1), ("auditor", 2)])
def test_the_filters_of_the_rotation_board_wrap_between_fields_only(
    person: str, rows: int, page: Page, signed_in: Callable[[Page, str], None]
) -> None:
    signed_in(page, person)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/rotation/")

    fields = page.locator("#rotation-board form.filters > *:not([type=hidden])")
    bottoms = fields.evaluate_all("nodes => nodes.map(node => Math.round(node.getBoundingClientRect().bottom))")
    assert len(set(bottoms)) == rows
    assert page.locator("#rotation-board form.filters label").evaluate_all(LINES) == 1


def test_the_list_of_vaults_with_warnings_is_accessible_and_fits_a_phone(
    page: Page, signed_in: Callable[[Page, str], None], no_barrier: Callable[[Page, str], None]
) -> None:
    vault, now = Vault.objects.get(name="pay-prod"), timezone.now()
    VaultWarning.objects.all().delete()
    VaultWarning.objects.create(vault=vault, code="no-logs", level="serious", sentence="It rings.", since=now)
    signed_in(page, "officer")

    no_barrier(page, "/vaults/")
    page.get_by_role("link", name="1 warning of pay-prod, the most serious: serious").click()
    page.wait_for_url("**/vaults/pay-prod/#warnings-title")
