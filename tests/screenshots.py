"""Photographs the demo's main pages for the README: `make screenshots` writes docs/pictures/.

The demo runs as `make demo` runs it, on a port of its own. Everything in the pictures is made up.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from tests import processes
from tests.browser import chromium

FOLDER = processes.ROOT / "docs" / "pictures"
HEIGHTS = {1440: 900, 390: 844}
READY = "kvadmin runs on "
PATIENCE_MS = 120_000


@dataclass(frozen=True)
class Picture:
    """One picture: the file's name, who looks, what they do first, and in which browser."""

    name: str
    person: str
    go: Callable[[Page], None]
    width: int = 1440
    scheme: Literal["light", "dark"] = "light"


def home(page: Page) -> None:
    page.goto("/")


def search(page: Page) -> None:
    page.goto("/search/?q=password")


def value(page: Page) -> None:
    """A secret in a vault where its policy lets this person see values directly, shown."""
    page.goto("/search/?q=vault:pay-prod+db-password")
    page.locator("main table tbody th a").first.click()
    page.fill("[name=reason]", "INC-2041: the nightly import cannot sign in")
    page.click("[data-reveal-button]")
    page.wait_for_selector("[data-secret-value]")


def audit(page: Page) -> None:
    page.goto("/audit/")


PICTURES = (
    Picture("home-light", "secrets-user", home),
    Picture("home-dark", "secrets-user", home, scheme="dark"),
    Picture("search", "secrets-user", search),
    Picture("value", "secrets-user", value),
    Picture("value-phone", "secrets-user", value, width=390, scheme="dark"),
    Picture("audit-light", "auditor", audit),
    Picture("audit-dark", "auditor", audit, scheme="dark"),
    Picture("audit-phone", "auditor", audit, width=390),
)


@contextmanager
def demo() -> Iterator[str]:
    """The demo's address, from the moment that it has told it until it is stopped."""
    process = processes.manage("demo", KVADMIN_PORT=str(_free_port()))
    try:
        yield _address(process)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _address(process: subprocess.Popen[str]) -> str:
    """What the demo says after it is ready. Raises RuntimeError, with all that it said, when it ends before."""
    said = []
    for line in process.stdout or ():
        said.append(line)
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    raise RuntimeError("".join(said))


def take(browser: Browser, address: str, picture: Picture) -> None:
    """Sign in by the demo's button, go there, and take the picture of what fits the window."""
    context = browser.new_context(
        base_url=address,
        viewport={"width": picture.width, "height": HEIGHTS[picture.width]},
        color_scheme=picture.scheme,
        reduced_motion="reduce",
        timezone_id="UTC",
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto("/sign-in/")
    page.click(f"button[value={picture.person}]")
    picture.go(page)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=FOLDER / f"{picture.name}.png")
    context.close()


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find() or None, args=["--no-sandbox"])
        for picture in PICTURES:
            take(browser, address, picture)
            sys.stdout.write(f"docs/pictures/{picture.name}.png\n")
        browser.close()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
