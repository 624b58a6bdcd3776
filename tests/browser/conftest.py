"""Headless Chromium over a live server in this process, on the in-process emulator.

Every test here is marked `browser`, sees real transactions, and fails when the page logs an error: a script that
breaks, or anything that the content security policy refuses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from playwright.sync_api import ConsoleMessage, Page
from pytest_django.live_server_helper import LiveServer

from tests.browser import chromium
from vaults.models import Person

# Playwright runs an event loop in the thread of the test, and Django takes that for an asynchronous view.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

FOLDER = Path(__file__).parent
CHROMIUM = chromium.find()
ARGUMENTS = [
    "--no-sandbox",  # containers and CI run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
RULES = {
    "light": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
    # The dark has other colours and nothing else.
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
# Chromium may keep an old colour on an element that a script added: what is hidden and shown again is styled anew.
AT_REST = """() => {
  document.body.hidden = true;
  document.body.getBoundingClientRect();
  document.body.hidden = false;
  return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
# What a page asks for once it is there has come.
LOADED = "() => !document.querySelector('[hx-trigger=load], .htmx-request, .htmx-settling')"
# Cells whose label or content lies over what stands below them.
OVERLAPPING = """() => [...document.querySelectorAll('main .table :is(th, td)[data-label]')]
  .filter(cell => cell.scrollHeight > cell.clientHeight + 1).map(cell => cell.dataset.label)"""
EXPECTED = "Failed to load resource"  # an answer with an error status, which a test may ask for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.django_db(transaction=True))
            if not CHROMIUM:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium: see KVADMIN_CHROMIUM"))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 800}, "timezone_id": "Europe/Berlin"}


@pytest.fixture(scope="session")
def base_url(live_server: LiveServer) -> str:
    """What a path stands for: `page.goto("/vaults/")`."""
    return live_server.url


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page of the live server, which logs no error."""
    errors: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error" and EXPECTED not in message.text:
            errors.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


@pytest.fixture
def signed_in(base_url: str) -> Callable[[Page, str], None]:
    """signed_in(page, "reader"): the browser holds this person's session, as if the form had been filled in."""

    def sign_in(page: Page, username: str) -> None:
        client = Client()
        client.force_login(Person.objects.get(username=username))
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": base_url, "httpOnly": True}]
        )

    return sign_in


@pytest.fixture
def axe() -> Callable[[Page], None]:
    """axe(page): no finding of axe-core for WCAG 2.2 AA, in the light and in the dark."""

    def check(page: Page) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate(AT_REST)
            found = Axe().run(page, options={"runOnly": RULES[scheme], "resultTypes": ["violations"]})
            assert found.violations_count == 0, f"{page.url} ({scheme})\n{found.generate_report()}"
        page.emulate_media(color_scheme=None, reduced_motion=None)

    return check


@pytest.fixture
def no_barrier(axe: Callable[[Page], None]) -> Callable[[Page, str], None]:
    """no_barrier(page, "/vaults/"): axe finds nothing there, and on a phone nothing sticks out or lies over another."""

    def check(page: Page, path: str) -> None:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(path)
        page.wait_for_function(LOADED)
        axe(page)
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert page.evaluate(OVERLAPPING) == [], path

    return check
