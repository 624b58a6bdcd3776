"""What the sweep keeps of each vault's set-up and of who can get at its values, over the emulator."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from kvadmin.emulator.denials import Denial
from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.roles import Role
from kvadmin.emulator.state import Azure
from kvadmin.gateway.errors import NotFound
from kvadmin.gateway.paging import AT_ONCE
from tests import factories
from vaults import described, warned
from vaults.models import AzureAccess, SyncRun, VaultDetail, VaultWarning
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "11111111-0000-4000-8000-000000000001"
ANN = Identity("person", "0a11c0de-0000-4000-8000-00000000a001", "app", "ann@example.org")
BOT = Identity("app", "0a11c0de-0000-4000-8000-00000000b0b0", "app")
CUSTOM = "0a11c0de-0000-4000-8000-00000000c0de"


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    azure.add_subscription(SUBSCRIPTION, "Payments", kvadmin_roles=("Key Vault Reader", "Reader"))
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, tags={"environment": "prod"}, purge_protection=True)
    azure.add_vault("old", subscription_id=SUBSCRIPTION, rbac=False)
    return azure


def sweep() -> SyncRun:
    return sync_inventory(patience=AT_ONCE)


def detail(name: str = "pay-prod") -> VaultDetail:
    return VaultDetail.objects.get(vault__name=name)


def rights(name: str = "pay-prod") -> list[tuple[str, str]]:
    rows = AzureAccess.objects.filter(vault__name=name).order_by("principal_id", "role_name")
    return [(row.principal_id, row.role_name or ",".join(row.permissions)) for row in rows]


def codes(name: str = "pay-prod") -> set[str]:
    return set(VaultWarning.objects.filter(vault__name=name).values_list("code", flat=True))


def kept() -> list[list[tuple[object, ...]]]:
    """Rows that were written anew would have other ids, or another moment."""
    return [list(AzureAccess.objects.values_list("pk")), list(VaultWarning.objects.values_list("pk", "since"))]


def long_ago() -> None:
    VaultDetail.objects.update(looked_at=timezone.now() - timedelta(days=1))


def test_a_sweep_keeps_the_set_up(cloud: Azure) -> None:
    vault = cloud.vault("pay-prod")
    vault.default_action, vault.ip_rules, vault.private_endpoints = "Deny", ("203.0.113.0/24",), {"pe": "Pending"}
    vault.template_deployment = True
    sweep()
    found = detail()

    assert (found.sku, found.default_action, found.ip_rules) == ("standard", "deny", ["203.0.113.0/24"])
    assert (found.private_endpoints, found.template_deployment) == ([{"name": "pe", "status": "Pending"}], True)


def test_a_sweep_keeps_the_diagnostic_settings_and_leaves_them_while_they_cannot_be_read(cloud: Azure) -> None:
    workspace = cloud.add_workspace("law", subscription_id=SUBSCRIPTION, customer_id="c" * 36)
    cloud.vault("pay-prod").workspace = workspace.resource_id
    sweep()
    before = detail().settings
    cloud.faults.set(ARM, Fault("rbac", operations=frozenset({"DiagnosticSettings"})))
    sweep()

    assert [(one["name"], one["categories"], one["retention_days"]) for one in before] == [("audit", ["audit"], 30)]
    assert detail().settings == before


def test_a_sweep_keeps_who_can_read_and_who_could_let_themselves(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    cloud.grant(BOT, "Owner", "/providers/Microsoft.Management/managementGroups/root")
    cloud.grant(BOT, "Reader", f"/subscriptions/{SUBSCRIPTION}")
    sweep()

    assert rights() == [(ANN.object_id, "Key Vault Secrets User"), (BOT.object_id, "Owner")]
    assert list(AzureAccess.objects.filter(reads=True).values_list("principal_id", flat=True)) == [ANN.object_id]
    assert (detail().access_state, detail().access_at is not None) == ("ok", True)


def test_custom_roles_and_policies_count_by_what_they_allow(cloud: Azure) -> None:
    cloud.add_role("Taker", Role(CUSTOM, ("Microsoft.KeyVault/*",), custom=True))
    cloud.grant(ANN, "Taker", cloud.vault("pay-prod").resource_id)
    cloud.grant_access_policy(BOT, "old", ["Get", "List"])
    sweep()

    assert (rights(), rights("old")) == ([(ANN.object_id, "Taker")], [(BOT.object_id, "get,list")])


NO_READS = Role("", ("Microsoft.KeyVault/vaults/secrets/getSecret/action",))


def test_a_sweep_keeps_the_deny_assignments_that_matter_for_values(cloud: Azure) -> None:
    scope, no_deletes = f"/subscriptions/{SUBSCRIPTION}", Role("", actions=("*/delete",))
    cloud.denials += [Denial("stack", scope, NO_READS, (ANN,)), Denial("no deletes", scope, no_deletes)]
    sweep()

    assert [(row["name"], row["powers"]) for row in detail().denials] == [("stack", ["reads"])]
    assert detail("old").denials == []


def test_deny_assignments_that_cannot_be_read_are_not_known_and_the_rest_is(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    sweep()
    long_ago()
    cloud.faults.set(ARM, Fault("rbac", operations=frozenset({"DenyAssignments"})))
    sweep()

    assert (detail().access_state, detail().denials) == ("ok", None)
    assert rights() == [(ANN.object_id, "Key Vault Secrets User")]


def test_without_the_right_to_see_roles_nothing_is_known_and_nobody_is_not_said(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    cloud.faults.set(ARM, Fault("rbac", operations=frozenset({"RoleAssignments"})))
    run = sweep()

    assert (run.state, detail().access_state, detail().access_at) == ("done", "denied", None)
    assert detail().access_note == "Azure refused this: kvadmin's identity may not do it."
    assert "access-unknown" in codes()


def test_what_was_known_stays_while_azure_cannot_be_asked(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    sweep()
    before = detail().access_at
    long_ago()
    cloud.faults.set(ARM, Fault("server", operations=frozenset({"RoleAssignments"})))
    sweep()

    assert (detail().access_state, detail().access_at) == ("failed", before)
    assert rights() == [(ANN.object_id, "Key Vault Secrets User")]


def test_a_failing_vault_does_not_keep_the_others_from_being_looked_at(cloud: Azure) -> None:
    cloud.grant_access_policy(BOT, "old", ["get"])
    cloud.faults.set(ARM, Fault("server", operations=frozenset({"RoleAssignments"}), times=1))
    sweep()

    assert sorted(VaultDetail.objects.values_list("access_state", flat=True)) == ["failed", "ok"]
    assert rights("old") == [(BOT.object_id, "get")]


def test_a_text_that_no_database_takes_fails_no_sweep_and_no_other_vault(cloud: Azure) -> None:
    cloud.add_role("half a pair \ud800", Role(CUSTOM, ("Microsoft.KeyVault/*",), custom=True))
    cloud.grant(ANN, "half a pair \ud800", cloud.vault("pay-prod").resource_id)
    cloud.grant_access_policy(BOT, "old", ["get"])
    run = sweep()

    assert (run.state, detail().access_at, rights("old")) == ("done", None, [(BOT.object_id, "get")])


def test_who_lost_a_right_is_gone_from_the_list_after_the_next_look(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    sweep()
    cloud.revoke(ANN)
    sweep()
    soon = rights()
    long_ago()
    sweep()

    assert (soon, rights()) == ([(ANN.object_id, "Key Vault Secrets User")], [])


def test_a_vault_that_changed_is_looked_at_at_once(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    sweep()
    cloud.vault("pay-prod").rbac = False
    sweep()

    assert rights() == []


def test_a_second_look_writes_nothing_anew(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    sweep()
    before = kept()
    long_ago()
    sweep()

    assert kept() == before


def test_warnings_come_and_go_with_their_cause(cloud: Azure) -> None:
    sweep()
    before = codes()
    cloud.vault("pay-prod").default_action, cloud.vault("pay-prod").ip_rules = "Deny", ("203.0.113.0/24",)
    sweep()

    assert (before, codes()) == ({"open-network", "no-logs"}, {"no-logs"})


def test_who_reads_on_both_sides_of_production_is_found_across_vaults(cloud: Azure) -> None:
    dev = cloud.add_vault("pay-dev", subscription_id=SUBSCRIPTION, tags={"environment": "dev"})
    for vault in (cloud.vault("pay-prod"), dev):
        cloud.grant(BOT, "Key Vault Secrets User", vault.resource_id)
    sweep()

    ringing = [name for name in ("pay-prod", "pay-dev", "old") if "across-environments" in codes(name)]
    assert ringing == ["pay-prod", "pay-dev"]


def test_secrets_of_two_environments_in_one_vault_are_found_by_their_names(cloud: Azure) -> None:
    for name in ("db-password-prod", "db-password-dev"):
        cloud.put_secret("pay-prod", name, "x")
    sweep()

    assert (detail().named_environments, "mixed-environments" in codes()) == ({"prod": 1, "dev": 1}, True)


def test_a_vault_that_is_gone_has_no_warnings_any_more(cloud: Azure) -> None:
    sweep()
    cloud.remove_vault("pay-prod")
    sweep()

    assert codes() == set()


def test_a_registered_vault_that_arm_does_not_show_is_not_judged(cloud: Azure) -> None:
    factories.vault("hidden", resource_id="", registered=True)
    sweep()

    assert (VaultDetail.objects.filter(vault__name="hidden").count(), codes("hidden")) == (0, set())


def test_looking_at_one_vault_brings_it_up_to_date(cloud: Azure) -> None:
    sweep()
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    vault = detail().vault
    described.look(vault)

    assert rights() == [(ANN.object_id, "Key Vault Secrets User")]


def test_a_vault_that_azure_does_not_describe_is_an_error_and_nothing_is_lost(cloud: Azure) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    sweep()
    vault = detail().vault
    cloud.remove_vault("pay-prod")

    with pytest.raises(NotFound):
        described.look(vault)
    assert rights() == [(ANN.object_id, "Key Vault Secrets User")]


def test_looking_reads_no_value(cloud: Azure) -> None:
    cloud.put_secret("pay-prod", "db-password", "x")
    sweep()
    described.look(detail().vault)

    assert {row.operation for row in cloud.log} & {"SecretGet", "SecretBackup"} == set()


@pytest.mark.parametrize("count", [1, 3])
def test_all_vaults_are_judged_by_as_many_queries_as_one(
    db: None, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for number in range(count):
        vault = factories.vault(f"pay-{number}", purge_protection=True, log_state="ok")
        factories.detail(vault)
        factories.azure_access(vault)
    with django_assert_num_queries(8):  # type: ignore[attr-defined]
        warned.renew()

    assert VaultWarning.objects.filter(code="access-policies").count() == count


def test_kvadmin_itself_is_marked_and_rings_no_rule(cloud: Azure) -> None:
    cloud.grant(KVADMIN, "Key Vault Secrets Officer", f"/subscriptions/{SUBSCRIPTION}")
    sweep()

    assert [(row.principal_id, row.own) for row in AzureAccess.objects.all()] == [(KVADMIN.object_id, True)]
    assert "wide-roles" not in codes()
