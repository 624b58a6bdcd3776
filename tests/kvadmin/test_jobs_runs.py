"""One job: what its row says when it worked, when it raised, and when it is tried again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from kvadmin.gateway.values import SecretValue
from kvadmin.jobs import runs
from tests.kvadmin import jobs_for_tests as jobs

pytestmark = pytest.mark.django_db

Run = Callable[[], None]


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    jobs.DONE.clear()


def only_row() -> DBTaskResult:
    return DBTaskResult.objects.get()


def make_due() -> None:
    DBTaskResult.objects.update(run_after=timezone.now())


def test_a_job_runs_once_and_keeps_what_it_returned(run_jobs: Run) -> None:
    jobs.note.enqueue("hello")

    run_jobs()
    run_jobs()

    assert jobs.DONE == ["hello"]
    assert (only_row().status, only_row().return_value) == ("SUCCESSFUL", "hello")


def test_a_job_queued_in_a_transaction_that_is_rolled_back_never_runs(run_jobs: Run) -> None:
    with pytest.raises(RuntimeError, match="undo"), transaction.atomic():
        jobs.note.enqueue("hello")
        raise RuntimeError("undo")

    run_jobs()

    assert jobs.DONE == []
    assert DBTaskResult.objects.count() == 0


def test_a_job_without_retries_fails_at_once(run_jobs: Run) -> None:
    jobs.fail_with_a_foreign_error.enqueue("{")

    run_jobs()

    assert only_row().status == "FAILED"
    assert only_row().exception_class_path == "json.decoder.JSONDecodeError"


def test_a_job_that_raises_is_put_back_for_later(run_jobs: Run) -> None:
    jobs.fail_twice.enqueue("x")

    run_jobs()
    run_jobs()

    assert jobs.DONE == ["x"]
    assert only_row().status == "READY"
    assert only_row().run_after > timezone.now()


def test_a_job_that_works_at_the_last_try_has_worked(run_jobs: Run) -> None:
    jobs.fail_twice.enqueue("x")

    for _ in range(3):
        run_jobs()
        make_due()

    assert jobs.DONE == ["x", "x", "x"]
    assert only_row().status == "SUCCESSFUL"


def test_a_job_that_raises_at_its_last_try_has_failed(run_jobs: Run) -> None:
    jobs.throttled.enqueue()

    for _ in range(3):
        run_jobs()
        make_due()

    assert only_row().status == "FAILED"
    assert len(only_row().worker_ids) == 2


def test_a_job_waits_as_long_as_azure_says(run_jobs: Run) -> None:
    before = timezone.now()
    jobs.throttled.enqueue()

    run_jobs()

    assert only_row().run_after >= before + timedelta(seconds=90)


def test_each_pause_is_longer_until_ten_minutes() -> None:
    longest = [max(runs.pause(tries) for _ in range(200)) for tries in (1, 2, 3, 20)]

    assert longest == sorted(longest)
    assert 4 < longest[0] <= 5
    assert longest[-1] <= 600


def test_what_a_foreign_exception_quotes_is_never_stored_or_logged(
    run_jobs: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """A JSON error carries the whole document; the message here quotes a part of what it was given."""
    error = ValueError("hunter2")
    jobs.fail_with_a_foreign_error.enqueue("not json")

    run_jobs()

    assert "hunter2" not in runs.describe(error)
    assert only_row().traceback.splitlines()[0] == "json.decoder.JSONDecodeError"
    assert "Expecting value" not in only_row().traceback + caplog.text


def test_our_own_sentence_is_stored_with_the_place_it_came_from(run_jobs: Run) -> None:
    jobs.throttled.enqueue()

    run_jobs()

    first, *places = only_row().traceback.splitlines()
    assert first.startswith("kvadmin.gateway.errors.Throttled: ")
    assert places[-1].endswith("in throttled")


def test_a_secret_value_cannot_be_an_argument() -> None:
    with pytest.raises(TypeError, match="Unsupported type"):
        jobs.note.enqueue(SecretValue("hunter2"))  # type: ignore[arg-type]

    assert DBTaskResult.objects.count() == 0


def test_a_return_value_that_cannot_be_stored_is_a_failure(run_jobs: Run) -> None:
    jobs.return_what_json_cannot_hold.enqueue()

    run_jobs()

    assert (only_row().status, only_row().exception_class_path) == ("FAILED", "builtins.TypeError")


def test_a_job_whose_code_is_gone_is_a_failure(run_jobs: Run) -> None:
    jobs.note.enqueue("hello")
    DBTaskResult.objects.update(task_path="tests.kvadmin.jobs_for_tests.gone")

    run_jobs()

    assert (only_row().status, only_row().exception_class_path) == ("FAILED", "builtins.ImportError")


def test_the_outcome_of_a_job_that_was_given_to_another_worker_is_dropped() -> None:
    jobs.note.enqueue("hello")
    mine = only_row()
    mine.claim("slow-worker")
    only_row().claim("another-worker")

    runs.run(mine)

    assert (only_row().status, only_row().worker_ids[-1]) == ("RUNNING", "another-worker")
