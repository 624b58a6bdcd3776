"""The tests' settings without what only tests need: nothing watches the queries while they are measured."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "zeal"]  # noqa: F405
MIDDLEWARE = [name for name in MIDDLEWARE if not name.startswith("zeal.")]  # noqa: F405
KVADMIN_REVEALS_PER_HOUR = 1_000_000
LOGGING["loggers"]["kvadmin"]["level"] = "WARNING"  # noqa: F405 - a line for each request would hide the figures
