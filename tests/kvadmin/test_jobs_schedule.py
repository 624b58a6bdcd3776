"""The clock: what is due is queued once, whoever looks, and however late."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils.module_loading import import_string
from django_tasks.base import Task
from django_tasks_db.models import DBTaskResult
from pytest_django import Settings

from kvadmin.jobs import schedule
from kvadmin.jobs.models import Schedule
from kvadmin.jobs.schedule import Periodic

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATH = "kvadmin.jobs.tasks.prune_results"


def every_minute(next_at: datetime = NOON, **fields: object) -> Schedule:
    fields = {"name": "prune", "task_path": PATH, "every_seconds": 60, "next_at": next_at, **fields}
    return Schedule.objects.create(**fields)


def queued() -> int:
    return DBTaskResult.objects.filter(task_path=PATH).count()


def finish_all() -> None:
    DBTaskResult.objects.update(status="SUCCESSFUL")


def test_nothing_is_queued_before_its_time() -> None:
    every_minute()

    assert schedule.tick(NOON - timedelta(seconds=1)) == []
    assert queued() == 0


def test_a_due_run_is_queued_once_and_the_next_one_stays_in_step() -> None:
    row = every_minute()

    assert schedule.tick(NOON + timedelta(seconds=7)) == ["prune"]
    assert schedule.tick(NOON + timedelta(seconds=8)) == []

    row.refresh_from_db()
    assert (row.next_at, row.last_at) == (NOON + timedelta(seconds=60), NOON + timedelta(seconds=7))
    assert queued() == 1


def test_runs_that_were_missed_are_made_up_once() -> None:
    row = every_minute()

    schedule.tick(NOON + timedelta(hours=3, seconds=10))
    finish_all()
    schedule.tick(NOON + timedelta(hours=3, seconds=20))

    row.refresh_from_db()
    assert queued() == 1
    assert row.next_at == NOON + timedelta(hours=3, minutes=1)


@pytest.mark.parametrize("status", ["READY", "RUNNING"])
def test_a_run_is_not_queued_behind_one_that_still_waits_or_works(status: str) -> None:
    every_minute()
    schedule.tick(NOON)
    DBTaskResult.objects.update(status=status)

    assert schedule.tick(NOON + timedelta(minutes=1)) == []
    finish_all()
    assert schedule.tick(NOON + timedelta(minutes=2)) == ["prune"]


def test_a_paused_schedule_queues_nothing() -> None:
    every_minute(paused=True)

    assert schedule.tick(NOON) == []


def test_a_schedule_whose_task_is_gone_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    every_minute(name="gone", task_path="kvadmin.jobs.tasks.gone")
    every_minute()

    assert schedule.tick(NOON) == ["prune"]
    assert "schedule gone: there is no task kvadmin.jobs.tasks.gone" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_many_workers_that_tick_at_once_queue_one_run() -> None:
    every_minute()
    start = threading.Barrier(8)
    names: list[str] = []

    def tick() -> None:
        start.wait()
        names.extend(schedule.tick(NOON))
        connection.close()

    threads = [threading.Thread(target=tick) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert names == ["prune"]
    assert queued() == 1


def test_every_job_of_the_table_exists() -> None:
    tasks = [import_string(job.task_path) for job in schedule.periodic_jobs()]

    assert all(isinstance(task, Task) for task in tasks)
    assert [f"{task.module_path}" for task in tasks] == [job.task_path for job in schedule.periodic_jobs()]


def test_new_schedules_are_due_at_once_and_known_ones_keep_their_time() -> None:
    schedule.register((Periodic("prune", PATH, timedelta(minutes=1)),))
    first = Schedule.objects.get()
    schedule.register((Periodic("prune", PATH, timedelta(minutes=1)),))

    assert schedule.tick() == ["prune"]
    assert Schedule.objects.filter(pk=first.pk, every_seconds=60).exists()


def test_a_shorter_period_takes_effect_now_and_a_pause_is_kept() -> None:
    schedule.register((Periodic("prune", PATH, timedelta(days=1)),))
    schedule.tick()
    Schedule.objects.update(paused=True)

    schedule.register((Periodic("prune", PATH, timedelta(minutes=5)),))

    row = Schedule.objects.get()
    assert row.next_at <= row.last_at + timedelta(minutes=6)
    assert row.paused


def test_a_schedule_that_left_the_table_is_forgotten() -> None:
    every_minute(name="old")

    schedule.register(())

    assert Schedule.objects.count() == 0


def test_the_periods_come_from_the_settings(settings: Settings) -> None:
    settings.KVADMIN_SYNC_MINUTES = 3
    settings.KVADMIN_INGEST_MINUTES = 4

    assert {job.name: job.every for job in schedule.periodic_jobs()} == {
        "sync": timedelta(minutes=3),
        "ingest": timedelta(minutes=4),
        "settle": timedelta(minutes=1),
        "digest": timedelta(days=1),
        "forget-absent": timedelta(days=1),
        "checkpoint": timedelta(hours=1),
        "prune-events": timedelta(days=1),
        "prune-archives": timedelta(hours=1),
        "prune-sessions": timedelta(hours=1),
        "prune": timedelta(days=1),
    }
