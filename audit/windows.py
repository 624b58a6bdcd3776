"""Stretches of time: how a log is asked for piece by piece, and which pieces are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

STEP = timedelta(days=7)  # the widest window asked for at once; the gateway caps the rows of one answer
FLOOR = timedelta(seconds=10)  # a window this narrow is not cut again: its gap is put on record
MOST_PIECES = 500


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` up to, not including, `end`."""

    start: datetime
    end: datetime

    @property
    def is_some(self) -> bool:
        return self.start < self.end

    @property
    def is_narrow(self) -> bool:
        return self.end - self.start <= FLOOR

    def halves(self) -> list[Window]:
        return self.pieces((self.end - self.start) / 2)

    def pieces(self, length: timedelta) -> list[Window]:
        """The same stretch in at least two equal pieces of about this length, oldest first."""
        whole = self.end - self.start
        many = min(max(2, -(-whole // max(length, FLOOR))), MOST_PIECES)
        marks = [self.start + whole * n / many for n in range(many)] + [self.end]
        return [Window(start, end) for start, end in pairwise(marks)]


def steps(start: datetime, end: datetime) -> Iterator[Window]:
    """The stretch in windows of STEP, oldest first, the last one perhaps shorter."""
    while start < end:
        yield Window(start, min(start + STEP, end))
        start += STEP


def steps_back(start: datetime, end: datetime) -> Iterator[Window]:
    """The stretch in windows of STEP, newest first, the last one perhaps shorter."""
    while start < end:
        yield Window(max(start, end - STEP), end)
        end -= STEP


# --- Gaps, as a watermark keeps them ---------------------------------------------------------------------------------
def gap(window: Window) -> list[str]:
    return [window.start.isoformat(), window.end.isoformat()]


def without(gaps: Iterable[list[str]], window: Window) -> list[list[str]]:
    """The gaps as far as they lie outside the window: it has now been answered in full, or is about to be noted."""
    left: list[list[str]] = []
    for start, end in ((datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in gaps):
        if start < window.start:
            left.append(gap(Window(start, min(end, window.start))))
        if end > window.end:
            left.append(gap(Window(max(start, window.end), end)))
    return left
