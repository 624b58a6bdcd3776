"""Housekeeping: what is kept of old jobs, and what is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from kvadmin.jobs.models import WorkerBeat
from kvadmin.jobs.tasks import OLD_SESSIONS, prune_results, prune_sessions
from tests.kvadmin import jobs_for_tests as jobs
from vaults.models import Session

pytestmark = pytest.mark.django_db


def ended(word: str, status: str, days: int) -> None:
    result = jobs.note.enqueue(word)
    finished = timezone.now() - timedelta(days=days)
    DBTaskResult.objects.filter(pk=result.id).update(status=status, finished_at=finished)


def test_old_jobs_are_forgotten_and_failures_are_kept_longer() -> None:
    ended("worked today", "SUCCESSFUL", 0)
    ended("worked days ago", "SUCCESSFUL", 3)
    ended("failed days ago", "FAILED", 3)
    ended("failed months ago", "FAILED", 40)
    jobs.note.enqueue("waits")

    prune_results.call()

    kept = {row.args_kwargs["args"][0] for row in DBTaskResult.objects.all()}
    assert kept == {"worked today", "failed days ago", "waits"}


def test_sessions_that_are_over_are_forgotten() -> None:
    """Whoever only opens the sign-in page leaves one."""
    for key, hours in (("over", -1), ("open", 1)):
        Session.objects.create(session_key=key, session_data="", expire_date=timezone.now() + timedelta(hours=hours))

    prune_sessions.call()

    assert list(Session.objects.values_list("session_key", flat=True)) == ["open"]


def test_no_table_of_djangos_own_sessions_is_made() -> None:
    assert OLD_SESSIONS not in connection.introspection.table_names()


def test_where_the_version_before_left_one_it_empties_itself() -> None:
    """By and by: that version may still run beside this one."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE django_session (session_key varchar(40), expire_date timestamp with time zone)")
        for key, hours in (("over", -1), ("open", 1)):
            until = timezone.now() + timedelta(hours=hours)
            cursor.execute("INSERT INTO django_session VALUES (%s, %s)", [key, until])

    prune_sessions.call()

    with connection.cursor() as cursor:
        cursor.execute("SELECT session_key FROM django_session")
        assert cursor.fetchall() == [("open",)]


def test_signs_of_life_of_long_ago_are_forgotten() -> None:
    WorkerBeat.objects.create(worker_id="old", seen_at=timezone.now() - timedelta(days=9))
    WorkerBeat.objects.create(worker_id="new", seen_at=timezone.now())

    prune_results.call()

    assert list(WorkerBeat.objects.values_list("worker_id", flat=True)) == ["new"]
