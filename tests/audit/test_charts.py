"""The chart's rectangles: whole, in place, and never taller than the plot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.charts import HEIGHT, WIDTH, chart
from audit.coverage import Coverage
from audit.models import AccessEvent
from audit.queries import SERIES, Bucket, Reads, reads_over_time
from tests.audit.rows import event

DAY = datetime(2026, 11, 20, tzinfo=UTC)


def reads(*totals: int) -> Reads:
    none = dict.fromkeys(SERIES, 0)
    return Reads("day", [Bucket(DAY + timedelta(days=n), none | {"around": total}) for n, total in enumerate(totals)])


def test_without_reads_there_is_nothing_to_draw() -> None:
    assert chart(Reads("day", [])) is None
    assert chart(reads(0, 0)) is None


def test_the_highest_bar_fills_the_plot_and_a_single_read_still_shows() -> None:
    drawn = chart(reads(1, 1000))

    assert drawn is not None
    assert [(bar.y, bar.height) for column in drawn.columns for bar in column.bars] == [(HEIGHT - 1, 1), (0, HEIGHT)]


@pytest.mark.parametrize(
    ("known", "shaded"),
    [
        ({"since": DAY - timedelta(days=9), "up_to": DAY + timedelta(days=9)}, []),
        ({"since": DAY + timedelta(hours=1), "up_to": DAY + timedelta(days=9)}, [0]),
        ({"since": DAY, "up_to": DAY + timedelta(days=1, hours=23)}, [1, 2]),
        (
            {"since": DAY, "up_to": DAY + timedelta(days=9), "gaps": [(DAY + timedelta(hours=47), DAY + timedelta(3))]},
            [1, 2],
        ),
        ({}, [0, 1, 2]),  # blind, or not taken in yet
    ],
)
def test_what_the_log_is_not_complete_for_is_not_drawn_as_nothing(known: dict[str, Any], shaded: list[int]) -> None:
    drawn = chart(reads(1, 0, 2), Coverage(**known))

    assert drawn is not None
    assert [place for place, column in enumerate(drawn.columns) if column.part] == shaded
    assert drawn.columns[1].words == f"2026-11-21{', not complete: none seen' if 1 in shaded else ': none'}"
    assert (f"{len(shaded)} of 3." in drawn.summary) == bool(shaded)


def test_days_that_the_range_holds_only_in_part_are_not_complete() -> None:
    whole = Coverage(since=DAY - timedelta(days=9), up_to=DAY + timedelta(days=9))
    asked = replace(reads(1, 1, 1), start=DAY + timedelta(hours=9), end=DAY + timedelta(days=3))

    drawn = chart(asked, whole)
    assert drawn is not None
    assert [bool(column.part) for column in drawn.columns] == [True, False, False]


@pytest.mark.django_db
def test_a_read_that_is_not_sorted_yet_is_not_drawn_as_refused() -> None:
    event(at=DAY, match="other")
    found = reads_over_time(AccessEvent.objects.all(), DAY, DAY + timedelta(hours=3))
    drawn = chart(found)

    assert (found.totals["refused"], drawn and drawn.legend[3]) == (0, ("other", "not sorted yet", 1))


@given(st.lists(st.fixed_dictionaries({kind: st.integers(0, 10**6) for kind in SERIES}), min_size=1, max_size=400))
def test_no_bar_leaves_the_plot_and_none_of_a_stack_overlap(days: list[dict[str, int]]) -> None:
    drawn = chart(Reads("day", [Bucket(DAY + timedelta(days=n), counts) for n, counts in enumerate(days)]))

    for column in drawn.columns if drawn else []:
        tops = [HEIGHT, *(bar.y for bar in column.bars)]
        assert tops == sorted(tops, reverse=True)
        assert all(bar.y + bar.height == below for bar, below in zip(column.bars, tops, strict=False))
        assert all(0 <= bar.x <= bar.x + bar.width <= WIDTH for bar in column.bars)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("length", "unit", "buckets"),
    [
        (timedelta(hours=24), "hour", 25),
        (timedelta(days=2), "hour", 49),
        (timedelta(days=7), "day", 8),
        (timedelta(days=100), "day", 101),
        (timedelta(days=400), "month", 14),
    ],
)
def test_the_unit_suits_the_range_and_every_hour_day_or_month_has_its_place(
    length: timedelta, unit: str, buckets: int
) -> None:
    start = DAY + timedelta(hours=12, minutes=30)
    for moment in (start, start + length - timedelta(microseconds=1)):
        event(at=moment)

    found = reads_over_time(AccessEvent.objects.filter(at__gte=start, at__lt=start + length), start, start + length)
    assert (found.unit, len(found.buckets)) == (unit, buckets)
    assert [bucket.total for bucket in (found.buckets[0], found.buckets[-1])] == [1, 1]
    assert found.totals == {"explained": 0, "around": 2, "unexplained": 0, "other": 0, "refused": 0}
