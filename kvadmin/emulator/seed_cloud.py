"""Three subscriptions, two workspaces of different shape, and twelve vaults, some of which are unwell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.resources import Workspace
from kvadmin.emulator.state import Azure

PAYMENTS = "4b1f7c2e-1d0a-4e9b-8a53-0c6d2e7f1a01"
PLATFORM = "9e3a5d70-6c42-4f18-b7e6-5a8b1c9d2e02"
SANDBOX = "c7d8e9f0-2b3a-4c5d-9e6f-7081920a3b03"
SUBSCRIPTIONS = {PAYMENTS: "Payments production", PLATFORM: "Shared platform", SANDBOX: "Sandbox"}
SECURITY_WORKSPACE = "6d0b1f52-93c7-4e8a-b1d4-2f7a5c9e0b11"
OPERATIONS_WORKSPACE = "e2c94a07-58bf-4d13-9a6e-7b0c8d1f3a22"
# Azure takes minutes; whoever looks at a demo should not have to.
LOG_DELAY = timedelta(seconds=20)
EVERYTHING = frozenset(
    {"get", "list", "set", "delete", "recover", "backup", "restore"}
    | {"keys/get", "keys/list", "keys/getrotationpolicy", "certificates/get", "certificates/list"}
)


@dataclass(frozen=True)
class Plan:
    """One vault of the demo: how many ordinary secrets it holds, where its log goes ("" nowhere), what ails it."""

    name: str
    subscription_id: str
    environment: str
    secrets: int
    log: str = "security"
    rbac: bool = True
    team: str = "payments"
    location: str = "westeurope"
    public_network: bool = True
    visible_in_arm: bool = True
    fault: Fault | None = None


PLANS = (
    Plan("pay-prod", PAYMENTS, "prod", 118),
    Plan("pay-staging", PAYMENTS, "staging", 84),
    Plan("pay-settlement", PAYMENTS, "prod", 40, "operations", rbac=False, location="northeurope"),
    Plan("pay-cards-prod", PAYMENTS, "prod", 12, rbac=False, fault=Fault("firewall")),
    Plan("identity-prod", PLATFORM, "prod", 88, team="identity"),
    Plan("identity-staging", PLATFORM, "staging", 58, "operations", rbac=False, team="identity"),
    Plan("platform-prod", PLATFORM, "prod", 86, team="platform"),
    Plan("platform-shared", PLATFORM, "prod", 10, team="platform", public_network=False),
    Plan("platform-legacy", PLATFORM, "prod", 28, "operations", rbac=False, team="platform", visible_in_arm=False),
    Plan("sandbox-dev", SANDBOX, "dev", 70, "", team="platform", location="swedencentral"),
    Plan("sandbox-data", SANDBOX, "dev", 10, "operations", team="data", fault=Fault("rbac")),
    Plan("sandbox-load", SANDBOX, "dev", 10, "operations", team="platform", fault=Fault("throttled", retry_after=2)),
)


def build(azure: Azure) -> None:
    """Make all of it; the faults are switched on at once, for they do not hinder seeding."""
    for subscription_id, name in SUBSCRIPTIONS.items():
        azure.add_subscription(subscription_id, name)
    workspaces = {"security": _security(azure), "operations": _operations(azure)}
    for plan in PLANS:
        _vault(azure, plan, workspaces.get(plan.log))


def _security(azure: Azure) -> Workspace:
    """The modern shape; now and then a row comes twice."""
    workspace = azure.add_workspace(
        "law-security",
        subscription_id=PLATFORM,
        customer_id=SECURITY_WORKSPACE,
        tables=("AZKVAuditLogs",),
        delay=LOG_DELAY,
    )
    workspace.retention_days, workspace.duplicates = 90, 0.005
    return workspace


def _operations(azure: Azure) -> Workspace:
    """The old shape, shared with all other services."""
    workspace = azure.add_workspace(
        "law-operations",
        subscription_id=PLATFORM,
        customer_id=OPERATIONS_WORKSPACE,
        tables=("AzureDiagnostics",),
        delay=LOG_DELAY,
    )
    workspace.retention_days = 31
    return workspace


def _vault(azure: Azure, plan: Plan, workspace: Workspace | None) -> None:
    azure.add_vault(
        plan.name,
        subscription_id=plan.subscription_id,
        resource_group=f"rg-{plan.team}-{plan.environment}",
        location=plan.location,
        tags={"environment": plan.environment, "team": plan.team, "cost-centre": "4711"},
        rbac=plan.rbac,
        purge_protection=plan.environment == "prod",
        soft_delete_days=90 if plan.environment == "prod" else 7,
        public_network=plan.public_network,
        workspace=workspace.resource_id if workspace else None,
        visible_in_arm=plan.visible_in_arm,
    )
    if not plan.rbac:
        azure.grant_access_policy(KVADMIN, plan.name, EVERYTHING)
    if plan.fault:
        azure.faults.set(plan.name, plan.fault)
