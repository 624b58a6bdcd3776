"""A vault whose workspace is not known, or cannot be read, is asked for its own log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from audit import ingest
from audit.coverage import coverage, watermarks
from audit.models import AccessEvent, Watermark
from audit.queries import last_reads
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure, Workspace
from tests import factories
from tests.audit.logged import LOGS, MORE_LOGS, SUBSCRIPTION, log, stored
from vaults import tasks
from vaults.models import Vault

pytestmark = pytest.mark.django_db


@pytest.fixture
def hidden(azure: Azure, logs: Workspace) -> Vault:
    """pay-prod as a sweep stores it that may not see the workspace; the log itself is answered."""
    return factories.vault("pay-prod", log_state="unreadable", resource_id=azure.vault("pay-prod").resource_id.lower())


def test_its_rows_come_in_by_its_own_id_and_no_others(azure: Azure, logs: Workspace, hidden: Vault) -> None:
    azure.add_vault("hr-prod", subscription_id=SUBSCRIPTION, workspace=logs.resource_id)
    wanted = log(azure)
    log(azure, vault="hr-prod")
    counts = ingest.ingest_audit([], [hidden.resource_id.upper()])

    assert (counts.logs, counts.new, stored()) == (1, 1, [wanted])
    mark = Watermark.objects.get()
    assert (mark.workspace_id, mark.resource_id, mark.code) == ("", hidden.resource_id, "")
    assert mark.columns == {"AZKVAuditLogs": sorted(ingest.COLUMNS)}


def test_an_event_of_both_logs_is_one_event(azure: Azure, logs: Workspace, hidden: Vault) -> None:
    wanted = log(azure)
    counts = ingest.ingest_audit([LOGS], [hidden.resource_id])

    assert (counts.logs, counts.rows, counts.new, stored()) == (2, 2, 1, [wanted])
    assert Watermark.objects.count() == 2


def test_the_vault_is_blind_no_more_once_its_log_has_told_something(
    azure: Azure,
    logs: Workspace,
    hidden: Vault,
) -> None:
    assert last_reads(hidden, "db-password").sentence.startswith("No read seen. This vault is blind")
    log(azure)
    ingest.ingest_audit([], [hidden.resource_id])

    found = last_reads(hidden, "db-password")
    assert (len(found.rows), found.sentence.startswith("Azure's log is complete from")) == (1, True)
    assert (coverage([hidden]).blind, coverage([hidden]).up_to) == ([], Watermark.objects.get().complete_up_to)


def test_an_answer_without_a_row_does_not_make_a_vault_seen(
    azure: Azure,
    logs: Workspace,
    hidden: Vault,
) -> None:
    """Azure leaves out what lies in workspaces that kvadmin may not read, and does not say so."""
    other = azure.add_workspace("other", subscription_id=SUBSCRIPTION, customer_id=MORE_LOGS)
    azure.add_vault("hr-prod", subscription_id=SUBSCRIPTION, workspace=other.resource_id)
    log(azure, vault="hr-prod")
    logs.readable = False
    log(azure)
    ingest.ingest_audit([], [hidden.resource_id])

    mark = Watermark.objects.get()
    assert (mark.code, mark.complete_up_to is not None, mark.columns, stored()) == ("", True, {}, [])
    assert [(blind.vault, blind.why) for blind in coverage([hidden]).blind] == [
        ("pay-prod", "its workspace cannot be read")
    ]


def test_a_vault_that_is_refused_stops_no_other_and_says_why(
    azure: Azure,
    logs: Workspace,
    hidden: Vault,
) -> None:
    azure.add_vault("hr-prod", subscription_id=SUBSCRIPTION, workspace=logs.resource_id)
    wanted = log(azure, vault="hr-prod")
    azure.faults.set("pay-prod", Fault("rbac"))
    counts = ingest.ingest_audit([], [hidden.resource_id, azure.vault("hr-prod").resource_id])

    assert (counts.logs, counts.failed, stored()) == (2, 1, [wanted])
    assert Watermark.objects.get(resource_id=hidden.resource_id).code == "denied"


# --- Which vaults are asked ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"log_state": "unreadable"}, True),
        ({"log_state": "unknown"}, True),
        ({"log_state": "ok", "workspace_id": LOGS}, False),
        ({"log_state": "no-setting"}, False),
        ({"log_state": "not-to-workspace"}, False),
        ({"log_state": "unreadable", "resource_id": ""}, False),
        ({"log_state": "unreadable", "vanished_at": timezone.now()}, False),
    ],
)
def test_only_vaults_without_a_workspace_are_asked_and_only_where_there_may_be_something(
    fields: dict[str, object], asked: bool
) -> None:
    vault = factories.vault("pay-prod", **fields)

    assert tasks.vaults_alone() == ({vault.resource_id} if asked else set())


def test_a_workspace_that_refuses_makes_its_vaults_be_asked_until_it_answers_again(
    azure: Azure,
    logs: Workspace,
) -> None:
    vault = factories.vault("pay-prod", log_state="ok", workspace_id=LOGS.upper())
    azure.faults.set("logs", Fault("rbac"))
    tasks.ingest_audit.call()
    assert tasks.vaults_alone() == {vault.resource_id}

    azure.faults.clear()
    tasks.ingest_audit.call()
    assert tasks.vaults_alone() == set()


def test_of_two_logs_the_one_that_reaches_further_counts() -> None:
    vault = factories.vault("pay-prod", log_state="ok", workspace_id=LOGS)
    now = timezone.now()
    fields = {"complete_from": now - timedelta(days=9), "columns": {"AZKVAuditLogs": ["Claims"]}}
    shared = Watermark.objects.create(workspace_id=LOGS, complete_up_to=now - timedelta(days=1), **fields)
    own = Watermark.objects.create(resource_id=vault.resource_id, complete_up_to=now, **fields)
    assert watermarks([vault]) == {"pay-prod": own}

    Watermark.objects.filter(pk=shared.pk).update(complete_up_to=now)
    assert watermarks([vault]) == {"pay-prod": shared}
    assert AccessEvent.objects.count() == 0
