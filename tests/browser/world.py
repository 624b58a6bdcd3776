"""A small company in the emulator and in the inventory, for the browser: one vault that is read, one that is not, and
one that Azure no longer shows."""

from __future__ import annotations

from django.utils import timezone

from kvadmin.emulator.state import Azure
from tests import factories
from vaults.models import Secret
from vaults.sync import sync_inventory

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
WORKSPACE = "00000000-0000-0000-0000-00000000cccc"
VALUE = " canary\t7f3a\r\nsecond line <b>&amp;\u200b\n"


def build(azure: Azure) -> Secret:
    """Fill the cloud, sweep it, and give each role a person whose user name is the role's."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    workspace = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE)
    for name, environment in (("pay-prod", "prod"), ("pay-dev", "dev")):
        azure.add_vault(
            name, subscription_id=SUBSCRIPTION, workspace=workspace.resource_id, tags={"environment": environment}
        )
    azure.put_secret("pay-prod", "db-password", VALUE, tags={"owner": "<i>payments</i>"})
    azure.put_secret("pay-dev", "api-key", "not the canary")
    sync_inventory()
    factories.vault("old-prod", health="ok", listed_at=timezone.now(), vanished_at=timezone.now())
    factories.policy("direct")
    for role in ("reader", "secrets-user", "auditor", "administrator"):
        factories.person(role, role)
    return Secret.objects.get(key="db-password")
