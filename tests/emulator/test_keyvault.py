"""Each data-plane request leaves one row in the audit log, with what Azure's rows hold."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import requests
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.resources import AuditRow
from kvadmin.emulator.state import NEVER, Azure
from tests.emulator.cloud import ANN, API, SUBSCRIPTION, VAULT, Wire, secret_client


def rows(cloud: Azure) -> list[tuple[str, int]]:
    return [(row.operation, row.status) for row in cloud.log]


def last(cloud: Azure) -> AuditRow:
    return cloud.log[-1]


def test_the_first_call_to_a_vault_leaves_a_challenge_and_a_read(cloud: Azure, session: requests.Session) -> None:
    name = f"new-{uuid4().hex[:12]}"  # the SDK remembers challenges for the life of the process
    vault = cloud.add_vault(name, subscription_id=SUBSCRIPTION)
    cloud.put_secret(name, "db-password", "x")

    secret_client(session, vault=vault.uri).get_secret("db-password")

    assert rows(cloud) == [("Authentication", 401), ("SecretGet", 200)]
    assert (cloud.log[0].identity, cloud.log[0].object_id_url) == (None, "")


def test_a_row_holds_the_answer_s_request_id_and_not_the_client_s(cloud: Azure, wire: Wire) -> None:
    answer = wire.call("GET", "/secrets/db-password/", **{"x-ms-client-request-id": "ours"})

    assert last(cloud).correlation_id == answer.headers["x-ms-request-id"]


def test_a_row_holds_who_from_where_and_with_what(cloud: Azure, session: requests.Session) -> None:
    cloud.grant(ANN, "Key Vault Secrets User", cloud.vault("pay-prod").resource_id)
    Wire(session, ANN).call("GET", "/secrets/db-password/", **{"User-Agent": "kvadmin/1.0 reveal/7"})

    row = last(cloud)
    assert (row.identity, row.caller_address, row.client_info) == (ANN, ANN.address, "kvadmin/1.0 reveal/7")
    assert row.request_uri == f"{VAULT}/secrets/db-password/?api-version=7.4"


def test_a_read_names_the_version_that_was_returned(cloud: Azure, wire: Wire) -> None:
    read = wire.call("GET", "/secrets/DB-PASSWORD/").json()

    assert last(cloud).object_id_url == read["id"]


@pytest.mark.parametrize(
    ("method", "path", "row"),
    [
        ("GET", "/secrets/nothing/", ("SecretGet", 404, f"{VAULT}/secrets/nothing")),
        ("GET", f"/secrets/db-password/{'0' * 32}", ("SecretGet", 404, f"{VAULT}/secrets/db-password")),
        ("GET", "/secrets/bad_name/", ("SecretGet", 400, "")),
        ("GET", "/secrets", ("SecretList", 200, "")),
        ("GET", "/secrets/db-password/versions", ("SecretListVersions", 200, "")),
        ("POST", "/secrets/db-password/backup", ("SecretBackup", 200, f"{VAULT}/secrets/db-password")),
        ("DELETE", "/secrets/db-password", ("SecretDelete", 200, f"{VAULT}/secrets/db-password")),
        ("GET", "/deletedsecrets", ("SecretListDeleted", 200, "")),
        ("GET", "/deletedsecrets/nothing", ("SecretGetDeleted", 404, f"{VAULT}/deletedsecrets/nothing")),
        ("DELETE", "/deletedsecrets/nothing", ("SecretPurge", 404, f"{VAULT}/deletedsecrets/nothing")),
        ("POST", "/deletedsecrets/nothing/recover", ("SecretRecover", 404, f"{VAULT}/deletedsecrets/nothing")),
    ],
)
def test_a_row_names_the_object_as_azure_does(
    method: str, path: str, row: tuple[str, int, str], cloud: Azure, wire: Wire
) -> None:
    wire.call(method, path)

    assert (last(cloud).operation, last(cloud).status, last(cloud).object_id_url) == row


def test_a_restore_names_the_secret_although_its_uri_does_not(cloud: Azure, wire: Wire) -> None:
    blob = wire.call("POST", "/secrets/db-password/backup").json()
    wire.call("POST", "/secrets/restore", blob)

    assert (last(cloud).operation, last(cloud).status) == ("SecretRestore", 409)
    assert last(cloud).object_id_url == f"{VAULT}/secrets/db-password"
    assert last(cloud).request_uri == f"{VAULT}/secrets/restore?{API}"


def test_a_refused_read_is_a_row_with_the_reason(cloud: Azure, session: requests.Session) -> None:
    answer = Wire(session, ANN).call("GET", "/secrets/db-password/")

    assert (last(cloud).operation, last(cloud).status) == ("SecretGet", 403)
    assert last(cloud).result_description == answer.json()["error"]["message"]
    assert last(cloud).object_id_url == f"{VAULT}/secrets/db-password"


def test_a_token_for_something_else_is_an_authentication_row(cloud: Azure, wire: Wire) -> None:
    token = KVADMIN.token("https://management.azure.com")

    wire.call("GET", "/secrets", Authorization=f"Bearer {token}")

    assert rows(cloud) == [("Authentication", 401)]


def test_a_throttled_request_is_no_row(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("throttled"))

    wire.call("GET", "/secrets")

    assert rows(cloud) == []


def test_every_page_is_a_row(cloud: Azure, client: SecretClient) -> None:
    for number in range(60):
        cloud.put_secret("pay-prod", f"s-{number}", "x")

    list(client.list_properties_of_secrets())

    assert rows(cloud)[-3:] == [("SecretList", 200)] * 3
    assert ("SecretList", 200) not in rows(cloud)[:-3]
    assert ":443/secrets?" in last(cloud).request_uri


def test_no_row_holds_a_value(cloud: Azure, client: SecretClient) -> None:
    client.set_secret("canary", "canary-value")
    client.get_secret("canary")
    client.backup_secret("canary")

    assert "canary-value" not in repr(cloud.log)


def test_seeding_leaves_no_row(cloud: Azure) -> None:
    cloud.put_secret("pay-prod", "seeded", "x")

    assert rows(cloud) == []


def test_rows_show_up_late_and_out_of_order_but_within_the_delay(cloud: Azure, wire: Wire) -> None:
    delay = timedelta(minutes=10)
    workspace = cloud.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id="c", delay=delay)
    cloud.vault("pay-prod").workspace = workspace.resource_id
    for _ in range(30):
        wire.call("GET", "/secrets")

    shown = [row.visible_at for row in cloud.log]

    assert shown != sorted(shown)
    assert all(row.time + delay / 4 <= row.visible_at <= row.time + delay for row in cloud.log)


def test_without_a_delay_a_row_shows_up_at_once(cloud: Azure, wire: Wire) -> None:
    workspace = cloud.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id="c")
    cloud.vault("pay-prod").workspace = workspace.resource_id

    wire.call("GET", "/secrets")

    assert last(cloud).visible_at == last(cloud).time


def test_rows_of_a_vault_without_a_workspace_never_show_up(cloud: Azure, wire: Wire) -> None:
    wire.call("GET", "/secrets")

    assert last(cloud).visible_at == NEVER


def test_the_clock_dates_the_row(cloud: Azure, wire: Wire) -> None:
    before = cloud.clock.now()
    cloud.clock.advance(timedelta(days=3))

    wire.call("GET", "/secrets")

    assert last(cloud).time - before >= timedelta(days=3)
