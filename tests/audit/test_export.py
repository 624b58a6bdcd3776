"""What is exported is what the filter finds, whole, safe for spreadsheets, exact for programs, and on record."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from audit import export, ledger
from audit.cef import event_to_cef, ledger_to_cef
from audit.models import AccessEvent, LedgerEntry, Watermark
from audit.views.export import Recorded
from kvadmin import actions as a
from kvadmin.emulator.state import Azure
from tests import factories
from tests.audit.logged import LOGS, log
from tests.audit.rows import ADA, event, revealed
from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db

FORMULAS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", " =1", "  \t=1", '"=1', "' =1", "\u00a0=1", "\ufeff=1",
    "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", '" \'@x', "=cmd|' /C calc'!A0",
]  # fmt: skip
HARMLESS = ["", "db-password", "a=b", "1-1", "eve@contoso.example", "'quoted'", " x", "x\n=1"]


@pytest.fixture
def pay_prod() -> Vault:
    return factories.vault("pay-prod", log_state="ok")


@pytest.fixture
def auditor(client: Client, pay_prod: Vault) -> Person:
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


def exported(client: Client, form: str = "jsonl", path: str = "/audit/export/", **asked: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    answer = client.post(f"{path}?{query}", {"format": form})
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def ids(text: str) -> list[str]:
    return [json.loads(line)["correlation_id"] for line in text.splitlines()]


def outcomes() -> list[tuple[str, str, str]]:
    acts = LedgerEntry.objects.filter(action="audit:export").order_by("seq")
    return list(acts.values_list("phase", "code", "note"))


# --- Who may, and what -----------------------------------------------------------------------------------------------
def test_each_auditor_exports_the_rows_of_the_vaults_in_scope(client: Client, pay_prod: Vault) -> None:
    event(correlation_id="here", name="db-password")
    event(correlation_id="api", name="api-key")
    event(correlation_id="elsewhere", vault="hr-prod")

    client.force_login(factories.person("everywhere", "auditor"))
    assert set(ids(exported(client))) == {"here", "api", "elsewhere"}
    client.force_login(factories.person("of-one-vault", "auditor", vault=pay_prod))
    assert set(ids(exported(client))) == {"here", "api"}
    client.force_login(factories.person("of-a-prefix", "auditor", vault=pay_prod, prefix="db-"))
    assert ids(exported(client)) == ["here"]


@pytest.mark.parametrize("role", ["", "reader", "secrets-user", "administrator"])
def test_others_export_nothing_and_the_refusal_is_on_record(client: Client, pay_prod: Vault, role: str) -> None:
    event(who="eve-the-reader")
    client.force_login(factories.person("bob", role))

    for path in ("/audit/export/", "/audit/ledger/export/"):
        answer = client.post(path, {"format": "csv"})
        assert (answer.status_code, b"eve-the-reader" in answer.content) == (403, False)
    assert [phase for phase, _, _ in outcomes()] == ["refused", "refused"]


def test_an_export_is_an_act_and_no_page(client: Client, auditor: Person) -> None:
    assert [client.get(path).status_code for path in ("/audit/export/", "/audit/ledger/export/")] == [405, 405]
    assert outcomes() == []


def test_the_filters_of_the_page_are_those_of_the_file(client: Client, auditor: Person) -> None:
    event(correlation_id="wanted", name="db-password")
    event(correlation_id="other", name="api-key")
    event(correlation_id="old", at=timezone.now() - timedelta(days=20))
    event(correlation_id="noise", is_noise=True)

    assert ids(exported(client, secret="db-*")) == ["wanted"]
    assert ids(exported(client, range="30d", secret="db-password")) == ["wanted", "old"]
    assert exported(client, person="nobody-like-this") == ""


def test_a_bad_filter_exports_nothing_and_leads_back_to_the_page_with_it(client: Client, auditor: Person) -> None:
    event()
    answer = client.post("/audit/export/?start=tomorrow", {"format": "csv"})

    assert (answer.status_code, answer["Location"]) == (302, "/audit/?start=tomorrow")
    assert outcomes() == []


# --- On record -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("form", "rows"), [("csv", "3 rows."), ("jsonl", "3 rows."), ("cef", "3 rows.")])
def test_the_filter_is_on_record_before_the_first_row_and_the_number_after_the_last(
    client: Client, auditor: Person, form: str, rows: str
) -> None:
    for _ in range(3):
        event()
    answer = client.post("/audit/export/?vault=pay-prod&range=24h&x=1", {"format": form})
    assert outcomes() == [("intent", "", f"access-log as {form}: range 24h, vault pay-prod")]

    list(answer.streaming_content)
    assert outcomes()[1:] == [("done", "", rows)]


@pytest.mark.parametrize(("taken", "told"), [(0, "0 rows sent."), (2, "1 row sent."), (3, "2 rows sent.")])
def test_a_reader_who_goes_away_leaves_how_much_they_got(taken: int, told: str) -> None:
    act = ledger.start(a.AUDIT_EXPORT, ADA, note="access-log as csv: no filter")
    stream = Recorded(iter(["head", "one", "two", "three"]), act, "csv")
    for _ in range(taken):
        next(stream)
    stream.close()

    assert outcomes()[1:] == [("failed", "cut-off", told)]


def test_a_row_that_cannot_be_written_is_a_failure_on_record() -> None:
    def lines() -> Iterator[str]:
        yield "one"
        raise ValueError("broken")

    act = ledger.start(a.AUDIT_EXPORT, ADA, note="access-log as jsonl: no filter")
    with pytest.raises(ValueError, match="broken"):
        list(Recorded(lines(), act, "jsonl"))
    assert outcomes()[1][:2] == ("failed", "crashed")


def test_no_export_begins_while_the_ledger_cannot_be_written(client: Client, auditor: Person) -> None:
    from tests.audit.logged import broken_writes

    event(who="eve-the-reader")
    with broken_writes("audit_ledgerentry"):
        answer = client.post("/audit/export/", {"format": "csv"})

    assert (answer.status_code, answer.streaming, b"eve-the-reader" in answer.content) == (503, False, False)


# --- CSV -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_takes_for_a_formula_begins_with_an_apostrophe(text: str) -> None:
    assert export.cell(text) == f"'{text}"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_it_does_not_is_left_as_it_is(text: str) -> None:
    assert export.cell(text) == text


def test_every_cell_of_a_file_is_safe_whatever_azure_logged(client: Client, auditor: Person) -> None:
    for text in FORMULAS:
        event(who=text, agent=text, reason=text)

    rows = list(csv.DictReader(io.StringIO(exported(client, "csv"), newline="")))
    assert sorted(row["who"] for row in rows) == sorted(f"'{text}" for text in FORMULAS)
    assert [cell for row in rows for cell in row.values() if cell[:1] != "'" and export.cell(cell) != cell] == []


def test_a_csv_file_has_a_head_and_times_in_utc(client: Client, auditor: Person) -> None:
    event(at=datetime(2026, 3, 29, 1, 0, tzinfo=UTC), person='Ada "the" Example', name="db,password")
    [row] = csv.DictReader(io.StringIO(exported(client, "csv", start="2026-03-29T00:00", end="2026-03-30T00:00")))

    assert (row["at"], row["person"], row["name"]) == (
        "2026-03-29T01:00:00.000000Z", 'Ada "the" Example', "db,password",
    )  # fmt: skip
    assert "raw" not in row


# --- JSON Lines ------------------------------------------------------------------------------------------------------
RAWS: list[dict[str, Any]] = [
    {"a": "=1+1", "b": ["\t", "\r\n", "\u2028", "\\", '"'], "ü": {"n": 1.5, "big": 2**60, "none": None, "yes": True}},
    {"ResultDescription": "line one\r\nline two", "Identity": {"claim": {"upn": "nora@contoso.example", "x": []}}},
    {},
]


def test_the_raw_record_comes_back_exactly(client: Client, auditor: Person) -> None:
    for raw in RAWS:
        event(raw=raw, at=timezone.now() - timedelta(seconds=RAWS.index(raw) + 1))
    text = exported(client)

    lines = text.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["raw"] for line in lines] == RAWS
    again = [json.dumps(json.loads(line), ensure_ascii=False, sort_keys=True, separators=(",", ":")) for line in lines]
    assert again == lines


@pytest.mark.parametrize("tables", [("AZKVAuditLogs",), ("AzureDiagnostics",)])
def test_an_export_can_be_taken_in_again_and_is_then_the_same_rows(
    azure: Azure,
    logs: Any,
    tmp_path: Path,
    tables: tuple[str, ...],
) -> None:
    from audit import ingest

    logs.tables = tables
    for n in range(3):
        log(azure, timezone.now() - timedelta(hours=n + 1))
    ingest.ingest_audit([LOGS])
    columns = ["fingerprint", "at", "vault", "operation", "name", "version", "status", "who", "agent", "raw"]
    before = list(AccessEvent.objects.values_list(*columns))
    file = tmp_path / "access.jsonl"
    call_command("export_audit", out=str(file))
    AccessEvent.objects.all().delete()

    call_command("ingest_audit", file=str(file))
    assert list(AccessEvent.objects.values_list(*columns)) == before


def test_the_ledgers_export_holds_all_that_its_hashes_are_made_of(client: Client, auditor: Person) -> None:
    revealed(request_id="r1")
    rows = [json.loads(line) for line in exported(client, path="/audit/ledger/export/").splitlines()]

    again = [LedgerEntry(**row | {"at": datetime.fromisoformat(row["at"])}) for row in rows]
    assert [ledger.digest(entry) for entry in again] == [row["hash"] for row in rows]
    assert [row["previous_hash"] for row in rows][1:] == [row["hash"] for row in rows][:-1]


# --- CEF -------------------------------------------------------------------------------------------------------------
def test_an_event_in_cef_escapes_what_the_format_uses_itself() -> None:
    seen = event(
        at=datetime(2026, 12, 1, 0, 48, 7, 871000, tzinfo=UTC), operation="Secret|Get\\x", who="a=b\\c|d",
        agent="one\r\ntwo\u2028three", match="unexplained", name="db", version="", address="198.51.100.7",
    )  # fmt: skip
    line = event_to_cef(seen)

    assert line.startswith("CEF:0|kvadmin|kvadmin|")
    assert r"|Secret\|Get\\x|Unexplained|9|rt=1796086087871 " in line
    assert r" suser=a\=b\\c|d " in line
    assert r" requestClientApplication=one\r\ntwo three " in line
    assert " src=198.51.100.7 " in line
    assert " cs1=pay-prod cs1Label=vault cs2=db cs2Label=secret cs4=unexplained cs4Label=list " in line
    assert "\n" not in line + "\r"[:0]


def test_a_read_that_is_not_sorted_yet_is_no_mere_call_in_cef() -> None:
    assert event_to_cef(event(match="other")).split("|")[5] == "Not sorted yet"


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"match": "unexplained"}, "9"),
        ({"match": "around"}, "5"),
        ({"match": "explained"}, "3"),
        ({"match": "other", "is_read": False}, "2"),
        ({"match": "other", "is_read": False, "outcome": "denied"}, "4"),
    ],
)
def test_the_severity_follows_the_list(fields: dict[str, Any], severity: str) -> None:
    assert event_to_cef(event(**fields)).split("|")[6] == severity


def test_an_ipv6_address_has_its_own_field_and_a_ledger_row_its_hash() -> None:
    assert " c6a2=2001:db8::1 c6a2Label=Source IPv6 Address " in event_to_cef(event(address="2001:db8::1"))
    entry = ledger.refuse(a.SECRET_REVEAL, ADA, ledger.Target("pay-prod", "db"), code="no-role", note="No role.")
    line = ledger_to_cef(entry)
    assert "|secret:reveal|See a value|5|rt=" in line
    assert f" msg=no-role No role. cs1=pay-prod cs1Label=vault cs2=db cs2Label=secret cs6={entry.hash} " in line


# --- Size ------------------------------------------------------------------------------------------------------------
def make_events(many: int) -> None:
    plain = {
        "at": timezone.now() - timedelta(minutes=1),
        "vault": "v",
        "operation": "SecretGet",
        "raw": {"x": "y" * 500},
    }
    made = (AccessEvent(fingerprint=uuid.uuid4().hex, **plain) for _ in range(many))
    AccessEvent.objects.bulk_create(made, batch_size=500)


def test_rows_of_the_same_moment_are_neither_lost_nor_doubled_between_batches() -> None:
    make_events(2 * export.BATCH + 7)

    found = [row.pk for row in export.events_of(AccessEvent.objects.all())]
    assert found == sorted(AccessEvent.objects.values_list("pk", flat=True), reverse=True)


def test_memory_does_not_grow_with_the_number_of_rows() -> None:
    def peak() -> int:
        tracemalloc.start()
        for _ in export.events_as("jsonl", export.events_of(AccessEvent.objects.all())):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    make_events(2 * export.BATCH)
    few = peak()
    make_events(4 * export.BATCH)
    assert peak() < 1.5 * few


# --- manage.py -------------------------------------------------------------------------------------------------------
def test_the_command_writes_the_same_rows_and_is_on_record(client: Client, auditor: Person, tmp_path: Path) -> None:
    event(correlation_id="inside")
    event(correlation_id="outside", at=timezone.now() - timedelta(days=40))
    file = tmp_path / "access.jsonl"
    call_command("export_audit", out=str(file), vault="pay-prod")

    assert file.read_text() == exported(client)
    assert outcomes()[:2] == [("intent", "", "access log as jsonl, by manage.py"), ("done", "", "1 rows.")]


def test_the_command_says_what_the_rows_cannot_tell(capsys: pytest.CaptureFixture[str]) -> None:
    factories.vault("hr-prod", log_state="no-setting")
    call_command("export_audit")
    assert "complete for no moment. Blind vaults: 1. What came before" in capsys.readouterr().err

    at = datetime(2026, 11, 1, tzinfo=UTC)
    Watermark.objects.create(workspace_id="w", complete_from=at, complete_up_to=at + timedelta(days=9))
    factories.vault("pay-prod", log_state="ok", workspace_id="w")
    call_command("export_audit")
    assert "complete from 2026-11-01 00:00Z up to 2026-11-10 00:00Z. Blind vaults: 1." in capsys.readouterr().err


def test_the_command_writes_to_standard_output_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    event(name="db-password")
    call_command("export_audit", format="csv")
    call_command("export_audit", ledger=True)

    head, row, *entries = capsys.readouterr().out.splitlines()
    assert head.startswith('"id","fingerprint","at"')
    assert '"db-password"' in row
    assert [json.loads(line)["phase"] for line in entries][:2] == ["intent", "done"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start": "yesterday"}, "'yesterday' is no moment in UTC: write it as 2026-12-01T00:00Z."),
        ({"start": "2026-12-01T00:00"}, "is no moment in UTC"),
        ({"start": "2026-12-01T00:00+13:00"}, "is no moment in UTC"),
        ({"start": "2026-13-01T00:00Z"}, "is no moment in UTC"),
        ({"start": "2026-03-02T00:00Z", "end": "2026-03-01T00:00Z"}, "The range must end after it begins."),
        ({"out": "/nowhere/at/all"}, "/nowhere/at/all cannot be written: No such file or directory."),
    ],
)
def test_what_the_command_cannot_do_it_says_in_one_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        call_command("export_audit", **options)
