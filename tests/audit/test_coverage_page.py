"""The coverage page says of each vault what its log can know, and gives the command that mends a blind one."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import ingest
from audit.models import Backfill, LedgerEntry, Watermark
from audit.vault_coverage import command
from kvadmin import badges
from kvadmin.emulator.state import Azure, Workspace
from tests import factories
from tests.audit.logged import LOGS, log
from vaults.models import LogState, Person, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db

ALL = {"AZKVAuditLogs": list(ingest.COLUMNS)}


def vault(name: str, **mark: Any) -> Vault:
    """A vault with a workspace of its own, taken in up to now, unless told otherwise."""
    state = mark.pop("log_state", "ok")
    made = factories.vault(name, log_state=state, workspace_id=f"workspace-of-{name}")
    if mark.pop("marked", True):
        now = timezone.now()
        plain = {"complete_from": now - timedelta(days=30), "complete_up_to": now, "columns": ALL}
        Watermark.objects.create(workspace_id=made.workspace_id, **plain | mark)
    return made


def text(client: Client, **asked: str) -> str:
    body = client.get("/audit/coverage/", asked).content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def shown(client: Client, **asked: str) -> list[str]:
    body = client.get("/audit/coverage/", asked).content.decode()
    return re.findall(r'<th scope="row"><a href="/vaults/([^/]+)/"', body)


@pytest.fixture
def auditor(client: Client) -> Person:
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_auditors_and_whoever_runs_the_sweeps_see_the_vaults_in_scope(client: Client) -> None:
    pay, _ = vault("pay-prod", log_state="no-setting"), vault("hr-prod", log_state="no-setting")

    for role in ("auditor", "administrator"):
        client.force_login(factories.person(role, role))
        assert shown(client) == ["hr-prod", "pay-prod"]
        client.force_login(factories.person(f"{role}-of-one", role, vault=pay))
        assert ("hr-prod" in text(client), shown(client)) == (False, ["pay-prod"])


@pytest.mark.parametrize("role", ["", "reader", "secrets-user", "approver"])
def test_others_are_refused_and_the_refusal_is_on_record(client: Client, role: str) -> None:
    vault("pay-prod", log_state="no-setting")
    client.force_login(factories.person("bob", role))

    answer = client.get("/audit/coverage/")
    assert (answer.status_code, b"pay-prod" in answer.content) == (403, False)
    assert client.post("/audit/coverage/backfill/", {"days": "9"}).status_code == 403
    refused = LedgerEntry.objects.filter(phase="refused").order_by("seq").values_list("action", flat=True)
    assert list(refused) == ["audit:read", "vault:sync"]


# --- What it says ----------------------------------------------------------------------------------------------------
GAP = [["2026-11-20T10:00:00+00:00", "2026-11-20T10:00:10+00:00"]]
WITHOUT_CLAIMS = {"AzureDiagnostics": [name for name in ingest.COLUMNS if name != "Claims"]}


@pytest.mark.parametrize(
    ("fields", "label", "words"),
    [
        ({}, "Complete", "AZKVAuditLogs"),
        ({"gaps": GAP}, "Gaps", "2026-11-20 10:00:00Z to 2026-11-20 10:00:10Z"),
        ({"columns": WITHOUT_CLAIMS}, "Columns absent", "the identity (AzureDiagnostics)"),
        ({"columns": {}}, "No rows", "That is no proof that nobody called the vault."),
        ({"code": "no-table", "complete_up_to": None}, "Table absent", "neither table exists there"),
        ({"code": "denied", "note": "Azure refused this."}, "Cannot be read", "Azure refused this."),
        ({"code": "behind", "note": ingest.MORE}, "Catching up", ingest.MORE),
        ({"marked": False}, "Not taken in yet", "The next look at the log takes it in."),
        ({"marked": False, "log_state": "unknown"}, "Not checked yet", "The next sweep asks"),
        ({"retention_days": 14}, "Complete", "14 days"),
        ({"log_state": "no-setting"}, "Blind", "az monitor diagnostic-settings create --name kvadmin --resource"),
        ({"log_state": "not-to-workspace"}, "Blind", "az monitor diagnostic-settings create --name kvadmin"),
        ({"log_state": "unreadable"}, "Blind", "Give its identity Log Analytics Data Reader"),
    ],
)
def test_each_state_of_a_log_has_its_word_and_says_what_is_missing(
    client: Client, auditor: Person, fields: dict[str, Any], label: str, words: str
) -> None:
    vault("pay-prod", **fields)

    row = text(client).partition("What is missing")[2]
    assert label in row
    assert words in row


def test_the_blind_vaults_are_listed_first_and_counted(client: Client, auditor: Person) -> None:
    vault("hr-prod", log_state="unreadable")
    vault("id-dev", log_state="no-setting")
    vault("pay-prod")

    page = text(client)
    assert "Blind 2 Complete 1 2 blind vaults What happens there around kvadmin does not show." in page
    assert "of their secrets. hr-prod id-dev" in page


def test_the_command_is_one_that_a_shell_takes_apart_as_it_was_meant() -> None:
    made = factories.vault("pay-prod", resource_id="/subscriptions/s/resourcegroups/rg(1)/providers/x/vaults/pay-prod")
    words = shlex.split(command(made))

    assert words[:4] == ["az", "monitor", "diagnostic-settings", "create"]
    assert words[words.index("--resource") + 1] == made.resource_id
    assert words[words.index("--logs") + 1] == '[{"category": "AuditEvent", "enabled": true}]'
    assert command(factories.vault("registered", resource_id="")) == ""


def test_every_state_of_a_vaults_log_is_known_here(client: Client, auditor: Person) -> None:
    for state in LogState.values:
        vault(f"vault-{state}", log_state=state, marked=False)

    assert len(shown(client)) == len(LogState.values)


# --- Filters, paging, size -------------------------------------------------------------------------------------------
def test_the_list_can_be_narrowed_and_goes_on_by_name(client: Client, auditor: Person) -> None:
    for n in range(60):
        vault(f"pay-{n:02}", gaps=GAP if n % 20 == 0 else [])
    vault("hr-prod", log_state="no-setting")

    assert shown(client, show="gaps") == ["pay-00", "pay-20", "pay-40"]
    assert shown(client, show="trouble") == ["hr-prod", "pay-00", "pay-20", "pay-40"]
    assert shown(client, vault="PAY-5") == [f"pay-5{n}" for n in range(10)]
    first = shown(client)
    assert (len(first), first[0], shown(client, after=first[-1])) == (
        50,
        "hr-prod",
        [f"pay-{n}" for n in range(49, 60)],
    )


def test_a_filter_that_does_not_exist_gets_one_sentence(client: Client, auditor: Person) -> None:
    vault("pay-prod")
    answer = client.get("/audit/coverage/", {"show": "everything"})

    assert (answer.status_code, b"Select a valid choice" in answer.content, shown(client, show="x")) == (422, True, [])


def test_the_number_of_queries_is_the_same_for_one_vault_and_for_three(
    client: Client, auditor: Person, django_assert_num_queries: Any
) -> None:
    vault("pay-prod")
    client.get("/audit/coverage/")
    with django_assert_num_queries(5):
        client.get("/audit/coverage/")
    vault("hr-prod", log_state="no-setting")
    vault("id-dev", gaps=GAP)
    with django_assert_num_queries(5):
        client.get("/audit/coverage/")


def test_every_state_has_a_word_of_its_own() -> None:
    labels = [label for _, label in badges.choices("coverage")]
    assert len(set(labels)) == len(labels)


def test_a_sweep_learns_for_how_long_the_workspace_keeps_rows(azure: Azure, logs: Workspace) -> None:
    logs.retention_days = 90
    for _ in range(2):
        sync_inventory()
    log(azure)
    ingest.ingest_audit([LOGS])

    assert list(Watermark.objects.values_list("workspace_id", "retention_days", "code")) == [(LOGS, 90, "")]


# --- The back-fill ---------------------------------------------------------------------------------------------------
def test_whoever_runs_the_sweeps_starts_a_back_fill_and_sees_how_far_it_is(
    client: Client,
    azure: Azure,
    logs: Workspace,
    run_jobs: Callable[[], None],
) -> None:
    factories.vault("pay-prod", log_state="ok", workspace_id=LOGS)
    logs.retention_days = 365
    log(azure, timezone.now() - timedelta(days=50))
    client.force_login(factories.person("admin", "administrator"))

    assert client.post("/audit/coverage/backfill/", {"days": "60"}).status_code == 302
    assert "Waiting for a worker since" in text(client)
    assert client.post("/audit/coverage/backfill/", {"days": "60"}).status_code == 302
    assert Backfill.objects.count() == 1
    run_jobs()
    assert "Last: 60 days, over" in text(client)
    assert "1 row, 1 of them new." in text(client)
    [row] = LedgerEntry.objects.all()
    assert (row.action, row.phase, row.person) == ("vault:sync", "done", "admin")


def test_an_auditor_sees_no_button_for_it_and_may_not(client: Client, auditor: Person) -> None:
    assert "Take in older rows" not in text(client)
    assert client.post("/audit/coverage/backfill/", {"days": "60"}).status_code == 403
    assert Backfill.objects.count() == 0


def test_an_administrator_of_a_part_neither_starts_one_nor_sees_what_one_took_in(client: Client) -> None:
    Backfill.objects.create(days=61, state="done", finished_at=timezone.now(), rows=4321)
    client.force_login(factories.person("dev-admin", "administrator", vault=factories.vault("pay-dev")))

    body = text(client)
    assert ("pay-dev" in body, "4,321" in body, "Take in older rows" in body) == (True, False, False)
    assert client.post("/audit/coverage/backfill/", {"days": "60"}).status_code == 403
    assert Backfill.objects.count() == 1


@pytest.mark.parametrize("days", ["", "0", "-1", "many", "731"])
def test_days_that_are_none_are_refused_with_a_sentence_and_start_nothing(client: Client, days: str) -> None:
    client.force_login(factories.person("admin", "administrator"))
    answer = client.post("/audit/coverage/backfill/", {"days": days})

    assert (answer.status_code, b'class="error"' in answer.content, Backfill.objects.count()) == (422, True, 0)


def test_the_progress_is_asked_for_alone_and_says_when_it_is_over(client: Client) -> None:
    now = timezone.now()
    run = Backfill.objects.create(days=60, state="running", progressed_at=now, logs_total=3, logs_done=1, reached=now)
    client.force_login(factories.person("admin", "administrator"))
    asked = {"HX-Request": "true", "HX-Target": "backfill-progress"}
    body = client.get("/audit/coverage/", headers=asked).content.decode()
    assert body.lstrip().startswith('<section class="card" id="backfill-progress"')
    assert "1 of 3 logs done" in body

    Backfill.objects.filter(pk=run.pk).update(state="done", finished_at=now)
    answer = client.get("/audit/coverage/", headers=asked)
    assert ("over" in answer.content.decode(), answer["HX-Trigger"]) == (True, '{"filled": {}}')
