"""Jobs that the tests queue: each does one thing that a real job may do."""

from __future__ import annotations

import json
import time
from pathlib import Path

from structlog.contextvars import get_contextvars

from kvadmin.gateway.errors import Throttled
from kvadmin.jobs import task

DONE: list[str] = []


@task
def note(word: str) -> str:
    DONE.append(word)
    return word


@task(retries=2)
def fail_twice(word: str) -> None:
    DONE.append(word)
    if DONE.count(word) < 3:
        raise RuntimeError(word)


@task
def fail_with_a_foreign_error(document: str) -> None:
    json.loads(document)


@task(retries=1)
def throttled() -> None:
    raise Throttled("throttled", retry_after=90)


@task
def return_what_json_cannot_hold() -> object:
    return object()


@task
def leave_a_mark(folder: str) -> None:
    """Adds this job's own id to `folder/marks`, after a while."""
    time.sleep(0.05)
    with Path(folder, "marks").open("a", encoding="utf-8") as marks:
        marks.write(f"{get_contextvars()['job']}\n")


@task
def hold(folder: str) -> None:
    """Says in `folder/log` that it began, waits for the file `folder/go`, and says that it ended."""
    _log(folder, "began")
    while not Path(folder, "go").exists():
        time.sleep(0.02)
    _log(folder, "ended")


def _log(folder: str, word: str) -> None:
    with Path(folder, "log").open("a", encoding="utf-8") as log:
        log.write(f"{word}\n")
