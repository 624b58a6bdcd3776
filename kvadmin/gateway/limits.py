"""A limiter for a service that counts calls per identity, as Log Analytics does."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_HOLD = 60.0  # seconds; whoever asks for more is asked again after that


class Limiter:
    """Lets `at_once` callers in at a time, and `calls` of them in any `seconds`; the others wait. Safe for threads.

    It counts for one process. Of several processes each has its own; Azure's 429 tells when they are too many together.
    """

    def __init__(
        self,
        at_once: int,
        calls: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slots = threading.BoundedSemaphore(at_once)
        self._calls, self._seconds = calls, seconds
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._begun: deque[float] = deque()
        self._held_until = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a place and for the rate, then hold the place until the body ends."""
        with self._slots:
            while (pause := self._pause()) > 0:
                self._sleep(pause)
            yield

    def hold(self, seconds: float) -> None:
        """Let nobody in for so long: the service has said that it wants a rest."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + min(seconds, LONGEST_HOLD))

    def _pause(self) -> float:
        """0 when the call may begin, and is then counted; else the seconds until it is worth asking again."""
        with self._lock:
            now = self._clock()
            while self._begun and self._begun[0] <= now - self._seconds:
                self._begun.popleft()
            if now < self._held_until:
                return self._held_until - now
            if len(self._begun) >= self._calls:
                return self._begun[0] + self._seconds - now
            self._begun.append(now)
            return 0.0
