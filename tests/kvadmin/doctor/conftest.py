"""A cloud in which nothing is missing, and one examination at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kvadmin.doctor.examine import EXAMINATIONS
from kvadmin.doctor.results import Result, Seen
from kvadmin.emulator.state import Azure

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"
WORKSPACE = "00000000-0000-0000-0000-00000000cccc"
CANARY = "canary-d0c7"

Ask = Callable[..., list[Result]]


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    """One vault that sends its log to one workspace."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    logs = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE).resource_id
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, workspace=logs)
    azure.put_secret("pay-prod", "db-password", CANARY)
    return azure


@pytest.fixture
def ask() -> Ask:
    """ask("vault", ...): the lines of the last one named, after those before it."""

    def examined(*names: str, vault: str = "", mail: str = "") -> list[Result]:
        seen, lines = Seen(vault, mail), list[Result]()
        for name in names:
            lines = list(EXAMINATIONS[name](seen))
        return lines

    return examined
