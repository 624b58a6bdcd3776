"""Who holds which rights in the invented company: those who read in its log, some who could, and some slips."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import NAMESPACE_URL, uuid5

from kvadmin.emulator import seed_people as people
from kvadmin.emulator.denials import Denial
from kvadmin.emulator.identities import Identity
from kvadmin.emulator.roles import DATA_ACTION, MANAGEMENT_GROUP, Role
from kvadmin.emulator.seed_access import PIPELINE, STAFF, WORKLOADS
from kvadmin.emulator.seed_cloud import PAYMENTS, PLATFORM
from kvadmin.emulator.state import Azure

USER, OFFICER = "Key Vault Secrets User", "Key Vault Secrets Officer"
SINCE = datetime(2025, 9, 16, 8, 20, tzinfo=UTC)
OPERATOR, OPERATOR_ID = "Vault Operator", "5d0f6f5e-7c1b-4f4e-9d0c-2a54be1f9a77"


def group(name: str) -> Identity:
    """A group of the company's directory."""
    return Identity("group", str(uuid5(NAMESPACE_URL, f"https://{people.DOMAIN}/group/{name}")), "", name=name)


PAYMENTS_TEAM = group("Payments developers")
PLATFORM_TEAM = group("Platform engineers")
CLOUD_ADMINS = group("Cloud administrators")
GROUPS = (PAYMENTS_TEAM, PLATFORM_TEAM, CLOUD_ADMINS)


def build(azure: Azure) -> None:
    """Roles and access policies of everybody who stands in the log, then the wide ones, then the set-up of vaults."""
    for identity, name in sorted(_readers(), key=lambda pair: (pair[1], pair[0].object_id)):
        _let_read(azure, identity, name)
    _wide(azure)
    _set_up(azure)


def _readers() -> set[tuple[Identity, str]]:
    staff = {(member.identity, name) for member in STAFF for name in member.vaults}
    return staff | {(workload.identity, workload.vault) for workload in WORKLOADS}


def _let_read(azure: Azure, identity: Identity, name: str) -> None:
    vault = azure.vault(name)
    if vault.rbac:
        azure.grant(identity, USER, vault.resource_id, since=SINCE)
    else:
        azure.grant_access_policy(identity, name, ("get", "list"))


def _wide(azure: Azure) -> None:
    payments, platform = f"/subscriptions/{PAYMENTS}", f"/subscriptions/{PLATFORM}"
    azure.grant(CLOUD_ADMINS, "Owner", f"{MANAGEMENT_GROUP}fernhill", since=SINCE)
    azure.grant(PLATFORM_TEAM, "Contributor", platform, since=SINCE)
    azure.grant(PIPELINE, OFFICER, payments, since=SINCE)
    azure.grant(PIPELINE, "Contributor", payments, since=SINCE)
    azure.grant(PAYMENTS_TEAM, USER, f"{azure.vault('pay-staging').resource_id}/secrets/db-password", since=SINCE)
    _with_conditions(azure, azure.vault("identity-prod").resource_id)
    # What a deployment stack makes of its "deny settings": nobody else changes what it deployed.
    stack, changes = azure.vault("platform-prod").resource_id.lower(), Role("", actions=("*/write", "*/delete"))
    azure.denials.append(Denial("Deployment stack platform-prod", stack, changes, excluded=(CLOUD_ADMINS,)))


def _with_conditions(azure: Azure, vault: str) -> None:
    """A custom role that holds for some names only, and somebody who hands out rights."""
    taken = (f"{DATA_ACTION}purge/action",)
    azure.add_role(OPERATOR, Role(OPERATOR_ID, (f"{DATA_ACTION}*",), not_data_actions=taken, custom=True))
    condition = "@Resource[Microsoft.KeyVault/vaults/secrets:name] StringLike 'session-*'"
    azure.grant(PLATFORM_TEAM, OPERATOR, vault, since=SINCE, condition=condition)
    azure.grant(people.CARLA, "Key Vault Data Access Administrator", vault, since=SINCE)


def _set_up(azure: Azure) -> None:
    """kvadmin comes from 203.0.113.10, so the ranges of the firewall let it in."""
    azure.grant_access_policy(people.FARID, "pay-settlement", ("all",))
    azure.vault("pay-staging").template_deployment = True
    platform, identity = azure.vault("platform-prod"), azure.vault("identity-prod")
    platform.default_action, platform.ip_rules = "Deny", ("203.0.113.0/24", "20.48.0.0/12")
    identity.default_action, identity.ip_rules = "Deny", ("203.0.113.0/24",)
    identity.private_endpoints = {"pe-identity-prod": "Approved"}
    azure.vault("platform-shared").private_endpoints = {"pe-platform-shared": "Approved", "pe-old-hub": "Pending"}
