from __future__ import annotations

from typing import Any

import pytest

from kvadmin.emulator.faults import ARM, Fault
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway.diagnostics import SETTINGS_API, Diagnostics, Setting, Workspaces, diagnostics
from kvadmin.gateway.errors import BadAnswer, NotFound, Refused, ServerError
from kvadmin.gateway.paging import AT_ONCE
from tests.gateway.canned import error_body
from tests.gateway.conftest import SUBSCRIPTION as ONE

WORKSPACE = "c0ffee00-0000-4000-8000-00000000000a"
VAULT_ID = f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/v"
WORKSPACE_ID = f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w"


def test_a_vaults_log_is_found_in_its_workspace(azure: Azure, vault: Vault):
    workspace = azure.add_workspace("logs", subscription_id=ONE, customer_id=WORKSPACE)
    logged = azure.add_vault("logged", subscription_id=ONE, workspace=workspace.resource_id)

    assert diagnostics(logged.resource_id) == Diagnostics("ok", WORKSPACE, 30, dedicated=True)


def test_the_older_table_is_told_from_the_dedicated_one(azure: Azure, vault: Vault):
    workspace = azure.add_workspace("logs", subscription_id=ONE, customer_id=WORKSPACE, tables=("AzureDiagnostics",))
    logged = azure.add_vault("logged", subscription_id=ONE, workspace=workspace.resource_id)

    assert diagnostics(logged.resource_id).dedicated is False


def test_each_setting_is_told_with_its_categories_its_places_and_how_long_they_are_kept(scripted: Any):
    logs = [{"category": "AuditEvent", "enabled": True}, {"categoryGroup": "allLogs", "enabled": False}]
    both = setting(logs=logs, storageAccountId="/s", eventHubName="hub")
    quiet = setting(logs=None, workspaceId=None)

    def answer(request: Request) -> Response:
        return settings_answer(both, quiet) if "diagnosticSettings" in request.path else workspace_answer()

    scripted(answer)

    assert diagnostics(VAULT_ID).settings == (
        Setting("s", ("AuditEvent",), WORKSPACE_ID, "/s", "hub", 90),
        Setting("s", ()),
    )


def test_a_vault_without_a_setting_is_a_blind_spot(azure: Azure, vault: Vault):
    assert diagnostics(azure.vault("pay-prod").resource_id) == Diagnostics("no-setting")


def test_a_log_that_goes_to_storage_is_out_of_reach(azure: Azure, vault: Vault):
    vault.storage_account = f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/s"

    assert diagnostics(vault.resource_id) == Diagnostics("not-to-workspace")


def test_a_workspace_that_is_gone_or_closed_is_unreadable(azure: Azure, vault: Vault):
    gone = f"/subscriptions/{ONE}/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/gone"
    logged = azure.add_vault("logged", subscription_id=ONE, workspace=gone)
    before = diagnostics(logged.resource_id)
    azure.faults.set(ARM, Fault("rbac", operations=frozenset({"Workspace"})))

    assert (before, diagnostics(logged.resource_id)) == (Diagnostics("unreadable"), Diagnostics("unreadable"))


def test_settings_that_kvadmin_may_not_read_are_unreadable(azure: Azure, vault: Vault):
    azure.revoke(KVADMIN)

    assert diagnostics(azure.vault("pay-prod").resource_id) == Diagnostics("unreadable")


def test_a_vault_that_is_gone_is_not_found(azure: Azure, vault: Vault):
    azure.remove_vault("pay-prod")

    with pytest.raises(NotFound):
        diagnostics(vault.resource_id)


def test_a_failure_of_azure_is_no_state_of_the_vault(azure: Azure, vault: Vault):
    azure.faults.set(ARM, Fault("server", operations=frozenset({"DiagnosticSettings"})))

    with pytest.raises(ServerError):
        diagnostics(azure.vault("pay-prod").resource_id, patience=AT_ONCE)


@pytest.mark.parametrize("status", [404, 409])
@pytest.mark.parametrize("code", ["NoRegisteredProviderFound", "MissingSubscriptionRegistration"])
def test_a_subscription_that_never_used_diagnostic_settings_has_none(scripted: Any, status: int, code: str):
    scripted(lambda request: json_response(status, error_body(code)))

    assert diagnostics(VAULT_ID) == Diagnostics("no-setting")


def test_a_workspace_shared_by_many_vaults_is_asked_once(azure: Azure, vault: Vault, scripted: Any):
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.path.rsplit("/", 2)[-1])
        return settings_answer(setting()) if "diagnosticSettings" in request.path else workspace_answer()

    scripted(answer)
    known: Workspaces = {}

    found = [diagnostics(VAULT_ID, known=known) for _ in range(3)]

    assert ({one.workspace_id for one in found}, asked) == (
        {WORKSPACE},
        ["diagnosticSettings", "w", "diagnosticSettings", "diagnosticSettings"],
    )


@pytest.mark.parametrize(
    ("logs", "state"),
    [
        ([{"category": "AuditEvent", "enabled": True, "retentionPolicy": {"days": 0}}], "ok"),
        ([{"categoryGroup": "audit", "enabled": True}], "ok"),
        ([{"categoryGroup": "allLogs", "enabled": True}], "ok"),
        ([{"category": "AuditEvent", "enabled": False}], "no-setting"),
        ([{"category": "AzurePolicyEvaluationDetails", "enabled": True}], "no-setting"),
        ([], "no-setting"),
        (None, "no-setting"),
    ],
)
def test_only_a_setting_that_sends_the_access_log_counts(scripted: Any, logs: Any, state: str):
    def answer(request: Request) -> Response:
        return settings_answer(setting(logs=logs)) if "diagnosticSettings" in request.path else workspace_answer()

    scripted(answer)

    assert diagnostics(VAULT_ID).state == state


def test_of_several_settings_the_first_readable_one_counts(scripted: Any):
    closed = setting(workspaceId=f"{WORKSPACE_ID}-closed")

    def answer(request: Request) -> Response:
        if "diagnosticSettings" in request.path:
            return settings_answer(closed, setting(), setting(workspaceId=None))
        return json_response(403, error_body("AuthorizationFailed")) if "closed" in request.path else workspace_answer()

    scripted(answer)

    assert diagnostics(VAULT_ID) == Diagnostics("ok", WORKSPACE, 90, dedicated=False)


@pytest.mark.parametrize("body", [{"value": [{}]}, {"value": [{"properties": None}]}, {"value": ["x"]}, []])
def test_settings_that_are_none_are_a_bad_answer(scripted: Any, body: Any):
    scripted(lambda request: json_response(200, body))

    with pytest.raises(BadAnswer):
        diagnostics(VAULT_ID)


def test_a_workspace_that_is_none_is_a_bad_answer(scripted: Any):
    def answer(request: Request) -> Response:
        return settings_answer(setting()) if "diagnosticSettings" in request.path else json_response(200, {"a": 1})

    scripted(answer)

    with pytest.raises(BadAnswer):
        diagnostics(VAULT_ID)


@pytest.mark.parametrize(
    "resource_id",
    ["", "/", "x", "/subscriptions/a", "/subscriptions/a/../../b/c/d/e/f", "https://evil.example/a/b/c/d/e"],
)
def test_what_is_no_resource_id_is_refused_before_anything_is_sent(azure: Azure, vault: Vault, resource_id: str):
    with pytest.raises(Refused):
        diagnostics(resource_id)


def test_a_resource_id_cannot_smuggle_a_query_in(scripted: Any):
    asked: list[Request] = []

    def answer(request: Request) -> Response:
        asked.append(request)
        return json_response(404, error_body("ResourceNotFound"))

    scripted(answer)

    with pytest.raises(NotFound):
        diagnostics(f"{VAULT_ID}?api-version=1#")
    assert (asked[0].path.count("%3F"), asked[0].query) == (1, {"api-version": SETTINGS_API})


def setting(**changes: Any) -> dict[str, Any]:
    logs = [{"category": None, "categoryGroup": "audit", "enabled": True, "retentionPolicy": {"enabled": False}}]
    return {"workspaceId": WORKSPACE_ID, "logs": logs, "logAnalyticsDestinationType": None} | changes


def settings_answer(*settings: dict[str, Any]) -> Response:
    return json_response(
        200, {"value": [{"id": "x", "name": "s", "properties": properties} for properties in settings]}
    )


def workspace_answer() -> Response:
    return json_response(200, {"properties": {"customerId": WORKSPACE, "retentionInDays": 90}})
