"""The doors from the queue: what becomes of a sweep whose worker died, and which workspaces are read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from kvadmin.emulator.state import Azure
from kvadmin.jobs import recovery, runs, schedule
from tests import factories
from vaults import tasks
from vaults.models import SyncRun

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    """One subscription with one vault that holds nothing."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    return azure


def a_worker_dies_in_the_sweep() -> None:
    """The clock's job has queued its sweep, and the worker that took that one is killed after its first report."""
    tasks.sync_inventory.enqueue()
    clock = DBTaskResult.objects.get()
    clock.claim("a")
    runs.run(clock)
    DBTaskResult.objects.get(status="READY").claim("a")
    DBTaskResult.objects.filter(status="RUNNING").update(started_at=timezone.now() - timedelta(seconds=120))
    SyncRun.objects.update(state="running", progressed_at=timezone.now(), vaults_done=1)


def test_the_clocks_job_sweeps(cloud: Azure, run_jobs: Callable[[], None]) -> None:
    tasks.sync_inventory.enqueue()
    run_jobs()
    run = SyncRun.objects.get()
    assert (run.state, run.asked_by, run.vaults_done) == ("done", "", 1)


def test_a_sweep_of_the_clock_is_carried_on_by_the_worker_that_takes_it_over(
    cloud: Azure, run_jobs: Callable[[], None]
) -> None:
    a_worker_dies_in_the_sweep()
    assert recovery.recover() == 1
    run_jobs()
    assert list(SyncRun.objects.values_list("state", "vaults_done")) == [("done", 1)]


def test_while_a_sweep_waits_for_another_worker_the_clock_queues_none(cloud: Azure) -> None:
    a_worker_dies_in_the_sweep()
    schedule.register()
    assert "sync" not in schedule.tick()


def test_the_sweep_that_follows_a_recovered_one_is_not_skipped(cloud: Azure, run_jobs: Callable[[], None]) -> None:
    a_worker_dies_in_the_sweep()
    recovery.recover()
    run_jobs()
    tasks.sync_inventory.enqueue()
    run_jobs()
    assert list(SyncRun.objects.values_list("state", flat=True)) == ["done", "done"]


def test_the_workspaces_are_those_of_the_settings_and_of_the_vaults(settings) -> None:
    settings.KVADMIN_WORKSPACES = ["named"]
    factories.vault("pay-prod", workspace_id="found")
    factories.vault("pay-dev", workspace_id="found")
    factories.vault("blind")
    assert tasks.workspaces() == {"named", "found"}
