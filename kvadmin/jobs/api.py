"""The tasks API: the only module that says where it comes from. On Django 6 the import becomes `django.tasks`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, overload

from django_tasks import task as _task
from django_tasks.base import Task

P = ParamSpec("P")
T = TypeVar("T")

_RETRIES: dict[str, int] = {}


@overload
def task(function: Callable[P, T], /) -> Task[P, T]: ...
@overload
def task(*, retries: int = 0, priority: int = 0) -> Callable[[Callable[P, T]], Task[P, T]]: ...
def task(
    function: Callable[P, T] | None = None, /, *, retries: int = 0, priority: int = 0
) -> Task[P, T] | Callable[[Callable[P, T]], Task[P, T]]:
    """Makes a function a job: `job.enqueue(...)` queues it, in the transaction that is open.

    A job that raises is tried again up to `retries` times, later each time. Higher priorities run first (-100 to 100).
    """

    def wrap(function: Callable[P, T]) -> Task[P, T]:
        made = _task(priority=priority)(function)
        _RETRIES[made.module_path] = retries
        return made

    return wrap(function) if function else wrap


def retries_of(task_path: str) -> int:
    """How often a job that raised is tried again; 0 for a task that is not known in this process."""
    return _RETRIES.get(task_path, 0)
