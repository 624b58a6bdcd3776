"""Rows of the access log, through the real SDK, out of both tables, in one form."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.kql import tokens
from kvadmin.emulator.state import Azure
from kvadmin.gateway import logs
from kvadmin.gateway.errors import (
    BadAnswer,
    Denied,
    GatewayError,
    NoTable,
    NotFound,
    Refused,
    ServerError,
    Throttled,
    Unreachable,
)
from tests.emulator.cloud import ANN, SUBSCRIPTION
from tests.emulator.logcloud import AGENT, BATCH, GUEST, OTHER_WORKSPACE, ROBOT, VERSION, WORKSPACE, add_workspace, read

KEYS = {
    *("Source", "TimeGenerated", "VaultId", "OperationName", "Status", "ResultSignature", "ResultDescription"),
    *("CorrelationId", "CallerIp", "ClientInfo", "ObjectUrl", "RequestUri", "DurationMs", "TenantId", "Claims", "Raw"),
}
TABLES = ["AZKVAuditLogs", "AzureDiagnostics"]


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    return azure


def window(azure: Azure, hours: float = 24) -> logs.LogPage:
    """The last hours of the workspace's log."""
    now = azure.clock.now()
    return logs.query_audit(WORKSPACE, now - timedelta(hours=hours), now + timedelta(minutes=1))


@pytest.mark.parametrize("table", TABLES)
def test_both_tables_give_the_same_facts(cloud: Azure, table: str) -> None:
    add_workspace(cloud, table)
    logged = read(azure=cloud)

    (row,) = window(cloud).rows

    raw, claims = row.pop("Raw"), row.pop("Claims")
    assert row == {
        "Source": table,
        "TimeGenerated": logged.time,
        "VaultId": cloud.vault("pay-prod").resource_id.lower(),
        "OperationName": "SecretGet",
        "Status": 200,
        "ResultSignature": "OK",
        "ResultDescription": "",
        "CorrelationId": logged.correlation_id,
        "CallerIp": "203.0.113.20",
        "ClientInfo": AGENT,
        "ObjectUrl": f"https://pay-prod.vault.azure.net/secrets/db-password/{VERSION}",
        "RequestUri": "https://pay-prod.vault.azure.net/secrets/db-password/?api-version=7.4",
        "DurationMs": 20,
        "TenantId": WORKSPACE,
    }
    assert {"oid": ANN.object_id, "appid": ANN.app_id, "upn": ANN.upn, "idtyp": "user"}.items() <= claims.items()
    assert json.loads(json.dumps(raw)) == raw


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("who", [ANN, BATCH, ROBOT, GUEST])
def test_claims_have_the_same_names_in_both_tables(cloud: Azure, table: str, who: Any) -> None:
    add_workspace(cloud, table)
    read(azure=cloud, identity=who)

    (row,) = window(cloud).rows

    shown = {name: value for name, value in who.claims().items() if name != "name"}
    if who is GUEST:
        del shown["upn"]
    assert shown.items() <= row["Claims"].items()
    assert "upn" not in row["Claims"].keys() - shown.keys()


@pytest.mark.parametrize("table", TABLES)
def test_the_resource_manager_s_rows_carry_the_long_claims(cloud: Azure, table: str) -> None:
    add_workspace(cloud, table)
    read(
        azure=cloud, operation="VaultPut", object_id_url="", request_uri="https://management.azure.com/subscriptions/x"
    )

    (row,) = window(cloud).rows

    assert row["Claims"][logs.OBJECT_ID_URI] == ANN.object_id
    assert row["Claims"][logs.UPN_URI] == ANN.upn
    assert row["ObjectUrl"] == ""


@pytest.mark.parametrize("table", TABLES)
def test_a_challenge_has_no_claims(cloud: Azure, table: str) -> None:
    add_workspace(cloud, table)
    read(azure=cloud, operation="Authentication", status=401, identity=None, object_id_url="", caller_address="")

    (row,) = window(cloud).rows

    assert (row["OperationName"], row["Status"], row["Claims"]) == ("Authentication", 401, {})
    assert (row["ObjectUrl"], row["CallerIp"]) == ("", "")


@pytest.mark.parametrize("table", TABLES)
def test_every_row_has_exactly_the_agreed_keys(cloud: Azure, table: str) -> None:
    add_workspace(cloud, table)
    read(azure=cloud)
    read(azure=cloud, operation="Authentication", status=401, identity=None, object_id_url="")

    assert [set(row) for row in window(cloud).rows] == [KEYS, KEYS]


def test_raw_holds_the_columns_as_they_came_without_the_empty_ones(cloud: Azure) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    read(azure=cloud)

    raw = window(cloud).rows[0]["Raw"]

    assert (raw["httpStatusCode_d"], raw["identity_claim_upn_s"], raw["Resource"]) == (200.0, ANN.upn, "PAY-PROD")
    assert "ResultDescription" not in raw


def test_raw_holds_identity_as_an_object(cloud: Azure) -> None:
    add_workspace(cloud)
    read(azure=cloud)

    raw = window(cloud).rows[0]["Raw"]

    assert raw["Identity"]["claim"]["xms_az_nwperimid"] == []


def test_columns_that_no_row_has_used_yet_are_no_error(cloud: Azure) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    read(azure=cloud, identity=None, operation="Authentication", status=401)

    assert [row["Claims"] for row in window(cloud).rows] == [{}]


def test_columns_that_overflowed_are_found_all_the_same(cloud: Azure) -> None:
    add_workspace(cloud, "AzureDiagnostics", overflow=True)
    read(azure=cloud)

    (row,) = window(cloud).rows

    assert (row["Claims"]["upn"], row["Claims"]["oid"]) == (ANN.upn, ANN.object_id)
    assert row["Raw"]["AdditionalFields"]["identity_claim_upn_s"] == ANN.upn


def test_an_event_in_both_tables_comes_twice_with_one_correlation_id(cloud: Azure) -> None:
    add_workspace(cloud, *TABLES)
    logged = read(azure=cloud)

    rows = window(cloud).rows

    assert {(row["Source"], row["CorrelationId"]) for row in rows} == {(t, logged.correlation_id) for t in TABLES}


def test_rows_come_oldest_first_and_only_from_the_window(cloud: Azure) -> None:
    add_workspace(cloud)
    for minutes in (5, 50, 20, 90):
        read(f"at-{minutes}", azure=cloud, ago=timedelta(minutes=minutes))

    rows = window(cloud, hours=1).rows

    assert [row["ObjectUrl"].split("/")[4] for row in rows] == ["at-50", "at-20", "at-5"]


@pytest.mark.parametrize("table", TABLES)
def test_what_would_swamp_the_log_is_left_out_and_nothing_else(cloud: Azure, table: str) -> None:
    add_workspace(cloud, table)
    ours, graph = "kvadmin/0.1.0 azsdk-python-keyvault-secrets/4.12.0", "AzureResourceGraph.IngestionWorkerService/1"
    for operation, agent in [
        ("VaultGet", graph),
        ("SecretList", ours),
        ("SecretListVersions", ours),
        ("VaultGet", AGENT),
        ("SecretList", AGENT),
        ("SecretGet", ours),
        ("Authentication", ours),
    ]:
        read(azure=cloud, operation=operation, client_info=agent, identity=KVADMIN)

    kept = sorted((row["OperationName"], row["ClientInfo"]) for row in window(cloud).rows)

    assert kept == [("Authentication", ours), ("SecretGet", ours), ("SecretList", AGENT), ("VaultGet", AGENT)]


@pytest.mark.parametrize("table", TABLES)
def test_somebody_else_does_not_list_unseen_under_our_user_agent(cloud: Azure, table: str) -> None:
    add_workspace(cloud, table)
    for identity in (KVADMIN, ANN):
        read(azure=cloud, operation="SecretList", client_info="kvadmin/0.1.0", identity=identity)

    rows = window(cloud).rows

    assert [row["Claims"]["oid"] for row in rows] == [ANN.object_id]


def test_without_an_app_id_of_our_own_the_user_agent_alone_decides(cloud: Azure, settings: Any) -> None:
    settings.KVADMIN_CLIENT_ID = ""
    add_workspace(cloud)
    read(azure=cloud, operation="SecretList", client_info="kvadmin/0.1.0", identity=KVADMIN)

    assert window(cloud).rows == []


def test_a_multi_line_description_arrives_whole(cloud: Azure) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    text = 'Caller is not authorized.\nCaller: appid=1\nAssignment: "(not found)" \\ \u00fc'
    read(azure=cloud, status=403, result_description=text)

    (row,) = window(cloud).rows

    assert (row["Status"], row["ResultSignature"], row["ResultDescription"]) == (403, "Forbidden", text)


# --- Partial ---------------------------------------------------------------------------------------------------------


def test_a_whole_answer_is_not_partial(cloud: Azure) -> None:
    add_workspace(cloud)
    read(azure=cloud)

    page = window(cloud)

    assert (page.partial, page.note) == (False, "")


def test_what_azure_cuts_is_partial_and_says_why(cloud: Azure) -> None:
    add_workspace(cloud).row_limit = 2
    for _ in range(3):
        read(azure=cloud)

    page = window(cloud)

    assert (page.partial, len(page.rows)) == (True, 2)
    assert page.note.startswith("The results of this query exceed the set limit of 2 records")


def test_one_row_more_than_we_take_is_noticed(cloud: Azure, scripted: Callable[[Any], None]) -> None:
    scripted(lambda _: rows_answer([["AZKVAuditLogs", "2026-12-01T00:00:00Z", "/v", "{}"]] * (logs.MOST_ROWS + 1)))

    page = window(cloud)

    assert (page.partial, len(page.rows)) == (True, logs.MOST_ROWS)
    assert page.note == f"There are more than {logs.MOST_ROWS:,} rows in this window."


def rows_answer(rows: list[list[Any]]) -> Response:
    """Log Analytics' answer to our query with these rows."""
    types = {"Source": "string", "TimeGenerated": "datetime", "VaultId": "string", "Raw": "dynamic"}
    columns = [{"name": name, "type": kind} for name, kind in types.items()]
    return json_response(200, {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]})


# --- Errors ----------------------------------------------------------------------------------------------------------


def failure(azure: Azure, workspace_id: str = WORKSPACE) -> GatewayError:
    now = azure.clock.now()
    with pytest.raises(GatewayError) as caught:
        logs.query_audit(workspace_id, now - timedelta(hours=1), now)
    return caught.value


def test_a_workspace_without_either_table_has_no_table(cloud: Azure) -> None:
    add_workspace(cloud)

    error = failure(cloud)

    assert (type(error), error.code, error.inner) == (NoTable, "no-table", "SEM0100")


@pytest.mark.parametrize("workspace_id", [OTHER_WORKSPACE, "not-a-guid"])
def test_an_unknown_workspace_is_not_found(cloud: Azure, workspace_id: str) -> None:
    add_workspace(cloud)

    error = failure(cloud, workspace_id)

    assert (type(error), error.code) == (NotFound, "not-found")


def test_a_workspace_that_kvadmin_may_not_read_is_denied_with_the_role_to_give(cloud: Azure) -> None:
    add_workspace(cloud, readable=False)

    error = failure(cloud)

    assert (type(error), error.code) == (Denied, "denied")
    assert "Log Analytics Data Reader" in error.advice


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Fault("throttled", retry_after=20), Throttled, "throttled"),
        (Fault("server", status=504), ServerError, "server"),
        (Fault("reset"), Unreachable, "unreachable"),
        (Fault("html"), BadAnswer, "bad-answer"),
        (Fault("truncated"), BadAnswer, "bad-answer"),
    ],
)
def test_faults_have_their_class(cloud: Azure, fault: Fault, kind: type[GatewayError], code: str) -> None:
    cloud.faults.set(add_workspace(cloud).name, fault)
    read(azure=cloud)

    error = failure(cloud)

    assert (type(error), error.code, error.retry_after) == (kind, code, fault.retry_after)


def test_a_failing_query_is_not_sent_again(cloud: Azure) -> None:
    cloud.faults.set(add_workspace(cloud).name, Fault("server", status=504, times=1))
    read(azure=cloud)

    assert type(failure(cloud)) is ServerError
    assert len(window(cloud).rows) == 1


@pytest.mark.parametrize(
    "row",
    [
        ["AZKVAuditLogs", "2026-12-01T00:00:00Z", "/v", "{"],
        ["AZKVAuditLogs", None, "/v", "{}"],
        ["AZKVAuditLogs", "2026-12-01T00:00:00Z", "/v", '{"HttpStatusCode": "canary"}'],
    ],
)
def test_a_row_that_cannot_be_read_is_a_bad_answer_without_its_text(
    cloud: Azure, scripted: Callable[[Any], None], row: list[Any]
) -> None:
    scripted(lambda _: rows_answer([row]))

    error = failure(cloud)

    assert (type(error), error.raw) == (BadAnswer, "")
    assert "canary" not in str(error)


def test_the_query_asks_for_its_time_and_waits_no_longer_than_it_says(
    cloud: Azure, scripted: Callable[[Any], None]
) -> None:
    seen: list[Request] = []

    def answer(request: Request) -> Response:
        seen.append(request)
        return json_response(200, {"tables": []})

    scripted(answer)
    start = datetime(2026, 12, 1, 10, 0, 0, 5, tzinfo=UTC)
    page = logs.query_audit(WORKSPACE, start, start + timedelta(hours=1))

    assert page == logs.LogPage([])
    assert seen[0].headers["Prefer"] == "wait=60"
    assert seen[0].json() == {
        "query": logs.query(),
        "timespan": "2026-12-01T10:00:00.000005Z/2026-12-01T11:00:00.000005Z",
        "workspaces": None,
    }


# --- Literals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("db-password", 'h"db-password"'),
        ('a"b', 'h"a\\"b"'),
        ("a\\b", 'h"a\\\\b"'),
        ('\\"', 'h"\\\\\\""'),
        ("", 'h""'),
        ('" | take 1 //', 'h"\\" | take 1 //"'),
    ],
)
def test_a_literal_is_one_obfuscated_text_whatever_is_in_it(text: str, written: str) -> None:
    literal = logs.literal(text)

    assert literal == written
    assert [(token.kind, token.text) for token in tokens(literal)] == [("text", written)]


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x00", "a\u2028b", "\x85"])
def test_a_literal_never_spans_lines(text: str) -> None:
    with pytest.raises(Refused) as caught:
        logs.literal(text)

    assert str(caught.value) == "A search text for the access log cannot contain line breaks or control characters."


# --- One vault's own log ---------------------------------------------------------------------------------------------
def of_vault(azure: Azure, name: str = "pay-prod") -> logs.LogPage:
    now = azure.clock.now()
    return logs.query_audit_of_vault(azure.vault(name).resource_id, now - timedelta(days=1), now + timedelta(minutes=1))


def test_a_vault_asked_by_its_own_id_gives_the_same_rows_and_no_other_vaults(cloud: Azure) -> None:
    cloud.add_vault("hr-prod", subscription_id=SUBSCRIPTION)
    add_workspace(cloud)
    cloud.vault("hr-prod").workspace = cloud.vault("pay-prod").workspace
    wanted = read(azure=cloud)
    read(azure=cloud, vault_name="hr-prod")

    assert [row["CorrelationId"] for row in of_vault(cloud).rows] == [wanted.correlation_id]
    assert of_vault(cloud).rows == [row for row in window(cloud).rows if row["VaultId"].endswith("/pay-prod")]


def test_a_vaults_own_log_can_be_refused_or_not_be_there(cloud: Azure) -> None:
    workspace = add_workspace(cloud)
    with pytest.raises(NoTable):
        of_vault(cloud)

    workspace.readable = False
    with pytest.raises(Denied):
        of_vault(cloud)


def test_where_our_own_limit_cuts_the_answer_says_up_to_where_it_is_whole(
    azure: Azure, scripted: Callable[[Callable[[Request], Response]], None]
) -> None:
    def moment(number: int) -> str:
        return f"2026-12-01T00:{number // 6000:02}:{number // 100 % 60:02}.{number % 100:02}Z"

    rows = [["AZKVAuditLogs", moment(number), "/v", "{}"] for number in range(logs.MOST_ROWS + 1)]
    scripted(lambda _: rows_answer(rows))
    page = logs.query_audit(WORKSPACE, datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 2, tzinfo=UTC))

    assert page.complete_until == datetime(2026, 12, 1, tzinfo=UTC) + timedelta(seconds=logs.MOST_ROWS // 100)
    assert page.rows[-1]["TimeGenerated"] < page.complete_until


def test_after_a_429_that_names_a_time_nobody_asks_until_then(cloud: Azure) -> None:
    add_workspace(cloud)
    read(azure=cloud)
    cloud.faults.set("law-0", Fault("throttled", retry_after=1, times=1))
    with pytest.raises(Throttled):
        window(cloud)
    begun = time.monotonic()

    assert len(window(cloud).rows) == 1
    assert time.monotonic() - begun >= 0.9
