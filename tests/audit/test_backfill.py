"""Older rows are taken in backwards, and nothing is lost, doubled or called complete too early on the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from io import StringIO
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from audit import backfill, ingest
from audit.models import AccessEvent, Backfill, Watermark
from audit.windows import FLOOR, STEP, Window, steps, steps_back
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure, Workspace
from kvadmin.gateway.paging import AT_ONCE
from tests import factories
from tests.audit.logged import LOGS, log, stored
from vaults import tasks

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(azure: Azure, logs: Workspace) -> Workspace:
    """A workspace that keeps a year, with a row for every tenth day, of which ingest has taken in thirty days."""
    logs.retention_days = 365
    factories.vault("pay-prod", log_state="ok", workspace_id=LOGS)
    for days in range(1, 201, 10):
        log(azure, timezone.now() - timedelta(days=days))
    ingest.ingest_audit([LOGS])
    Watermark.objects.update(retention_days=365)
    return logs


def fill(days: int) -> Backfill:
    return backfill.backfill_audit(Backfill.objects.create(days=days), [LOGS], patience=AT_ONCE)


def days_back(moment: datetime) -> float:
    return (timezone.now() - moment) / timedelta(days=1)


# --- What it takes in ------------------------------------------------------------------------------------------------
def test_it_takes_in_what_lies_before_and_asks_for_nothing_twice(azure: Azure, world: Workspace) -> None:
    assert AccessEvent.objects.count() == 3
    run = fill(120)

    assert (run.state, run.logs_total, run.logs_done, run.logs_failed) == ("done", 1, 1, 0)
    assert (AccessEvent.objects.count(), run.rows, run.new) == (12, 9, 9)
    mark = Watermark.objects.get()
    assert 119.9 < days_back(mark.complete_from) < 120.1
    assert days_back(mark.complete_up_to) < 0.1
    assert set(AccessEvent.objects.values_list("match", flat=True)) == {"around"}


def test_more_days_later_go_on_from_there_and_fewer_have_nothing_to_do(azure: Azure, world: Workspace) -> None:
    fill(60)
    assert (fill(60).rows, fill(10).rows) == (0, 0)

    assert fill(100).new == 4
    assert stored() == [row.correlation_id for row in sorted(azure.log, key=lambda row: row.time)][-10:]


def test_a_log_that_was_never_read_is_first_taken_in_forwards(azure: Azure, world: Workspace) -> None:
    AccessEvent.objects.all().delete()
    Watermark.objects.all().delete()

    assert (fill(100).new, AccessEvent.objects.count()) == (10, 10)
    assert days_back(Watermark.objects.get().complete_up_to) < 0.1


@override_settings(KVADMIN_AUDIT_DAYS=60)
def test_it_goes_no_further_back_than_rows_are_kept(azure: Azure, world: Workspace) -> None:
    fill(100)
    assert 59.9 < days_back(Watermark.objects.get().complete_from) < 60.1

    Watermark.objects.update(retention_days=45, complete_from=timezone.now() - timedelta(days=30))
    fill(100)
    assert 44.9 < days_back(Watermark.objects.get().complete_from) < 45.1


def test_a_cut_answer_is_asked_for_in_pieces_and_nothing_is_missing(azure: Azure, world: Workspace) -> None:
    start = timezone.now() - timedelta(days=50)
    wanted = {log(azure, start + timedelta(minutes=minutes)) for minutes in range(0, 400, 10)}
    world.row_limit = 7
    fill(60)

    assert wanted <= set(stored())
    assert AccessEvent.objects.count() == 6 + len(wanted)
    assert Watermark.objects.get().gaps == []


def test_what_a_workspace_may_have_dropped_is_not_called_complete(azure: Azure, world: Workspace) -> None:
    world.retention_days = 60  # and Azure does not tell kvadmin so
    Watermark.objects.update(retention_days=None)
    fill(120)
    assert 50 < days_back(Watermark.objects.get().complete_from) < 60

    Watermark.objects.update(retention_days=60)
    fill(120)
    assert 59.9 < days_back(Watermark.objects.get().complete_from) < 60.1


# --- What may go wrong -----------------------------------------------------------------------------------------------
def test_a_failure_keeps_what_was_taken_in_and_the_next_run_goes_on(azure: Azure, world: Workspace) -> None:
    azure.faults.set("logs", Fault("server", status=500))
    run = fill(120)
    assert (run.state, run.logs_done, run.logs_failed, run.new) == ("done", 0, 1, 0)
    assert run.note == "1 of 1 logs could not be read to the end. The coverage page says why."
    assert Watermark.objects.get().code == "server"

    azure.faults.clear()
    assert fill(120).new == 9


def test_one_runs_at_a_time_and_one_whose_worker_died_makes_way(azure: Azure, world: Workspace) -> None:
    now = timezone.now()
    other = Backfill.objects.create(days=9, state="running", progressed_at=now)
    with pytest.raises(backfill.Busy):
        fill(60)
    assert Backfill.objects.first().note == backfill.BUSY
    assert backfill.running() == other

    Backfill.objects.filter(pk=other.pk).update(progressed_at=now - backfill.SILENT)
    assert fill(60).state == "done"
    other.refresh_from_db()
    assert (other.state, other.note) == ("failed", backfill.LOST)


def test_a_job_that_is_given_to_another_worker_does_its_work(azure: Azure, world: Workspace) -> None:
    run = Backfill.objects.create(days=60, state="running", progressed_at=timezone.now())

    assert tasks.backfill_audit.call(run.pk) == 3
    run.refresh_from_db()
    assert run.state == "done"


# --- The command -----------------------------------------------------------------------------------------------------
def test_the_command_says_what_came_of_it(azure: Azure, world: Workspace) -> None:
    out = StringIO()
    call_command("backfill_audit", days=60, stdout=out)

    assert out.getvalue() == "1 of 1 logs: 3 rows, 3 of them new.\n"


def test_the_command_fails_when_a_log_does_and_refuses_what_is_not_kept(azure: Azure, world: Workspace) -> None:
    world.readable = False
    with pytest.raises(CommandError, match="1 of 1 logs could not be read to the end"):
        call_command("backfill_audit", days=60, stdout=StringIO())
    for days in (0, 731):
        with pytest.raises(CommandError, match="--days must be 1 to 730"):
            call_command("backfill_audit", days=days)


# --- Windows ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("days", [0, 1, 7, 8, 30])
def test_steps_cover_the_stretch_once_in_either_direction(days: int) -> None:
    start = timezone.now()
    end = start + timedelta(days=days)
    forward, back = list(steps(start, end)), list(steps_back(start, end))

    for windows in (forward, back[::-1]):
        edges = [windows[0].start, *(window.end for window in windows)] if windows else [start]
        assert edges == sorted(edges)
        assert (edges[0], edges[-1]) == (start, end)
        assert all(window.end - window.start <= STEP for window in windows)


@pytest.mark.parametrize("length", [timedelta(days=3), timedelta(hours=1), timedelta(0), timedelta(days=99)])
def test_pieces_are_at_least_two_cover_the_window_and_are_bounded(length: timedelta) -> None:
    whole = Window(timezone.now(), timezone.now() + timedelta(days=7))
    pieces = whole.pieces(length)

    assert 2 <= len(pieces) <= 500
    assert (pieces[0].start, pieces[-1].end) == (whole.start, whole.end)
    assert all(one.end == next_.start and one.start < one.end for one, next_ in pairwise(pieces))
    assert Window(whole.start, whole.start + FLOOR).is_narrow
