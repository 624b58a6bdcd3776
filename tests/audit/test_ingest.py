"""Azure's log is taken in whole: late rows, doubles, cut answers and failures lose nothing and double nothing."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import override_settings
from django.utils import timezone

from audit import ingest, ledger
from audit.coverage import gaps_of
from audit.models import AccessEvent, Watermark
from audit.windows import FLOOR, STEP, Window, without
from kvadmin import actions as a
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure, Workspace
from kvadmin.gateway import keyvault
from kvadmin.gateway import logs as gateway_logs
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.paging import AT_ONCE, Patience
from tests import factories
from tests.audit.logged import LOGS, MORE_LOGS, SUBSCRIPTION, broken_writes, log, stored
from tests.audit.rows import ADA, VERSION
from vaults import tasks

pytestmark = pytest.mark.django_db


# --- Both tables -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("overflow", [False, True])
@pytest.mark.parametrize("tables", [("AZKVAuditLogs",), ("AzureDiagnostics",), ("AZKVAuditLogs", "AzureDiagnostics")])
def test_a_read_is_the_same_event_from_either_table_and_from_both(
    azure: Azure, logs: Workspace, tables: tuple[str, ...], overflow: bool
) -> None:
    logs.tables, logs.overflow = tables, overflow
    wanted = log(azure)
    ingest.ingest_audit([LOGS])

    event = AccessEvent.objects.get()
    assert (event.correlation_id, event.vault, event.name, event.version) == (
        wanted,
        "pay-prod",
        "db-password",
        VERSION,
    )
    assert (event.who, event.who_kind, event.via) == ("eve@contoso.example", "person", "Azure CLI")
    assert (event.status, event.outcome, event.is_read, event.match) == (200, "ok", True, "around")
    assert event.raw["OperationName"] == "SecretGet"


def test_rows_that_azure_shows_twice_are_one_event(azure: Azure, logs: Workspace) -> None:
    logs.duplicates = 1.0
    wanted = log(azure, visible_at=azure.clock.now() - timedelta(minutes=10))
    counts = ingest.ingest_audit([LOGS])

    assert stored() == [wanted]
    assert (counts.rows, counts.new) == (2, 1)


# --- The watermark ---------------------------------------------------------------------------------------------------
def test_the_first_run_looks_back_as_far_as_the_settings_say(azure: Azure, logs: Workspace) -> None:
    inside = log(azure, timezone.now() - timedelta(days=2, hours=23))
    log(azure, timezone.now() - timedelta(days=3, hours=1))
    with override_settings(KVADMIN_INGEST_FIRST_DAYS=3):
        ingest.ingest_audit([LOGS])

    assert stored() == [inside]
    mark = Watermark.objects.get()
    assert mark.complete_up_to - mark.complete_from == timedelta(days=3) - ingest.MARGIN


def test_complete_means_a_quarter_of_an_hour_ago_and_no_later(azure: Azure, logs: Workspace) -> None:
    log(azure)
    ingest.ingest_audit([LOGS])

    age = timezone.now() - Watermark.objects.get().complete_up_to
    assert ingest.MARGIN <= age < ingest.MARGIN + timedelta(minutes=5)


def test_a_row_that_shows_up_late_is_taken_in_by_the_next_run(azure: Azure, logs: Workspace) -> None:
    early = log(azure, timezone.now() - timedelta(minutes=5))
    late = log(azure, timezone.now() - timedelta(minutes=50), visible_at=azure.clock.now() + timedelta(minutes=9))
    ingest.ingest_audit([LOGS])
    assert stored() == [early]

    azure.clock.advance(timedelta(minutes=10))
    ingest.ingest_audit([LOGS])
    assert stored() == [late, early]


def test_running_again_changes_nothing(azure: Azure, logs: Workspace) -> None:
    for _ in range(3):
        log(azure)
    ingest.ingest_audit([LOGS])
    before = list(AccessEvent.objects.order_by("pk").values())

    counts = ingest.ingest_audit([LOGS, LOGS.upper(), f" {LOGS} "])
    assert (counts.logs, counts.new) == (1, 0)
    assert list(AccessEvent.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("table", ["audit_watermark", "audit_accessevent"])
def test_neither_rows_nor_watermark_stay_when_the_commit_fails_and_the_next_run_has_all(
    azure: Azure, logs: Workspace, table: str
) -> None:
    moment = timezone.now() - timedelta(hours=1)
    wanted = log(azure, moment)
    with broken_writes(table), pytest.raises(OperationalError):
        ingest.ingest_audit([LOGS])
    up_to = Watermark.objects.get().complete_up_to
    assert (stored(), up_to is None or up_to < moment) == ([], True)

    ingest.ingest_audit([LOGS])
    assert stored() == [wanted]


def test_rows_that_a_run_stored_but_did_not_live_to_sort_are_sorted_by_the_next_run(
    azure: Azure, logs: Workspace
) -> None:
    log(azure, timezone.now() - timedelta(days=20))
    with broken_writes("audit_accessevent", "UPDATE"), pytest.raises(OperationalError):
        ingest.ingest_audit([LOGS])
    assert AccessEvent.objects.get().match == "other"

    ingest.ingest_audit([LOGS])
    assert AccessEvent.objects.get().match == "around"


@pytest.mark.parametrize("told", [20, None])
def test_what_the_workspace_dropped_while_kvadmin_stood_still_is_a_gap(
    azure: Azure, logs: Workspace, told: int | None
) -> None:
    logs.retention_days, now = told or 30, timezone.now()
    stood = {"complete_from": now - timedelta(days=90), "complete_up_to": now - timedelta(days=50)}
    Watermark.objects.create(
        workspace_id=LOGS, resume_from=now - timedelta(days=50, hours=1), retention_days=told, **stood
    )
    log(azure, now - timedelta(days=49))
    kept = log(azure, now - timedelta(days=9))
    ingest.ingest_audit([LOGS])

    mark = Watermark.objects.get()
    assert (stored(), mark.complete_from) == ([kept], stood["complete_from"])
    lost = gaps_of(mark)
    assert lost[0][0] == stood["complete_up_to"]
    assert abs(lost[-1][1] - (now - timedelta(days=told or 30))) < timedelta(minutes=1)
    assert all(end == start for (_, end), (start, _) in pairwise(lost))


# --- Cut answers -----------------------------------------------------------------------------------------------------
@override_settings(KVADMIN_INGEST_FIRST_DAYS=3)
def test_a_cut_answer_is_asked_for_again_in_halves_until_nothing_is_missing(azure: Azure, logs: Workspace) -> None:
    logs.row_limit = 3
    start = timezone.now() - timedelta(hours=20)
    wanted = [log(azure, start + timedelta(minutes=n * 7)) for n in range(20)]
    ingest.ingest_audit([LOGS])

    assert stored() == wanted
    assert Watermark.objects.get().gaps == []


@override_settings(KVADMIN_INGEST_FIRST_DAYS=3)
def test_what_cannot_be_asked_for_any_finer_is_put_on_record_as_a_gap(azure: Azure, logs: Workspace) -> None:
    logs.row_limit = 3
    moment = datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)
    for n in range(5):
        log(azure, moment + timedelta(microseconds=n))
    ingest.ingest_audit([LOGS])

    [[start, end]] = Watermark.objects.get().gaps
    assert datetime.fromisoformat(start) <= moment < datetime.fromisoformat(end)
    assert datetime.fromisoformat(end) - datetime.fromisoformat(start) <= FLOOR
    assert len(stored()) == 3


@override_settings(KVADMIN_INGEST_FIRST_DAYS=3)
def test_a_gap_that_a_later_run_fills_is_one_no_more(azure: Azure, logs: Workspace) -> None:
    logs.row_limit = 3
    moment = timezone.now() - timedelta(minutes=30)
    wanted = [log(azure, moment + timedelta(microseconds=n)) for n in range(5)]
    ingest.ingest_audit([LOGS])
    logs.row_limit = 500_000
    ingest.ingest_audit([LOGS])

    assert (stored(), Watermark.objects.get().gaps) == (wanted, [])


@pytest.mark.parametrize(
    ("window", "left"),
    [
        ((0, 9), []),
        ((2, 4), []),
        ((0, 3), [(3, 4)]),
        ((3, 9), [(2, 3)]),
        ((2.5, 3), [(2, 2.5), (3, 4)]),
        ((0, 2), [(2, 4)]),
        ((4, 9), [(2, 4)]),
    ],
)
def test_a_window_takes_its_stretch_out_of_a_gap(window: tuple[float, float], left: list[tuple[float, float]]) -> None:
    def hours(start: float, end: float) -> list[str]:
        day = datetime(2026, 11, 20, tzinfo=UTC)
        return [(day + timedelta(hours=start)).isoformat(), (day + timedelta(hours=end)).isoformat()]

    start, end = (datetime.fromisoformat(moment) for moment in hours(*window))
    assert without([hours(2, 4)], Window(start, end)) == [hours(*pair) for pair in left]


# --- Failures --------------------------------------------------------------------------------------------------------
def test_one_workspace_that_fails_stops_no_other_and_says_why(azure: Azure, logs: Workspace) -> None:
    broken = azure.add_workspace("broken", subscription_id=SUBSCRIPTION, customer_id=MORE_LOGS, readable=False)
    azure.add_vault("hr-prod", subscription_id=SUBSCRIPTION, workspace=broken.resource_id)
    log(azure, vault="hr-prod")
    wanted = log(azure)
    counts = ingest.ingest_audit([MORE_LOGS, LOGS])

    assert (counts.logs, counts.failed, stored()) == (2, 1, [wanted])
    mark = Watermark.objects.get(workspace_id=MORE_LOGS)
    assert (mark.complete_up_to, mark.code) == (None, "denied")
    assert mark.note == "Azure refused this: kvadmin's identity may not do it."


def test_a_failure_keeps_what_was_taken_in_and_is_forgotten_after_a_success(azure: Azure, logs: Workspace) -> None:
    wanted = log(azure)
    ingest.ingest_audit([LOGS])
    before = Watermark.objects.get().complete_up_to
    azure.faults.set("logs", Fault("throttled"))
    ingest.ingest_audit([LOGS], patience=AT_ONCE)
    mark = Watermark.objects.get()
    assert (stored(), mark.complete_up_to, mark.code) == ([wanted], before, "throttled")

    azure.faults.clear()
    ingest.ingest_audit([LOGS])
    assert (Watermark.objects.get().code, Watermark.objects.get().note) == ("", "")


def test_a_workspace_that_asks_for_a_rest_gets_it_and_is_asked_again(azure: Azure, logs: Workspace) -> None:
    wanted = log(azure)
    azure.faults.set("logs", Fault("throttled", retry_after=1, times=1))
    slept: list[float] = []
    counts = ingest.ingest_audit([LOGS], patience=Patience(tries=2, sleep=slept.append))

    assert (counts.failed, stored(), slept) == (0, [wanted], [1.0])


def test_our_own_limit_of_rows_loses_none_of_them(azure: Azure, logs: Workspace) -> None:
    start = timezone.now() - timedelta(hours=20)
    moments = [start + timedelta(milliseconds=n // 3) for n in range(3 * gateway_logs.MOST_ROWS // 2)]
    for moment in moments:
        log(azure, moment)
    counts = ingest.ingest_audit([LOGS])

    assert AccessEvent.objects.count() == counts.new == len(moments)
    assert Watermark.objects.get().gaps == []


def test_a_workspace_without_either_table_is_not_called_complete(azure: Azure, logs: Workspace) -> None:
    ingest.ingest_audit([LOGS])

    mark = Watermark.objects.get()
    assert (mark.code, mark.complete_up_to) == ("no-table", None)


def test_a_back_fill_goes_on_where_the_run_before_it_stopped(azure: Azure, logs: Workspace) -> None:
    oldest, newest = log(azure, timezone.now() - timedelta(days=29)), log(azure)
    ingest.ingest_audit([LOGS], most_queries=2)
    mark = Watermark.objects.get()
    assert (stored(), mark.code, mark.complete_up_to - mark.complete_from) == ([oldest], "behind", 2 * STEP)

    ingest.ingest_audit([LOGS])
    assert (stored(), Watermark.objects.get().code) == ([oldest, newest], "")


# --- From a reveal to its explanation --------------------------------------------------------------------------------
def reveal(version: str = "") -> None:
    with ledger.attempt(a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db-password", version), reason="INC-1") as act:
        read = keyvault.get_secret("https://pay-prod.vault.azure.net/", "db-password", version, reveal_id=str(act.id))
        act.revealed(version=read.properties.version, request_id=read.request_id, region=read.region)


def matches() -> list[tuple[str, str, str, bool]]:
    found = AccessEvent.objects.order_by("at", "operation")  # a challenge may be answered within its millisecond
    return list(found.values_list("operation", "match", "matched_by", "is_noise"))


def test_a_reveal_shows_up_in_azures_log_under_the_persons_name(azure: Azure, logs: Workspace) -> None:
    azure.put_secret("pay-prod", "db-password", "s3cret-value")
    reveal()
    ingest.ingest_audit([LOGS])

    assert matches() == [("Authentication", "other", "", True), ("SecretGet", "explained", "request-id", False)]
    event = AccessEvent.objects.get(operation="SecretGet")
    assert (event.person, event.reason, event.who, event.who_kind) == (
        "Ada Example",
        "INC-1",
        "kvadmin",
        "managed-identity",
    )
    assert "s3cret-value" not in str(list(AccessEvent.objects.values()))


def test_a_reveal_whose_answer_was_lost_is_explained_by_its_user_agent(azure: Azure, logs: Workspace) -> None:
    azure.put_secret("pay-prod", "db-password", "s3cret-value")
    azure.faults.set("pay-prod", Fault("lost", operations=frozenset({"SecretGet"})))
    with pytest.raises(GatewayError):
        reveal()
    ingest.ingest_audit([LOGS])

    assert matches()[-1] == ("SecretGet", "explained", "user-agent", False)


def test_a_read_with_kvadmins_stolen_credential_and_a_copied_user_agent_is_an_alarm(
    azure: Azure, logs: Workspace
) -> None:
    azure.put_secret("pay-prod", "db-password", "s3cret-value")
    reveal()
    agent = next(row.client_info for row in azure.log if row.operation == "SecretGet")
    stolen = log(azure, timezone.now(), identity=KVADMIN, client_info=agent)
    ingest.ingest_audit([LOGS])

    assert AccessEvent.objects.get(correlation_id=stolen).match == "unexplained"
    assert AccessEvent.objects.filter(match="explained").count() == 1


# --- Doors -----------------------------------------------------------------------------------------------------------
def test_the_job_reads_the_settings_workspaces_and_those_of_the_known_vaults(azure: Azure, logs: Workspace) -> None:
    factories.vault("pay-prod", workspace_id=LOGS)
    wanted = log(azure)

    assert tasks.workspaces() == {LOGS}
    assert (tasks.ingest_audit.call(), stored()) == (1, [wanted])
    with override_settings(KVADMIN_WORKSPACES=[MORE_LOGS]):
        assert tasks.workspaces() == {LOGS, MORE_LOGS}


def test_the_command_says_what_it_did_and_fails_when_a_workspace_does(azure: Azure, logs: Workspace) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="No log was read: kvadmin knows none yet"):
        call_command("ingest_audit", stdout=out)

    factories.vault("pay-prod", workspace_id=LOGS)
    log(azure)
    out = StringIO()
    call_command("ingest_audit", stdout=out)
    assert out.getvalue().startswith("1 rows, 1 of them new, 0 not readable; moved to explained 0, around 1,")

    logs.readable = False
    with pytest.raises(CommandError, match="Not read: 1 of 1 logs"):
        call_command("ingest_audit", stdout=out)


RECORDS = json.loads((Path(__file__).parent / "fixtures" / "audit_records.json").read_text())


def test_a_storage_accounts_file_is_taken_in_once_and_moves_no_watermark(tmp_path: Path) -> None:
    file = tmp_path / "PT1H.json"
    file.write_text("\n\n".join(json.dumps(record) for record in RECORDS["records"].values()))
    for _ in range(2):
        call_command("ingest_audit", file=str(file), stdout=StringIO())

    assert AccessEvent.objects.count() == 12
    assert Watermark.objects.count() == 0
    azcli = AccessEvent.objects.get(name="securaallsecret")
    assert (azcli.who, azcli.match) == ("alex.doe@example.onmicrosoft.com", "around")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"{}\nnot json", "Line 1 is no JSON object."), (b"[1]", "Line 1 is no JSON object."), (b"\xff", "is not UTF-8")],
)
def test_a_file_that_is_no_log_is_refused_with_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "log.json"
    file.write_bytes(content)

    with pytest.raises(CommandError, match=sentence):
        call_command("ingest_audit", file=str(file))
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command("ingest_audit", file=str(tmp_path / "missing.json"))


# --- Two at once -----------------------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_take_every_row_in_exactly_once(azure: Azure, logs: Workspace) -> None:
    logs.duplicates = 0.5
    for n in range(200):
        log(azure, timezone.now() - timedelta(minutes=n), visible_at=azure.clock.now() - timedelta(minutes=10))
    gate, broken = threading.Barrier(2), []

    def work() -> None:
        gate.wait()
        try:
            ingest.ingest_audit([LOGS])
        except Exception as error:  # noqa: BLE001 - whatever went wrong in a thread is this test's failure
            broken.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert broken == []
    assert sorted(stored()) == sorted({row.correlation_id for row in azure.log})
    assert set(AccessEvent.objects.values_list("match", flat=True)) == {"around"}
