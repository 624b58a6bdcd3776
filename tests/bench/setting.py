"""A place to measure in: a throw-away database with the product's own settings, and a cloud in this process."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import django
from django.db import connection


@contextmanager
def database() -> Iterator[str]:
    """A throw-away database with every migration, on PostgreSQL or in an SQLite file; gives the vendor's name."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.settings"
    django.setup()
    name = connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield connection.vendor
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def p95(work: Callable[[], object], times: int = 60) -> float:
    """The 95th percentile of so many runs, in milliseconds, after a few that are not counted."""
    for _ in range(5):
        work()
    return statistics.quantiles([seconds(work) * 1000 for _ in range(times)], n=20)[-1]


def say(line: str = "") -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
