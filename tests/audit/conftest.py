"""What every test of the evidence may ask for."""

from __future__ import annotations

import pytest

from kvadmin.emulator.state import Azure, Workspace
from tests.audit.logged import LOGS, SUBSCRIPTION


@pytest.fixture
def logs(azure: Azure) -> Workspace:
    """A workspace that pay-prod sends its log to."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    workspace = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=LOGS)
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, workspace=workspace.resource_id)
    return workspace
