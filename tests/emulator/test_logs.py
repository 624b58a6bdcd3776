"""The query API of Log Analytics, through the official SDK; shapes are those of the recorded service."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import ANN, SUBSCRIPTION, shape
from tests.emulator.logcloud import (
    BATCH,
    GUEST,
    OTHER_WORKSPACE,
    ROBOT,
    WORKSPACE,
    add_workspace,
    logs_client,
    read,
    rows_of,
)

QUERY = f"https://api.loganalytics.io/v1/workspaces/{WORKSPACE}/query"

# The columns with a value in a real row of an application's read, exported by a customer.
REAL_COLUMNS = (
    *("TenantId", "ResourceId", "Category", "ResourceGroup", "SubscriptionId", "ResourceProvider", "Resource"),
    *("ResourceType", "TimeGenerated", "OperationName", "ResultType", "CorrelationId", "requestUri_s", "DurationMs"),
    *("CallerIPAddress", "OperationVersion", "ResultSignature", "id_s", "clientInfo_s", "httpStatusCode_d"),
    *("identity_claim_appid_g", "identity_claim_oid_g", "identity_claim_appidacr_s", "identity_claim_idtyp_s"),
    *("identity_claim_xms_az_nwperimid_s", "tlsVersion_s", "Type", "_ResourceId"),
)


@pytest.fixture
def logs(session: requests.Session) -> LogsQueryClient:
    return logs_client(session)


def query(logs: LogsQueryClient, text: str, workspace: str = WORKSPACE, **options: Any) -> Any:
    return logs.query_workspace(workspace, text, **{"timespan": None, **options})


def codes(error: HttpResponseError) -> list[str]:
    """The code of an error, and those inside it."""
    found, level = [], error.response.json()["error"]
    while level:
        found.append(level["code"])
        level = level.get("innererror")
    return found


# --- Tables ----------------------------------------------------------------------------------------------------------


def test_a_read_is_found_in_the_dedicated_table(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    row = read(azure=cloud)

    (found,) = rows_of(query(logs, "AZKVAuditLogs"))

    assert (found["OperationName"], found["HttpStatusCode"], found["CorrelationId"]) == (
        "SecretGet",
        200,
        row.correlation_id,
    )
    assert found["TimeGenerated"] == row.time
    assert found["_ResourceId"] == cloud.vault("pay-prod").resource_id.lower()
    assert found["TenantId"] == WORKSPACE


def test_identity_is_json_text_with_the_claims(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud, identity=ROBOT)

    (found,) = rows_of(query(logs, "AZKVAuditLogs | project who = tostring(Identity.claim.xms_mirid), Identity"))

    assert found["who"] == ROBOT.resource_id
    assert found["Identity"].startswith('{"claim":{"oid":')


def test_a_guest_has_no_upn(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud, identity=GUEST)

    claims = "AZKVAuditLogs | project upn = tostring(Identity.claim.upn), unique = tostring(Identity.claim.unique_name)"

    assert rows_of(query(logs, claims)) == [{"upn": "", "unique": GUEST.upn}]


def test_a_row_from_the_resource_manager_has_the_long_claims(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud, operation="VaultGet", object_id_url="")

    text = 'AZKVAuditLogs | project Identity.claim["http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"]'
    ((who,),) = [list(row.values()) for row in rows_of(query(logs, text))]

    assert who == f'"{ANN.upn}"'


def test_the_shared_table_has_the_columns_of_the_real_one(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    read(azure=cloud, identity=BATCH)

    (found,) = rows_of(query(logs, "AzureDiagnostics"))

    assert {name for name in REAL_COLUMNS if found.get(name) in (None, "", "None")} == set()
    assert (found["httpStatusCode_d"], found["ResourceId"]) == (200.0, found["ResourceId"].upper())
    assert (found["_ResourceId"], found["Resource"]) == (found["_ResourceId"].lower(), "PAY-PROD")


def test_a_late_column_exists_from_its_first_use_on(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    read(azure=cloud, identity=BATCH)
    with pytest.raises(HttpResponseError) as caught:
        query(logs, "AzureDiagnostics | project identity_claim_upn_s")

    read(azure=cloud, identity=ANN)

    assert codes(caught.value) == ["BadArgumentError", "SemanticError", "SEM0100"]
    found = query(logs, "AzureDiagnostics | where isnotempty(identity_claim_upn_s) | project identity_claim_upn_s")
    assert rows_of(found) == [{"identity_claim_upn_s": ANN.upn}]


def test_a_table_without_room_puts_late_columns_into_additional_fields(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, "AzureDiagnostics", overflow=True)
    read(azure=cloud)

    (found,) = rows_of(query(logs, "AzureDiagnostics | extend who = tostring(AdditionalFields.identity_claim_upn_s)"))

    assert found["who"] == ANN.upn
    assert "identity_claim_upn_s" not in found


def test_a_null_guid_arrives_as_the_word_none(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    read(azure=cloud, identity=None, operation="Authentication", status=401)

    (found,) = rows_of(query(logs, "AzureDiagnostics | project identity_claim_appid_g"))

    assert found == {"identity_claim_appid_g": "None"}


def test_result_type_says_success_for_a_refusal_too(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, "AzureDiagnostics")
    read(azure=cloud, status=403, result_description="Caller is not authorized\nCaller: appid=1")

    (found,) = rows_of(query(logs, "AzureDiagnostics"))

    assert (found["ResultType"], found["ResultSignature"], found["isRbacAuthorized_b"]) == (
        "Success",
        "Forbidden",
        False,
    )
    assert found["ResultDescription"] == "Caller is not authorized\nCaller: appid=1"


def test_a_workspace_with_both_tables_has_each_event_in_both(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, "AZKVAuditLogs", "AzureDiagnostics")
    row = read(azure=cloud)

    found = rows_of(query(logs, "union AZKVAuditLogs, AzureDiagnostics | project CorrelationId, Type"))

    assert sorted((row["Type"], row["CorrelationId"]) for row in found) == [
        ("AZKVAuditLogs", row.correlation_id),
        ("AzureDiagnostics", row.correlation_id),
    ]


# --- What a workspace shows, and when --------------------------------------------------------------------------------


def test_a_row_shows_when_azure_is_done_with_it(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud, ago=timedelta(hours=1))
    read(azure=cloud, visible_at=cloud.clock.now() + timedelta(minutes=9))
    before = rows_of(query(logs, "AZKVAuditLogs | count"))

    cloud.clock.advance(timedelta(minutes=10))

    assert before == [{"Count": 1}]
    assert rows_of(query(logs, "AZKVAuditLogs | count")) == [{"Count": 2}]


def test_there_is_no_table_before_its_first_row(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)

    with pytest.raises(HttpResponseError) as caught:
        query(logs, "AZKVAuditLogs | where TimeGenerated > ago(12h)")

    assert (caught.value.status_code, codes(caught.value)) == (400, ["BadArgumentError", "SemanticError", "SEM0100"])
    assert caught.value.response.json()["error"]["message"] == "The request had some invalid properties"


def test_an_empty_window_is_no_error(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud, ago=timedelta(days=2))

    assert rows_of(query(logs, "AZKVAuditLogs", timespan=timedelta(days=1))) == []


@pytest.mark.parametrize(
    "timespan",
    [
        timedelta(hours=2),
        (datetime(2026, 12, 1, 10, tzinfo=UTC), datetime(2026, 12, 1, 12, tzinfo=UTC)),
        (datetime(2026, 12, 1, 10, tzinfo=UTC), timedelta(hours=2)),
    ],
)
def test_every_form_of_timespan_cuts_the_rows(cloud: Azure, logs: LogsQueryClient, timespan: Any) -> None:
    cloud.clock.set(datetime(2026, 12, 1, 12, tzinfo=UTC))
    add_workspace(cloud)
    read("old", azure=cloud, ago=timedelta(hours=3))
    read("new", azure=cloud, ago=timedelta(hours=1))

    found = rows_of(query(logs, "AZKVAuditLogs | project Id", timespan=timespan))

    assert [row["Id"].split("/")[4] for row in found] == ["new"]


def test_rows_older_than_the_retention_are_gone(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud).retention_days = 30
    read(azure=cloud, ago=timedelta(days=31))
    read(azure=cloud, ago=timedelta(days=29))

    assert rows_of(query(logs, "AZKVAuditLogs | count")) == [{"Count": 1}]


def test_a_vault_without_a_setting_sends_nothing(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    cloud.add_vault("blind", subscription_id=SUBSCRIPTION)
    read(azure=cloud)
    read(azure=cloud, vault_name="blind")

    assert rows_of(query(logs, "AZKVAuditLogs | count")) == [{"Count": 1}]


def test_what_was_sent_stays_when_the_setting_goes(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud)

    cloud.vault("pay-prod").workspace = None

    assert rows_of(query(logs, "AZKVAuditLogs | count")) == [{"Count": 1}]


def test_some_rows_come_twice(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud).duplicates = 1.0
    read(azure=cloud, ago=timedelta(hours=1))

    assert rows_of(query(logs, "AZKVAuditLogs | count")) == [{"Count": 2}]


def test_rows_are_taken_in_once_and_again_after_the_log_was_emptied(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    counts = []
    for _ in range(2):
        read(azure=cloud)
        counts += rows_of(query(logs, "AZKVAuditLogs | count"))
    cloud.log.clear()
    read(azure=cloud)

    assert [*counts, *rows_of(query(logs, "AZKVAuditLogs | count"))] == [{"Count": 1}, {"Count": 2}, {"Count": 1}]


def test_many_may_query_at_once(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud)

    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: rows_of(query(logs, "AZKVAuditLogs | count")), range(24)))

    assert counts == [[{"Count": 1}]] * 24


# --- The answer ------------------------------------------------------------------------------------------------------


def test_every_type_travels_as_the_service_writes_it(cloud: Azure, session: requests.Session) -> None:
    add_workspace(cloud)
    text = (
        'print "hello", true, make_datetime("2000-01-02 03:04:05Z"), toint(100), long(101), 102.1 | project '
        "s=print_0, b=print_1, d=print_2, i=print_3, l=print_4, r=print_5"
    )

    body = post(session, {"query": text}).json()

    types = {"s": "string", "b": "bool", "d": "datetime", "i": "int", "l": "long", "r": "real"}
    columns = [{"name": name, "type": kind} for name, kind in types.items()]
    row = ["hello", True, "2000-01-02T03:04:05Z", 100, 101, 102.1]
    assert body == {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [row]}]}


def test_a_time_has_seven_digits(cloud: Azure, session: requests.Session) -> None:
    add_workspace(cloud)
    read(azure=cloud, time=cloud.clock.now().replace(microsecond=871_923) - timedelta(minutes=1))

    body = post(session, {"query": "AZKVAuditLogs | project TimeGenerated"}).json()

    ((when,),) = body["tables"][0]["rows"]
    assert when.partition(".")[2] == "8719231Z"


def post(session: requests.Session, body: Any, url: str = QUERY, **headers: str) -> requests.Response:
    bearer = {"Authorization": f"Bearer {KVADMIN.token('https://api.loganalytics.io')}"}
    return session.post(url, json=body, headers={**bearer, **headers})


def test_an_answer_above_the_limit_of_rows_is_partial(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud).row_limit = 2
    for _ in range(3):
        read(azure=cloud)

    answer = query(logs, "AZKVAuditLogs | project Id")

    assert isinstance(answer, LogsQueryPartialResult)
    assert [len(table.rows) for table in answer.partial_data] == [2]
    assert answer.partial_error.code == "PartialError"


def test_an_answer_above_the_limit_of_bytes_is_partial_in_the_recorded_shape(
    cloud: Azure, session: requests.Session
) -> None:
    add_workspace(cloud).byte_limit = 200
    for _ in range(3):
        read(azure=cloud)

    answer = post(session, {"query": "AZKVAuditLogs | project Id"})

    error = answer.json()["error"]
    assert answer.status_code == 200
    inner = {"code": "str", "message": "str", "severity": "int", "severityName": "str"}
    assert shape(error) == {
        "code": "str",
        "message": "str",
        "details": [{"code": "str", "message": "str", "innererror": inner}],
    }
    assert error["details"][0]["innererror"]["code"] == "-2133196797"


def test_statistics_come_when_they_are_asked_for(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)
    read(azure=cloud)

    with_them = query(logs, "AZKVAuditLogs", include_statistics=True).statistics
    without = query(logs, "AZKVAuditLogs").statistics

    assert with_them["query"]["datasetStatistics"] == [{"tableRowCount": 1}]
    assert without is None


def test_a_query_that_never_ends_is_given_up_when_the_caller_said(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud)

    with pytest.raises(HttpResponseError) as caught:
        query(logs, "range x from 1 to 1000000000000000 step 1 | count", server_timeout=1)

    assert (caught.value.status_code, codes(caught.value)) == (504, ["GatewayTimeout", "GatewayTimeout"])
    assert caught.value.response.json()["error"]["innererror"]["message"] == "ADX query timed out"


# --- Who may, and where ----------------------------------------------------------------------------------------------


def test_without_a_token_there_is_no_answer(cloud: Azure, session: requests.Session) -> None:
    add_workspace(cloud)

    answer = session.post(QUERY, json={"query": "print 1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthorizationRequiredError")


def test_a_token_for_another_service_is_no_token(cloud: Azure, session: requests.Session) -> None:
    add_workspace(cloud)
    wrong = logs_client(session, audience="https://vault.azure.net")

    with pytest.raises(HttpResponseError) as caught:
        query(wrong, "print 1")

    assert (caught.value.status_code, codes(caught.value)) == (401, ["AuthorizationRequiredError"])


@pytest.mark.parametrize(
    ("workspace", "code"), [(OTHER_WORKSPACE, "WorkspaceNotFoundError"), ("not-a-guid", "PathNotFoundError")]
)
def test_an_unknown_workspace_is_told_from_a_malformed_one(
    cloud: Azure, logs: LogsQueryClient, workspace: str, code: str
) -> None:
    with pytest.raises(HttpResponseError) as caught:
        query(logs, "print 1", workspace)

    assert (caught.value.status_code, codes(caught.value)) == (404, [code])


def test_a_caller_without_a_role_is_refused(cloud: Azure, session: requests.Session) -> None:
    add_workspace(cloud)

    with pytest.raises(HttpResponseError) as caught:
        query(logs_client(session, ANN), "print 1")

    assert (caught.value.status_code, codes(caught.value)) == (403, ["InsufficientAccessError"])


def test_a_workspace_can_be_closed_to_kvadmin(cloud: Azure, logs: LogsQueryClient) -> None:
    add_workspace(cloud, readable=False)

    with pytest.raises(HttpResponseError) as caught:
        query(logs, "print 1")

    assert codes(caught.value) == ["InsufficientAccessError"]


def test_a_vault_s_own_id_finds_its_rows_in_every_readable_workspace(cloud: Azure, logs: LogsQueryClient) -> None:
    first = add_workspace(cloud)
    cloud.add_vault("other", subscription_id=SUBSCRIPTION, workspace=first.resource_id)
    read("one", azure=cloud)
    read("none", azure=cloud, vault_name="other")
    add_workspace(cloud, customer_id=OTHER_WORKSPACE)
    read("two", azure=cloud)
    add_workspace(cloud, customer_id="55555555-0000-4000-8000-000000000005", readable=False)
    read("hidden", azure=cloud)

    answer = logs.query_resource(cloud.vault("pay-prod").resource_id, "AZKVAuditLogs | project Id", timespan=None)

    assert sorted(row["Id"].split("/")[4] for row in rows_of(answer)) == ["one", "two"]


@pytest.mark.parametrize("host", ["api.loganalytics.azure.com", "api.loganalytics.us", "api.loganalytics.azure.cn"])
def test_every_cloud_s_host_answers(cloud: Azure, session: requests.Session, host: str) -> None:
    add_workspace(cloud)
    read(azure=cloud)
    there = logs_client(session, endpoint=f"https://{host}")

    assert rows_of(query(there, "AZKVAuditLogs | count")) == [{"Count": 1}]


@pytest.mark.parametrize(
    "body", [[], {}, {"query": "print 1", "timespan": "yesterday"}, {"query": "print 1", "timespan": "P"}]
)
def test_a_body_that_says_nothing_is_refused(cloud: Azure, session: requests.Session, body: Any) -> None:
    add_workspace(cloud)

    answer = post(session, body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadArgumentError")


# --- Faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("throttled", retry_after=7), 429, "ThrottledError"),
        (Fault("server", status=503), 503, "InternalServerError"),
        (Fault("server", status=504), 504, "GatewayTimeout"),
    ],
)
def test_a_workspace_can_fail(cloud: Azure, session: requests.Session, fault: Fault, status: int, code: str) -> None:
    cloud.faults.set(add_workspace(cloud).name, fault)

    answer = post(session, {"query": "print 1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("Retry-After") == ("7" if status == 429 else None)


def test_a_connection_can_break(cloud: Azure, logs: LogsQueryClient) -> None:
    cloud.faults.set(add_workspace(cloud).name, Fault("reset"))

    with pytest.raises(ServiceResponseError):
        query(logs, "print 1")


def test_an_answer_can_be_cut_short(cloud: Azure, logs: LogsQueryClient, session: requests.Session) -> None:
    cloud.faults.set(add_workspace(cloud).name, Fault("truncated", times=1))

    cut, whole = (post(session, {"query": "print 1"}).content for _ in range(2))

    assert whole.startswith(cut)
    assert len(cut) == len(whole) // 2
