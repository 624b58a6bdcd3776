"""Numbers for the chart of reads over time: plain integers, so that the template only places rectangles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audit.queries import SERIES, Bucket, Reads

WIDTH, HEIGHT = 720, 120  # of the plot, in the drawing's own units
LABELS = {
    "explained": "explained",
    "around": "around kvadmin",
    "unexplained": "unexplained",
    "refused": "refused or failed",
}
_FORMATS = {"hour": "%Y-%m-%d %H:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass(frozen=True, slots=True)
class Bar:
    kind: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Column:
    """One hour, day or month: its name, its numbers in words, and the bars that stand on each other."""

    label: str
    words: str
    counts: list[int]
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Chart:
    unit: str
    columns: list[Column]
    highest: int
    legend: list[tuple[str, str, int]]  # kind, label, total
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def summary(self) -> str:
        """The chart in one sentence, for whoever cannot see it."""
        parts = ", ".join(f"{total:,} {label}" for _, label, total in self.legend)
        return f"{self.columns[0].label} to {self.columns[-1].label}, per {self.unit}: {parts}."


def chart(reads: Reads) -> Chart | None:
    """The drawing; None when there is nothing to draw."""
    highest = max((bucket.total for bucket in reads.buckets), default=0)
    if not highest:
        return None
    legend = [(kind, LABELS[kind], reads.totals[kind]) for kind in SERIES]
    slots = len(reads.buckets)
    return Chart(
        reads.unit,
        [_column(bucket, place, slots, highest, reads.unit) for place, bucket in enumerate(reads.buckets)],
        highest,
        legend,
    )


def _column(bucket: Bucket, place: int, slots: int, highest: int, unit: str) -> Column:
    label = name_of(bucket.start, unit)
    counts = [bucket.counts[kind] for kind in SERIES]
    words = ", ".join(f"{n:,} {LABELS[kind]}" for kind, n in zip(SERIES, counts, strict=True) if n)
    return Column(label, f"{label}: {words or 'none'}", counts, _bars(bucket, place, slots, highest))


def _bars(bucket: Bucket, place: int, slots: int, highest: int) -> list[Bar]:
    """The bars of one stack, from below. A single read is one unit at least; no stack outgrows the plot."""
    left, right = WIDTH * place // slots, WIDTH * (place + 1) // slots
    bars, below = [], HEIGHT
    for kind in SERIES:
        if bucket.counts[kind]:
            height = max(1, HEIGHT * bucket.counts[kind] // highest)
            top = max(0, below - height)
            bars.append(Bar(kind, left, top, max(1, right - left - 2), below - top))
            below = top
    return bars


def name_of(moment: datetime, unit: str) -> str:
    return moment.strftime(_FORMATS[unit])
