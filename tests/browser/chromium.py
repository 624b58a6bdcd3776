"""Finds a Chromium for the browser tests, or installs one: `python -m tests.browser.chromium` prints its path.

Tried in order: $KVADMIN_CHROMIUM, what PATH has, Debian's package (as root), Playwright's own download. Without one the
browser tests are skipped aloud, but under CI=true that is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str:
    """The path of a Chromium that is already here, or "" when there is none."""
    named = os.environ.get("KVADMIN_CHROMIUM", "")
    if named:
        return named if shutil.which(named) else ""
    return next(filter(None, map(shutil.which, NAMES)), "") or _downloaded()


def _downloaded() -> str:
    """The Chromium that Playwright downloaded earlier, if it did."""
    from playwright.sync_api import sync_playwright  # slow to import, and seldom needed

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else ""


def install() -> None:
    """Tries Debian's package, then Playwright's download; says on stderr what it does. Neither is a must."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _say("No Chromium here: installing Debian's for the browser tests ...")
        if _run("apt-get", "update", "-q") and _run(
            "apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"
        ):
            return
    _say("No Chromium here: asking Playwright to download one for the browser tests ...")
    _run(sys.executable, "-m", "playwright", "install", "chromium")


def _run(*command: str) -> bool:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, check=False, stdout=sys.stderr, env=environment).returncode == 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - stdout carries the path and nothing else


def main() -> int:
    if not find() and not os.environ.get("KVADMIN_CHROMIUM"):
        install()
    found = find()
    if not found:
        _say("NO CHROMIUM: the browser tests are skipped. Install one, or name it with KVADMIN_CHROMIUM=/path/to/it.")
        return 1 if os.environ.get("CI") == "true" else 0
    print(found)  # noqa: T201 - this is the answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
