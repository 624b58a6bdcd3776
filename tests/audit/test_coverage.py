"""No list says that nobody read a secret where the log cannot know it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.coverage import coverage
from audit.models import Watermark
from audit.queries import last_reads
from tests.audit.rows import event, revealed

pytestmark = pytest.mark.django_db

WORKSPACE = "99999999-0000-4000-8000-000000000001"
FROM, UP_TO = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, 0, 33, tzinfo=UTC)
BEFORE = " What came before the vault's diagnostic setting was made is not in it."
GAP = ["2026-11-20T10:00:00+00:00", "2026-11-20T10:00:10+00:00"]


@dataclass
class Home:
    """A vault, as far as coverage asks."""

    name: str = "pay-prod"
    log_state: str = "ok"
    workspace_id: str = WORKSPACE.upper()
    resource_id: str = ""


def mark(**fields: Any) -> Watermark:
    plain = {"workspace_id": WORKSPACE, "complete_from": FROM, "complete_up_to": UP_TO}
    return Watermark.objects.create(**plain | fields)


# --- The sentence of one secret --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("marked", "sentence"),
    [
        ({}, f"No read seen. Azure's log is complete from 2026-11-01 00:00Z up to 2026-12-01 00:33Z.{BEFORE}"),
        (
            {"gaps": [GAP]},
            "No read seen. Azure's log is complete from 2026-11-01 00:00Z up to 2026-12-01 00:33Z, but for 1 gap."
            f"{BEFORE}",
        ),
        (
            {"code": "throttled", "note": "Azure is busy."},
            "No read seen. Azure's log is complete from 2026-11-01 00:00Z up to 2026-12-01 00:33Z, "
            f"and blind since: Azure is busy.{BEFORE}",
        ),
        (
            {"code": "behind", "note": "There is more."},
            "No read seen. Azure's log is complete from 2026-11-01 00:00Z up to 2026-12-01 00:33Z, "
            f"and not since: There is more.{BEFORE}",
        ),
        (
            {"complete_up_to": None, "complete_from": None, "code": "denied", "note": "Refused."},
            "No read seen. Azure's log of this vault has not been taken in yet.",
        ),
    ],
)
def test_an_empty_list_says_what_it_can_know(marked: dict[str, Any], sentence: str) -> None:
    mark(**marked)

    assert last_reads(Home(), "db-password").sentence == sentence


@pytest.mark.parametrize(
    ("vault", "sentence"),
    [
        (
            Home(log_state="no-setting"),
            "This vault is blind (no diagnostic setting): reads around kvadmin do not show.",
        ),
        (
            Home(log_state="unreadable"),
            "This vault is blind (its workspace cannot be read): reads around kvadmin do not",
        ),
        (Home(log_state="unknown"), "Whether this vault sends an access log has not been checked yet."),
        (Home(workspace_id=""), "Azure's log of this vault has not been taken in yet."),
    ],
)
def test_a_blind_vault_says_so_beside_old_reads_too(vault: Home, sentence: str) -> None:
    mark()
    assert last_reads(vault, "db-password").sentence.startswith(f"No read seen. {sentence}")

    event()
    found = last_reads(vault, "db-password")
    assert (len(found.rows), found.sentence.startswith(sentence)) == (1, True)


def test_the_last_reads_are_the_newest_of_this_very_secret(django_assert_num_queries: Any) -> None:
    mark()
    now = timezone.now()
    for n in range(4):
        event(correlation_id=str(n), at=now - timedelta(days=n))
    event(name="db-password-2")
    event(vault="pay-test")
    event(is_read=False, outcome="denied")

    with django_assert_num_queries(3):
        found = last_reads(Home(), "db-password", limit=3)
    assert [read.event and read.event.correlation_id for read in found.rows] == ["0", "1", "2"]


def test_what_kvadmin_itself_read_is_no_silence_where_azures_log_does_not_show_it() -> None:
    act = revealed(request_id="only-the-ledger-has-it")
    revealed(secret="api-key", request_id="of-another")
    revealed()

    mark()
    assert last_reads(Home(), "db-password").sentence.endswith(BEFORE)
    found = last_reads(Home(log_state="no-setting"), "db-password")
    assert [read.entry and read.entry.act for read in found.rows] == [act.id]
    assert found.sentence == "This vault is blind (no diagnostic setting): reads around kvadmin do not show."


# --- Many vaults -----------------------------------------------------------------------------------------------------
def test_coverage_is_as_narrow_as_the_narrowest_of_its_workspaces(django_assert_num_queries: Any) -> None:
    mark()
    mark(workspace_id="two", complete_from=FROM + timedelta(days=9), complete_up_to=UP_TO - timedelta(days=1))
    vaults = [Home(), Home("hr-prod", workspace_id="two"), Home("new", workspace_id="three")]

    with django_assert_num_queries(1):
        found = coverage(vaults)
    assert (found.since, found.up_to) == (FROM + timedelta(days=9), UP_TO - timedelta(days=1))
    assert (found.waiting, found.blind, found.unchecked, found.stale) == (1, [], [], [])


def test_coverage_counts_the_vaults_of_a_failing_workspace_and_those_that_send_nothing() -> None:
    failing = mark(code="denied", note="Refused.", complete_up_to=None, complete_from=None)
    vaults = [Home(), Home("pay-test"), Home("dev", log_state="no-setting"), Home("lab", log_state="unknown")]

    found = coverage(vaults)
    assert [(stale.mark, stale.vaults) for stale in found.stale] == [(failing, 2)]
    assert [(blind.vault, blind.why) for blind in found.blind] == [("dev", "no diagnostic setting")]
    assert (found.unchecked, found.waiting, found.up_to) == (["lab"], 2, None)
