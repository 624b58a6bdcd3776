"""`manage.py worker` as a process: it ends in good order when asked to, and nothing is lost when it is not asked."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from kvadmin.jobs.models import Schedule, WorkerBeat
from kvadmin.jobs.schedule import periodic_jobs
from tests.kvadmin import jobs_for_tests as jobs
from tests.processes import database_url, manage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_by_the_clock() -> None:
    for job in periodic_jobs():
        Schedule.objects.create(name=job.name, task_path="", every_seconds=1, next_at=timezone.now(), paused=True)


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    with manage("worker", DATABASE_URL=database_url()) as process:
        yield process
        process.kill()


def log(folder: Path) -> list[str]:
    file = folder / "log"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def wait_until_it_began(folder: Path, worker: subprocess.Popen[str]) -> None:
    while not log(folder):
        assert worker.poll() is None, worker.communicate()[0]
        time.sleep(0.02)


def forget_all_but_the_newest_worker() -> None:
    """As if a minute had passed since the others were heard of."""
    long_ago = timezone.now() - timedelta(minutes=2)
    newest = WorkerBeat.objects.latest("id")
    if WorkerBeat.objects.exclude(pk=newest.pk).update(seen_at=long_ago):
        DBTaskResult.objects.filter(status="RUNNING").update(started_at=long_ago)


def work_off() -> None:
    batch = manage("worker", "--batch", DATABASE_URL=database_url())
    output = batch.communicate()[0]
    assert batch.returncode == 0, output


def test_sigterm_lets_the_job_finish_and_exits_with_0(tmp_path: Path, worker: subprocess.Popen[str]) -> None:
    jobs.hold.enqueue(str(tmp_path))
    wait_until_it_began(tmp_path, worker)

    worker.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    output = worker.communicate()[0]

    assert worker.returncode == 0, output
    assert log(tmp_path) == ["began", "ended"]
    assert DBTaskResult.objects.get().status == "SUCCESSFUL"
    assert WorkerBeat.objects.count() == 0


def test_a_job_whose_worker_was_killed_in_the_middle_is_done_once_more(
    tmp_path: Path, worker: subprocess.Popen[str]
) -> None:
    jobs.hold.enqueue(str(tmp_path))
    wait_until_it_began(tmp_path, worker)
    worker.kill()
    worker.wait()
    long_ago = timezone.now() - timedelta(minutes=2)
    WorkerBeat.objects.update(seen_at=long_ago)
    DBTaskResult.objects.update(started_at=long_ago)
    (tmp_path / "go").touch()

    work_off()
    work_off()

    row = DBTaskResult.objects.get()
    assert log(tmp_path) == ["began", "began", "ended"]
    assert (row.status, len(row.worker_ids)) == ("SUCCESSFUL", 2)


@pytest.mark.postgres
def test_a_worker_whose_database_connection_is_cut_goes_on_and_its_job_is_done_once_more(
    tmp_path: Path, worker: subprocess.Popen[str]
) -> None:
    jobs.hold.enqueue(str(tmp_path))
    wait_until_it_began(tmp_path, worker)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    (tmp_path / "go").touch()

    while DBTaskResult.objects.get().status != "SUCCESSFUL":
        assert worker.poll() is None, worker.communicate()[0]
        forget_all_but_the_newest_worker()
        time.sleep(0.1)
    worker.send_signal(signal.SIGTERM)

    assert worker.wait() == 0
    assert log(tmp_path)[-1] == "ended"


def test_many_workers_share_the_queue_and_run_each_job_once(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "go").touch()
        jobs.hold.enqueue(str(folder))

    workers = [manage("worker", "--batch", DATABASE_URL=database_url()) for _ in range(3)]
    outputs = [worker.communicate()[0] for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0, 0], outputs
    assert [log(tmp_path / str(number)) for number in range(30)] == [["began", "ended"]] * 30
    assert {len(row.worker_ids) for row in DBTaskResult.objects.all()} == {1}


def test_a_worker_on_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    process = manage("worker", DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")

    output = process.communicate()[0]

    assert process.returncode == 1
    assert output.splitlines()[-1] == (
        "CommandError: The database is older than this version of kvadmin: run `manage.py migrate` first."
    )


def test_an_orchestrator_is_told_whether_a_worker_of_this_host_lives(worker: subprocess.Popen[str]) -> None:
    while not WorkerBeat.objects.exists():
        assert worker.poll() is None, worker.communicate()[0]
        time.sleep(0.02)

    lives = manage("worker", "--alive", DATABASE_URL=database_url())
    said = lives.communicate()[0]
    worker.kill()
    worker.wait()
    WorkerBeat.objects.update(worker_id="elsewhere-1-abcdefgh")
    none = manage("worker", "--alive", DATABASE_URL=database_url())

    assert (lives.returncode, said.endswith(" lives.\n")) == (0, True)
    last_line = none.communicate()[0].splitlines()[-1]
    assert last_line == "CommandError: No worker of this host was heard of within a minute."
    assert none.returncode == 1
