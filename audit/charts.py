"""Numbers for the charts: plain integers, so that the templates only place rectangles."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from audit.coverage import Coverage
from audit.queries import SERIES, UNSORTED, Bucket, Reads, Top

WIDTH, HEIGHT = 720, 120  # of the plot, in the drawing's own units
LABELS = {
    "explained": "explained",
    "around": "around kvadmin",
    "unexplained": "unexplained",
    UNSORTED: "not sorted yet",
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
    """One hour, day or month: its name, its numbers in words, and the bars that stand on each other.

    `part` shades one of which not all is known: a low number, or none, says little there.
    """

    label: str
    words: str
    counts: list[int]
    bars: list[Bar]
    part: Bar | None = None


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
        """The chart in a sentence or two, for whoever cannot see it."""
        parts = ", ".join(f"{total:,} {label}" for _, label, total in self.legend)
        return f"{self.columns[0].label} to {self.columns[-1].label}, per {self.unit}: {parts}.{self.shaded}"

    @property
    def shaded(self) -> str:
        """How much of it is not known in full; "" when all of it is."""
        many = sum(column.part is not None for column in self.columns)
        return f" Shaded, as not all of it is known: {many:,} of {len(self.columns):,}." if many else ""


def chart(reads: Reads, known: Coverage | None = None) -> Chart | None:
    """The drawing; None when there is nothing to draw. What the log is not complete for is shaded, by `known`."""
    highest = max((bucket.total for bucket in reads.buckets), default=0)
    if not highest:
        return None
    totals = reads.totals
    kinds = [kind for kind in SERIES if kind != UNSORTED or totals[kind]]
    columns = [_column(reads, place, highest, kinds, known) for place in range(len(reads.buckets))]
    return Chart(reads.unit, columns, highest, [(kind, LABELS[kind], totals[kind]) for kind in kinds])


def _column(reads: Reads, place: int, highest: int, kinds: list[str], known: Coverage | None) -> Column:
    bucket, slots = reads.buckets[place], len(reads.buckets)
    label = name_of(bucket.start, reads.unit)
    counts = [bucket.counts[kind] for kind in kinds]
    words = ", ".join(f"{n:,} {LABELS[kind]}" for kind, n in zip(kinds, counts, strict=True) if n) or "none"
    bars = _bars(bucket, place, slots, highest)
    if known is None or _is_whole(reads, place, known):
        return Column(label, f"{label}: {words}", counts, bars)
    left, right = WIDTH * place // slots, WIDTH * (place + 1) // slots
    return Column(
        label, f"{label}, not complete: {words} seen", counts, bars, Bar("part", left, 0, right - left, HEIGHT)
    )


def _is_whole(reads: Reads, place: int, known: Coverage) -> bool:
    """Whether the log is complete for all of this hour, day or month, and all of it was asked for."""
    start, end = reads.buckets[place].start, reads.end_of(place)
    if known.up_to is None or known.since is None:
        return False
    gap = any(start < until and since < end for since, until in known.gaps)
    return max(known.since, reads.start) <= start and end <= min(known.up_to, reads.end) and not gap


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


# --- Top readers -----------------------------------------------------------------------------------------------------
BAR = 200  # the longest bar, in the drawing's own units


def top_bars(readers: list[Top]) -> list[tuple[Top, int]]:
    """Each reader with the length of their bar; whoever read once still has one."""
    highest = max((one.reads for one in readers), default=0)
    return [(one, max(1, BAR * one.reads // highest)) for one in readers]


# --- Hour of the week ------------------------------------------------------------------------------------------------
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CELL, LEFT, TOP, LEVELS = 24, 84, 20, 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One hour of the week: where it is drawn, how dark (0 to LEVELS), and its number in words."""

    x: int
    y: int
    level: int
    words: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """`table` has a row for each day: its name, and 24 numbers."""

    cells: list[Cell]
    hours: list[tuple[int, str]]
    days: list[tuple[int, str]]
    table: list[tuple[str, list[int]]]
    summary: str
    cell: int = CELL - 2
    width: int = LEFT + 24 * CELL
    height: int = TOP + 7 * CELL


def heat_map(counts: dict[tuple[int, int], int]) -> HeatMap | None:
    """The drawing of reads by day (1 is Monday) and hour, both UTC; None when there is nothing to draw."""
    highest = max(counts.values(), default=0)
    if not highest:
        return None
    lowest = min(n for n in counts.values() if n)
    table = [(name, [counts.get((day, hour), 0) for hour in range(24)]) for day, name in enumerate(DAYS, 1)]
    cells = [
        Cell(
            LEFT + hour * CELL,
            TOP + row * CELL,
            level_of(n, lowest, highest),
            f"{name} {hour:02}h UTC: {n:,} reads seen",
        )
        for row, (name, numbers) in enumerate(table)
        for hour, n in enumerate(numbers)
    ]
    (day, hour), most = max(counts.items(), key=lambda item: (item[1], item[0]))
    return HeatMap(
        cells,
        hours=[(LEFT + hour * CELL, f"{hour:02}") for hour in range(0, 24, 3)],
        days=[(TOP + row * CELL, name) for row, name in enumerate(DAYS)],
        table=table,
        summary=f"Most reads fell on {DAYS[day - 1]} from {hour:02}h UTC: {most:,} of {sum(counts.values()):,}.",
    )


def level_of(number: int, lowest: int, highest: int) -> int:
    """How dark a cell is: 0 for nothing, then from 1 for the emptiest hour that has any to LEVELS for the busiest."""
    if not number:
        return 0
    return LEVELS if number == highest else 1 + (LEVELS - 1) * (number - lowest) // (highest - lowest)
