"""Counts what happens in this process, and adds it to the database's tallies now and then.

A process that is killed takes the last seconds' counts with it; all else in the metrics is exact.
"""

from __future__ import annotations

import bisect
import logging
import threading
import time
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction

logger = logging.getLogger(__name__)

AZURE_ERRORS = "azure-errors"  # by code
RESPONSES = "responses"  # by the class of the status, such as 2xx
SECONDS = "request-seconds"  # by route: the sum
REQUESTS = "requests"  # by route and upper bound of the seconds that they took: "secret 0.25"
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))  # seconds
PAUSE = 10.0  # seconds between two visits to the database
_ADD = (
    "INSERT INTO metrics_tally (name, label, amount) VALUES (%s, %s, %s) "
    "ON CONFLICT (name, label) DO UPDATE SET amount = metrics_tally.amount + excluded.amount"
)


class _Waiting:
    """Counts that are not in the database yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: dict[tuple[str, str], float] = {}
        self.written_at = time.monotonic()

    def put(self, name: str, label: str, amount: float) -> None:
        with self.lock:
            self.counts[name, label] = self.counts.get((name, label), 0) + amount

    def take(self) -> list[tuple[str, str, float]]:
        with self.lock:
            taken, self.counts, self.written_at = self.counts, {}, time.monotonic()
        # In one order for all, so that two processes never wait for each other's rows.
        return sorted((name, label, amount) for (name, label), amount in taken.items())


_waiting = _Waiting()


def add(name: str, label: str = "", amount: float = 1) -> None:
    """Count something; nothing while nobody asks for metrics."""
    if settings.KVADMIN_METRICS_TOKEN:
        _waiting.put(name, label, amount)


def request_took(route: str, status: int, seconds: float) -> None:
    """Count one request: its route's name, the status of its answer, and how long that took."""
    add(RESPONSES, f"{status // 100}xx")
    add(SECONDS, route, seconds)
    add(REQUESTS, f"{route} {BOUNDS[bisect.bisect_left(BOUNDS, seconds)]}")


def after_a_request(**_: Any) -> None:
    """Write what was counted, if that is due."""
    if _waiting.counts and time.monotonic() - _waiting.written_at >= PAUSE:
        flush()


def flush() -> None:
    """Add what was counted to the database. What cannot be written now is kept for the next time."""
    taken = _waiting.take()
    if not taken:
        return
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(_ADD, taken)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("Metrics could not be written: %s", type(error).__name__)
        for count in taken:
            _waiting.put(*count)
