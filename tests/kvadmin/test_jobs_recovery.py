"""Jobs whose worker died are given out again, once, and not for ever."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from kvadmin.jobs import recovery
from kvadmin.jobs.models import WorkerBeat
from tests.kvadmin import jobs_for_tests as jobs

pytestmark = pytest.mark.django_db


def running(worker_ids: list[str], seconds: int = 120) -> DBTaskResult:
    """A job that the last of these workers began so many seconds ago."""
    jobs.note.enqueue("x")
    started = timezone.now() - timedelta(seconds=seconds)
    DBTaskResult.objects.update(status="RUNNING", started_at=started, worker_ids=worker_ids)
    return DBTaskResult.objects.get()


def beat(worker_id: str, seconds: int) -> None:
    recovery.beat(worker_id)
    WorkerBeat.objects.update(seen_at=timezone.now() - timedelta(seconds=seconds))


def test_the_job_of_a_living_worker_is_left_alone_however_long_it_takes() -> None:
    row = running(["a"], seconds=86_400)
    beat("a", seconds=10)

    assert recovery.recover() == 0
    row.refresh_from_db()
    assert row.status == "RUNNING"


def test_the_job_of_a_silent_worker_is_put_back() -> None:
    row = running(["a"])
    beat("a", seconds=61)

    assert recovery.recover() == 1
    row.refresh_from_db()
    assert row.status == "READY"
    assert row.run_after <= timezone.now()


def test_the_job_of_a_worker_that_signed_off_is_put_back() -> None:
    running(["a"])
    recovery.beat("a")
    recovery.sign_off("a")

    assert recovery.recover() == 1


def test_a_job_that_has_just_begun_is_left_alone() -> None:
    running(["a"], seconds=5)

    assert recovery.recover() == 0


def test_a_job_that_killed_four_workers_is_given_up() -> None:
    row = running(["a", "b", "c", "d"])

    recovery.recover()

    row.refresh_from_db()
    assert (row.status, row.traceback) == ("FAILED", "4 workers died while they ran this job.")
    assert row.task_result.errors[0].exception_class is recovery.WorkerDied


@pytest.mark.django_db(transaction=True)
def test_many_workers_that_recover_at_once_put_a_job_back_once() -> None:
    running(["a"])
    start = threading.Barrier(6)
    counts: list[int] = []

    def recover() -> None:
        start.wait()
        counts.append(recovery.recover())
        connection.close()

    threads = [threading.Thread(target=recover) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(counts) == [0, 0, 0, 0, 0, 1]
