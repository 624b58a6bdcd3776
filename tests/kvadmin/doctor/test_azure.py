"""What the doctor says of Azure: all well, and each thing that is missing, with the command that mends it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import Settings

from kvadmin.doctor.results import State
from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from kvadmin.gateway import client
from tests import factories
from tests.kvadmin.doctor.conftest import SUBSCRIPTION, WORKSPACE, Ask

pytestmark = pytest.mark.django_db
VAULT_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/pay-prod"
TO_VAULT = ("credential", "resource manager", "vault")
TO_LOG = (*TO_VAULT, "diagnostic settings", "access log")
ASSIGN = (
    f"az role assignment create --assignee-object-id {KVADMIN.object_id} --assignee-principal-type ServicePrincipal"
)


def test_the_identity_is_named_by_its_object_id(cloud: Azure, ask: Ask) -> None:
    (line,) = ask("credential")

    assert line.state is State.OK
    assert f"object id {KVADMIN.object_id}, client id {KVADMIN.app_id}, tenant {cloud.tenant_id}." in line.sentence


def test_a_client_id_that_is_not_set_is_told(cloud: Azure, ask: Ask, settings: Settings) -> None:
    settings.KVADMIN_CLIENT_ID = ""

    assert [line.state for line in ask("credential")] == [State.OK, State.LOOK]
    assert f"Set it to {KVADMIN.app_id}" in ask("credential")[1].sentence


def test_a_credential_that_lacks_something_says_what_and_how_to_get_it(
    cloud: Azure, ask: Ask, settings: Settings
) -> None:
    settings.KVADMIN_EMULATOR, settings.KVADMIN_CREDENTIAL = "", "client-secret"
    settings.KVADMIN_TENANT_ID, settings.KVADMIN_CLIENT_SECRET = "", ""
    client.reset()

    (line,) = ask("credential")

    assert (line.state, line.command) == (State.WRONG, f"az ad app credential reset --id {KVADMIN.app_id} --append")
    assert "KVADMIN_CREDENTIAL=client-secret needs AZURE_TENANT_ID, AZURE_CLIENT_SECRET." in line.sentence


@pytest.mark.parametrize(("ahead", "state"), [(0, State.OK), (30, State.OK), (90, State.WRONG), (-90, State.WRONG)])
def test_clocks_may_differ_by_a_minute(cloud: Azure, ask: Ask, ahead: int, state: State) -> None:
    cloud.clock.advance(timedelta(seconds=ahead))

    assert [line.state for line in ask("clock")] == [state]


def test_subscriptions_and_vaults_are_counted(cloud: Azure, ask: Ask) -> None:
    (line,) = ask("resource manager")

    assert (line.state, line.sentence) == (State.OK, "Subscriptions seen: Payments. Vaults seen: 1.")


def test_an_identity_without_any_role_is_told_to_get_reader(cloud: Azure, ask: Ask) -> None:
    cloud.revoke(KVADMIN)

    (line,) = ask("credential", "resource manager")

    assert "its identity may be missing the role Reader" in line.sentence
    assert (line.state, line.command) == (
        State.WRONG,
        f'{ASSIGN} --role "Reader" --scope /subscriptions/SUBSCRIPTION_ID',
    )


def test_resource_manager_out_of_reach_is_told(cloud: Azure, ask: Ask) -> None:
    cloud.faults.set(ARM, Fault("dns"))

    (line,) = ask("resource manager")

    assert (line.state, line.sentence.split(".")[0], line.command) == (State.WRONG, "The name management", "")


def test_a_vault_is_listed_and_no_value_read(cloud: Azure, ask: Ask) -> None:
    said, untried = ask(*TO_VAULT)

    assert said.sentence == "pay-prod can be listed: its first page holds 1. No value was read."
    assert untried.state is State.LOOK
    assert [row.operation for row in cloud.log if row.operation == "SecretGet"] == []


@pytest.mark.parametrize(
    ("kind", "sentence", "command"),
    [
        ("rbac", "has no role on this vault that allows it", f'{ASSIGN} --role "Key Vault Reader" --scope {VAULT_ID}'),
        (
            "access-policy",
            "Add the secret permission 'list'",
            f"az keyvault set-policy --name pay-prod --object-id {KVADMIN.object_id} --secret-permissions list",
        ),
        (
            "firewall",
            "The vault's firewall does not let kvadmin in.",
            f"az keyvault network-rule add --name pay-prod --ip-address {KVADMIN.address}",
        ),
        (
            "private-link",
            "The vault accepts private connections only",
            f"az network private-endpoint-connection list --id {VAULT_ID} --output table",
        ),
        (
            "dns",
            "The name pay-prod.vault.azure.net does not resolve.",
            "az keyvault show --name pay-prod --query properties.vaultUri",
        ),
        ("throttled", "Azure is receiving too many calls for this vault; try again in a little while.", ""),
        ("reset", "The connection to Azure failed", ""),
        ("server", "Azure had an error of its own", ""),
        ("html", "The answer could not be understood", ""),
    ],
)
def test_a_vault_that_cannot_be_listed_says_why_and_what_mends_it(
    cloud: Azure, ask: Ask, kind: str, sentence: str, command: str
) -> None:
    cloud.faults.set("pay-prod", Fault(kind))

    (line,) = ask(*TO_VAULT)

    assert sentence in line.sentence
    assert (line.state, line.command.lower()) == (State.WRONG, command.lower())


def test_a_named_vault_is_the_one_that_is_examined(cloud: Azure, ask: Ask) -> None:
    cloud.add_vault("a-first", subscription_id=SUBSCRIPTION)

    assert ask(*TO_VAULT, vault="Pay-Prod")[0].sentence.startswith("pay-prod can be listed")


def test_a_vault_that_only_kvadmin_knows_can_be_examined(cloud: Azure, ask: Ask) -> None:
    cloud.vault("pay-prod").visible_in_arm = False
    factories.vault("pay-prod", resource_id="")

    assert ask(*TO_VAULT, vault="pay-prod")[0].state is State.OK


def test_an_unknown_vault_is_told(cloud: Azure, ask: Ask) -> None:
    (line,) = ask(*TO_VAULT, vault="nowhere")

    assert (line.state, line.sentence) == (
        State.WRONG,
        "There is no vault called nowhere that Azure shows to kvadmin.",
    )


def test_the_workspace_of_the_vault_is_read(cloud: Azure, ask: Ask) -> None:
    (line,) = ask(*TO_LOG)

    assert line.state is State.OK
    assert line.sentence.startswith(f"Workspace {WORKSPACE}: the access log can be read. Rows of the last hour: ")


def test_who_can_read_there_can_be_shown(cloud: Azure, ask: Ask) -> None:
    (line,) = ask(*TO_VAULT, "role assignments")

    assert line.state is State.OK
    assert line.sentence.startswith("Who can read in pay-prod by Azure's roles can be shown: ")


def test_role_assignments_that_cannot_be_seen_ask_for_key_vault_reader(cloud: Azure, ask: Ask) -> None:
    cloud.faults.set(ARM, Fault("rbac", operations=frozenset({"RoleAssignments"})))

    (line,) = ask(*TO_VAULT, "role assignments")

    assert (line.state, line.command) == (State.WRONG, f'{ASSIGN} --role "Key Vault Reader" --scope {VAULT_ID.lower()}')
    assert line.sentence.startswith("pay-prod: who can read there by Azure's roles cannot be shown.")


def test_a_vault_without_a_setting_gets_the_command_that_makes_one(cloud: Azure, ask: Ask) -> None:
    cloud.vault("pay-prod").workspace = None

    (setting,), (log,) = ask(*TO_LOG[:-1]), ask(*TO_LOG)

    assert (setting.state, setting.sentence) == (
        State.LOOK,
        "pay-prod sends its access log nowhere: kvadmin is blind for it.",
    )
    assert setting.command.startswith("az monitor diagnostic-settings create")
    assert (log.state, log.sentence) == (
        State.WRONG,
        "kvadmin knows no workspace, so nobody can see who read what.",
    )


def test_a_setting_that_cannot_be_seen_asks_for_monitoring_reader(cloud: Azure, ask: Ask) -> None:
    cloud.revoke(KVADMIN)
    cloud.grant(KVADMIN, "Key Vault Reader", f"/subscriptions/{SUBSCRIPTION}")

    (line,) = ask(*TO_LOG[:-1])

    assert (line.state, line.command.lower()) == (
        State.WRONG,
        f'{ASSIGN} --role "Monitoring Reader" --scope {VAULT_ID}'.lower(),
    )


def test_a_workspace_that_cannot_be_read_asks_for_the_data_reader(cloud: Azure, ask: Ask) -> None:
    next(iter(cloud.workspaces.values())).readable = False

    (line,) = ask(*TO_LOG)

    assert line.state is State.WRONG
    assert f'{ASSIGN} --role "Log Analytics Data Reader"' in line.command
    assert f"[?customerId=='{WORKSPACE}'].id" in line.command


def test_a_workspace_that_does_not_exist_is_told(cloud: Azure, ask: Ask, settings: Settings) -> None:
    settings.KVADMIN_WORKSPACES = ["00000000-0000-0000-0000-00000000dddd"]

    missing = ask(*TO_LOG)[1]

    assert (missing.state, missing.sentence.split(":")[0]) == (
        State.WRONG,
        "Workspace 00000000-0000-0000-0000-00000000dddd",
    )
    assert "Azure has nothing by that name here." in missing.sentence


def test_absent_tables_are_told_with_the_command_that_fills_them(azure: Azure, ask: Ask) -> None:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    logs = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE, tables=()).resource_id
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, workspace=logs)

    (line,) = ask(*TO_LOG)

    assert (line.state, "has never received an access log" in line.sentence) == (State.WRONG, True)
    assert line.command.startswith("az monitor diagnostic-settings create")
