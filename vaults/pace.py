"""How fast one vault is called: as fast as Azure lets us, and no faster, whatever it allows just now."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# Azure allows 4,000 calls in ten seconds that are neither a read of a list nor a new version ("Azure Key Vault service
# limits"). Half of them are left to the programs that live on the vault.
CALLS, SECONDS = 2000, 10.0
LONGEST_REST = 60.0
LONGEST_GUESS = 16.0  # Azure's own advice for an answer without Retry-After: 1, 2, 4, 8, 16 seconds
GROWS_AFTER = 6  # windows without a refusal
MARGIN = 0.25  # seconds: Azure counts a call a little later than it is sent
FALLS_TO = 0.9  # of a known measure: a call that was long on its way is refused as well, and says little


@dataclass(frozen=True, slots=True)
class Clock:
    """What tells the time, in seconds, and what waits."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL = Clock()


class Pace:
    """For one vault, and one thread: `pause` before each call, `began` with it, and `refused` when Azure says 429.

    What Azure let through within the last window before it first refused is what it allows; that becomes the measure.
    It falls by a tenth with a later refusal, and grows by a twentieth for each window after some without one, because
    others share the vault.
    """

    def __init__(self, most: int = CALLS, seconds: float = SECONDS, *, clock: Clock = REAL) -> None:
        self.most, self.ceiling, self.seconds = most, most, seconds + MARGIN
        self._clock = clock
        self._begun: deque[float] = deque()
        self._rests_until = 0.0
        self._guesses = 0
        self._grows_at = 0.0

    def pause(self) -> float:
        """Seconds until the next call may begin; 0 when it may now."""
        now = self._clock.now()
        self._forget(now)
        self._grow(now)
        if now < self._rests_until:
            return self._rests_until - now
        if len(self._begun) >= self.most:
            return max(self._begun[len(self._begun) - self.most] + self.seconds - now, 0.001)
        return 0.0

    def began(self) -> None:
        """A call is sent."""
        self._begun.append(self._clock.now())

    def answered(self) -> None:
        """A call was let through."""
        self._guesses = 0

    def refused(self, retry_after: float | None) -> None:
        """A call met 429, and does not count; `retry_after` is what Azure asked for, in seconds, if it did."""
        now = self._clock.now()
        self._forget(now)
        if self._begun:
            self._begun.pop()
        if now < self._rests_until:
            return  # it was under way when the first refusal came
        known = int(self.most * FALLS_TO) if self.most < self.ceiling else 1
        self.most = max(len(self._begun), known, 1)
        guess = min(2.0**self._guesses, LONGEST_GUESS)
        self._guesses += 1
        self._rests_until = now + min(guess if retry_after is None else float(retry_after), LONGEST_REST)
        self._grows_at = now + GROWS_AFTER * self.seconds

    def _forget(self, now: float) -> None:
        while self._begun and self._begun[0] <= now - self.seconds:
            self._begun.popleft()

    def _grow(self, now: float) -> None:
        if self.most < self.ceiling and now >= self._grows_at:
            self.most = min(self.most + max(self.most // 20, 1), self.ceiling)
            self._grows_at = now + self.seconds
