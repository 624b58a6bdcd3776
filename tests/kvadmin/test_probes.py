"""What an orchestrator and Prometheus ask, by whatever address they know."""

from __future__ import annotations

import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from tests.processes import manage

TOKEN = "a-token-for-prometheus-only"


@pytest.fixture
def metrics_on(settings) -> None:
    settings.KVADMIN_METRICS_TOKEN = TOKEN


def test_healthz_answers_without_the_database(client: Client) -> None:
    response = client.get("/healthz")  # no database is allowed in this test

    assert (response.status_code, response.content, response["Content-Type"]) == (200, b"ok\n", "text/plain")


def test_readyz_answers_when_the_database_does(client: Client, db: None) -> None:
    response = client.get("/readyz")

    assert (response.status_code, response.content) == (200, b"ok\n")


def test_readyz_says_that_the_database_is_missing(client: Client, db: None) -> None:
    def refuse(execute, sql, params, many, context):
        raise OperationalError("connection to 10.0.0.4 refused")

    with connection.execute_wrapper(refuse):
        response = client.get("/readyz")

    assert (response.status_code, response.content) == (503, b"The database does not answer.\n")


def test_probes_are_not_redirected_to_https(client: Client, db: None, settings) -> None:
    settings.SECURE_SSL_REDIRECT = True

    answers = [client.get(probe).status_code for probe in ("/healthz", "/readyz", "/help/")]

    assert answers == [200, 200, 301]


def test_readyz_says_that_the_database_is_older_than_the_code(client: Client, db: None) -> None:
    (newest,) = MigrationLoader(None).graph.leaf_nodes("audit")
    MigrationRecorder(connection).record_unapplied(*newest)

    response = client.get("/readyz")

    assert (response.status_code, response.content) == (503, b"The database waits for its migrations.\n")


def test_a_database_that_is_newer_than_the_code_is_ready(client: Client, db: None) -> None:
    """While an upgrade goes on, the old version still answers."""
    MigrationRecorder(connection).record_applied("audit", "9999_of_the_next_version")

    assert client.get("/readyz").content == b"ok\n"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_call_by_an_address_that_no_browser_may_use(client: Client, db: None, path: str) -> None:
    answer = client.get(path, headers={"Host": "10.1.2.3:8000"})

    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert client.get("/help/", headers={"Host": "10.1.2.3:8000"}).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_are_asked_by_get_only(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def test_a_token_that_can_be_guessed_stops_the_start() -> None:
    process = manage("check", KVADMIN_METRICS_TOKEN="metrics")

    assert process.communicate()[0] == "kvadmin cannot start: KVADMIN_METRICS_TOKEN: needs 20 characters or more.\n"
    assert process.returncode == 1


def test_without_a_token_there_are_no_metrics(client: Client) -> None:
    answer = client.get("/metrics", headers={"Authorization": "Bearer "})

    assert (answer.status_code, answer.content) == (404, b"There is nothing here.\n")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"]
)
def test_metrics_are_for_whoever_brings_the_token(client: Client, metrics_on: None, header: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": header})  # and no database is asked

    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert b"kvadmin_" not in answer.content


def test_prometheus_gets_its_text(client: Client, metrics_on: None, db: None) -> None:
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}", "Host": "10.1.2.3:8000"})

    assert (answer.status_code, answer["Content-Type"].partition(";")[0]) == (200, "text/plain")
    assert answer.content.decode().splitlines()[0] == "# HELP kvadmin_build The version that answers."
