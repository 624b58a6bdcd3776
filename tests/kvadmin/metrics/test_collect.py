"""What Prometheus is told: right, the same from every process, cheap, and without a name in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from prometheus_client.parser import text_string_to_metric_families

from audit import ledger, triggers
from audit.finding_models import Finding
from audit.models import LedgerEntry, LedgerHead, Watermark
from kvadmin import actions as a
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import WORDS, GatewayError
from kvadmin.jobs.models import WorkerBeat
from kvadmin.jobs.worker import Clock
from kvadmin.metrics import collect, tallies
from kvadmin.metrics.models import Tally
from tests import factories
from tests.kvadmin import jobs_for_tests as jobs
from tests.reference import ROOT
from vaults.models import Health, Person, SyncRun

pytestmark = pytest.mark.django_db

ENDED = ("revealed", "withheld", "failed")
ADA = ledger.Actor("1", "Ada")


@pytest.fixture(autouse=True)
def _metrics_on(settings) -> None:
    tallies.flush()  # what other tests left behind
    Tally.objects.all().delete()
    settings.KVADMIN_METRICS_TOKEN = "a-token-for-prometheus-only"


def told(name: str) -> dict[tuple[str, ...], float]:
    """The samples of this name, by the values of their labels."""
    families = text_string_to_metric_families(collect.text().decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


def happened(name: str) -> dict[tuple[str, ...], float]:
    """Those that are not 0."""
    return {labels: amount for labels, amount in told(name).items() if amount}


def reveal(outcome: str) -> None:
    act = ledger.Attempt(a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db-password"), "INC-7")
    if outcome == "revealed":
        act.revealed(version="1", request_id="2", region="3")
    if outcome == "failed":
        act.failed(RuntimeError())


# --- The ledger ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_reveals_are_counted_by_their_outcome_and_what_is_open_is_none() -> None:
    for outcome in ("revealed", "revealed", "failed", "open"):
        reveal(outcome)

    assert happened("kvadmin_reveals_total") == {("secret:reveal", "revealed"): 2, ("secret:reveal", "failed"): 1}
    assert told("kvadmin_ledger_rows_total") == {(): 7}


@pytest.mark.django_db(transaction=True)
def test_refusals_are_counted_by_what_was_refused_and_why() -> None:
    for code in ("no-role", "no-role", "forbidden"):
        ledger.refuse(a.SECRET_REVEAL, ADA, code=code, note="No.")

    assert told("kvadmin_refusals_total") == {("secret:reveal", "no-role"): 2, ("secret:reveal", "forbidden"): 1}


def test_what_the_ledger_gained_since_is_counted_on() -> None:
    ledger.record(a.ROLE_ASSIGN, ADA)
    assert told("kvadmin_ledger_rows_total") == {(): 1}

    ledger.record(a.ROLE_ASSIGN, ADA)

    assert told("kvadmin_ledger_rows_total") == {(): 2}


@pytest.mark.django_db(transaction=True)
def test_another_ledger_is_counted_from_its_beginning() -> None:
    """After a back-up was restored, under the same running process."""
    for _ in range(3):
        ledger.refuse(a.SECRET_REVEAL, ADA, code="no-role", note="No.")
    told("kvadmin_refusals_total")
    triggers.remove(connection)
    LedgerEntry.objects.all().delete()
    LedgerHead.objects.all().delete()

    for _ in range(4):
        ledger.refuse(a.SECRET_REVEAL, ADA, code="forbidden", note="No.")

    assert told("kvadmin_refusals_total") == {("secret:reveal", "forbidden"): 4}


def test_what_did_not_happen_yet_is_told_as_0() -> None:
    """From a series that appears with the first break-glass Prometheus sees no increase, and no alert rings."""
    kinds = {(action, phase) for action in ("secret:reveal", "secret:break-glass") for phase in ENDED}

    assert told("kvadmin_reveals_total") == dict.fromkeys(kinds, 0)
    assert told("kvadmin_responses_total") == {(status,): 0 for status in ("2xx", "3xx", "4xx", "5xx")}
    assert told("kvadmin_azure_errors_total") == {(code,): 0 for code in WORDS}


# --- Sweeps, logs, jobs ----------------------------------------------------------------------------------------------


def test_an_age_that_nobody_knows_is_not_told() -> None:
    assert (told("kvadmin_sync_age_seconds"), told("kvadmin_ingest_lag_seconds")) == ({}, {})


def test_the_age_of_the_inventory_is_that_of_the_last_sweep_that_came_to_its_end() -> None:
    now = timezone.now()
    SyncRun.objects.create(state="done", finished_at=now - timedelta(minutes=20))
    SyncRun.objects.create(state="done", finished_at=now - timedelta(minutes=10))
    SyncRun.objects.create(state="failed", finished_at=now)

    assert 600 <= told("kvadmin_sync_age_seconds")[()] < 660


def test_vaults_are_told_by_their_health() -> None:
    factories.vault("pay-prod", health=Health.OK)
    factories.vault("pay-test", health=Health.OK)
    factories.vault("hr-prod", health=Health.FIREWALL)

    assert told("kvadmin_vaults") == {("ok",): 2, ("firewall",): 1}


def test_the_lag_is_that_of_the_log_that_is_furthest_behind() -> None:
    now = timezone.now()
    Watermark.objects.create(workspace_id="a", complete_up_to=now - timedelta(minutes=5))
    Watermark.objects.create(workspace_id="b", complete_up_to=now - timedelta(hours=2), code="denied")
    Watermark.objects.create(workspace_id="c")

    assert 7200 <= told("kvadmin_ingest_lag_seconds")[()] < 7260
    assert told("kvadmin_ingest_failing_logs") == {(): 1}


def test_findings_are_told_until_somebody_takes_note() -> None:
    now = timezone.now()
    for n, noted in enumerate((None, None, now)):
        Finding.objects.create(
            rule="burst", key=str(n), severity="alarm", what="x", since=now, last_at=now, acknowledged_at=noted
        )

    assert told("kvadmin_findings") == {("alarm",): 2}


def test_jobs_are_told_by_their_state_and_the_oldest_by_its_age() -> None:
    now = timezone.now()
    due, _, later, running, failed = (jobs.note.enqueue("x").id for _ in range(5))
    DBTaskResult.objects.filter(pk=due).update(enqueued_at=now - timedelta(minutes=3))
    DBTaskResult.objects.filter(pk=later).update(run_after=now + timedelta(hours=1))
    DBTaskResult.objects.filter(pk=running).update(status="RUNNING")
    DBTaskResult.objects.filter(pk=failed).update(status="FAILED")

    assert told("kvadmin_jobs") == {("due",): 2, ("later",): 1, ("running",): 1, ("failed",): 1}
    assert 180 <= told("kvadmin_jobs_oldest_seconds")[()] < 240


def test_workers_are_those_that_were_heard_of() -> None:
    WorkerBeat.objects.create(worker_id="a", seen_at=timezone.now())
    WorkerBeat.objects.create(worker_id="b", seen_at=timezone.now() - timedelta(minutes=5))

    assert told("kvadmin_workers") == {(): 1}


# --- What processes count themselves ---------------------------------------------------------------------------------


def test_an_error_of_azure_is_counted_by_its_code(azure: Azure) -> None:
    azure.add_subscription("00000000-0000-0000-0000-00000000aaaa", "Payments")
    azure.add_vault("pay-prod", subscription_id="00000000-0000-0000-0000-00000000aaaa")
    azure.faults.set("pay-prod", Fault("firewall"))
    for _ in range(2):
        with pytest.raises(GatewayError):
            list(keyvault.list_properties_of_secrets("https://pay-prod.vault.azure.net/"))

    assert happened("kvadmin_azure_errors_total") == {("firewall",): 2}


def test_requests_are_told_by_route_and_time(client_of: Callable[[Person], Client], reader: Person) -> None:
    browser = client_of(reader)
    for path in ("/help/", "/help/", "/vaults/no-such/", "/healthz", "/static/no-such.css"):
        browser.get(path)

    assert happened("kvadmin_responses_total") == {("2xx",): 2, ("4xx",): 1}
    assert told("kvadmin_request_seconds_count") == {("help",): 2, ("vault",): 1}
    assert told("kvadmin_request_seconds_bucket")["+Inf", "help"] == 2
    assert 0 < told("kvadmin_request_seconds_sum")[("help",)] < 600


@pytest.mark.parametrize(("seconds", "bound"), [(0.0, "0.05"), (0.25, "0.25"), (0.26, "0.5"), (99.0, "+Inf")])
def test_a_time_counts_from_the_first_bound_that_it_does_not_pass(seconds: float, bound: str) -> None:
    tallies.request_took("help", 200, seconds)

    buckets = told("kvadmin_request_seconds_bucket")
    assert next(label for (label, _), count in buckets.items() if count) == bound


def test_what_two_processes_counted_is_added_up() -> None:
    for _ in range(2):
        tallies.add(tallies.AZURE_ERRORS, "throttled", 3)
        tallies.flush()

    assert happened("kvadmin_azure_errors_total") == {("throttled",): 6}


def test_what_could_not_be_written_is_written_the_next_time() -> None:
    tallies.add(tallies.AZURE_ERRORS, "throttled")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metrics_tally RENAME TO elsewhere")
    tallies.flush()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO metrics_tally")

    assert happened("kvadmin_azure_errors_total") == {("throttled",): 1}


@pytest.mark.django_db(transaction=True)
def test_what_a_worker_counted_is_written_by_its_clock() -> None:
    tallies.add(tallies.AZURE_ERRORS, "throttled")

    with Clock("tests"):
        assert list(Tally.objects.values_list("name", "label", "amount")) == [("azure-errors", "throttled", 1)]


def test_while_nobody_asks_nothing_is_counted(settings) -> None:
    settings.KVADMIN_METRICS_TOKEN = ""
    tallies.add(tallies.AZURE_ERRORS, "throttled")

    tallies.flush()

    assert Tally.objects.count() == 0


# --- All of it -------------------------------------------------------------------------------------------------------


def fill(start: int, count: int) -> None:
    now = timezone.now()
    for n in range(start, start + count):
        factories.secret(factories.vault(f"vault-{n}"), f"hidden-name-{n}")
        ledger.record(
            a.ROLE_ASSIGN, ledger.Actor(str(n), f"person-{n}"), ledger.Target(f"vault-{n}", f"hidden-name-{n}")
        )
        Watermark.objects.create(workspace_id=f"w{n}", complete_up_to=now)
        SyncRun.objects.create(state="done", finished_at=now)
        jobs.note.enqueue("x")
        tallies.request_took(f"route-{n}", 200, 0.1)
        tallies.flush()


def test_it_costs_as_many_queries_for_three_as_for_one() -> None:
    fill(0, 1)
    with CaptureQueriesContext(connection) as one:
        collect.text()
    fill(1, 3)

    with CaptureQueriesContext(connection) as three:
        collect.text()

    assert len(three) == len(one) == 10


def families() -> set[str]:
    return set(re.findall(r"^# TYPE (\w+)", collect.text().decode(), re.MULTILINE))


def test_the_documentation_explains_each_and_no_other() -> None:
    explained = re.findall(r"^\| `(kvadmin_\w+)` ", (ROOT / "docs/operations.md").read_text("utf-8"), re.MULTILINE)

    assert sorted(explained) == sorted(families())


def test_the_rules_for_alerts_ask_for_numbers_that_exist() -> None:
    rules = yaml.safe_load((ROOT / "docs/alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]

    asked = {name for rule in rules for name in re.findall(r"kvadmin_\w+", rule["expr"])}
    assert {name.removesuffix("_bucket") for name in asked} - families() == set()


def test_no_name_is_in_it(reader: Person, client_of: Callable[[Person], Client]) -> None:
    fill(0, 1)
    client_of(reader).get("/vaults/vault-0/secrets/hidden-name-0/")

    text: Any = collect.text().decode()

    assert 'route="secret"' in text
    assert [word for word in ("vault-0", "hidden-name", "person-0", "reader") if word in text] == []
