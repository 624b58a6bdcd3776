"""The tests' settings without what only tests need: nothing watches the queries while they are measured."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

INSTALLED_APPS.remove("zeal")  # noqa: F405
MIDDLEWARE.remove("zeal.middleware.zeal_middleware")  # noqa: F405
KVADMIN_REVEALS_PER_HOUR = 1_000_000
