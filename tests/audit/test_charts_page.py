"""The page of charts: who reads most, and at which hours, within reach and with the timeline's filters."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from audit.charts import CELL, LEVELS, heat_map, level_of, top_bars
from audit.models import AccessEvent
from audit.queries import TOP_READERS, Top, by_hour_of_week, top_readers
from tests import factories
from tests.audit.pages import MARKUP, is_harmless, text
from tests.audit.rows import EVE, event
from vaults.models import Person

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
ASKED = {"start": "2026-11-23T00:00", "end": "2026-11-30T00:00"}


# --- Counting --------------------------------------------------------------------------------------------------------
def test_reads_are_counted_by_who_stands_behind_them() -> None:
    for _ in range(3):
        event(who="kvadmin", who_kind="managed-identity", object_id="k", person="Ada", person_id="7", match="explained")
    event()
    event(is_read=False, match="other", outcome="denied")
    for n in range(TOP_READERS + 5):
        event(who=f"{n}@contoso.example", who_kind="person") and event(who=f"{n}@contoso.example")
    found = top_readers(AccessEvent.objects.all())

    assert (found[0].reader, found[0].who, found[0].reads, found[0].through) == ("kvadmin:7", "Ada", 3, True)
    assert (len(found), {one.reads for one in found[1:]}) == (TOP_READERS, {2})


@pytest.mark.parametrize(
    ("moment", "place"),
    [
        (MONDAY, (1, 0)),
        (MONDAY + timedelta(days=6, hours=23, minutes=59), (7, 23)),
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), (7, 1)),  # while clocks in Europe are put forward
        (datetime(2026, 11, 1, 9, 30, tzinfo=UTC), (7, 9)),  # while clocks in America are put back
    ],
)
def test_the_hour_of_the_week_is_utcs(moment: datetime, place: tuple[int, int]) -> None:
    event(at=moment)

    assert by_hour_of_week(AccessEvent.objects.all()) == {place: 1}


# --- Drawing ---------------------------------------------------------------------------------------------------------
def test_without_reads_there_is_no_heat_map() -> None:
    assert heat_map({}) is None


@given(st.dictionaries(st.tuples(st.integers(1, 7), st.integers(0, 23)), st.integers(0, 10**7), max_size=168))
def test_every_hour_has_its_cell_and_the_darkest_is_the_busiest(counts: dict[tuple[int, int], int]) -> None:
    drawn = heat_map(counts)
    if drawn is None:
        assert not any(counts.values())
        return
    assert len({(cell.x, cell.y) for cell in drawn.cells}) == 168
    assert all(cell.x + CELL <= drawn.width and cell.y + CELL <= drawn.height for cell in drawn.cells)
    assert max(cell.level for cell in drawn.cells) == LEVELS
    assert sum(n for _, numbers in drawn.table for n in numbers) == sum(counts.values())


def test_a_cell_is_empty_only_where_nothing_was_read() -> None:
    assert [level_of(n, 100, 1000) for n in (0, 100, 300, 325, 999, 1000)] == [0, 1, 1, 2, 4, 5]
    assert level_of(7, 7, 7) == LEVELS


def test_the_longest_bar_is_the_busiest_reader_and_one_read_still_shows() -> None:
    some = [Top("a", "a", "person", "", through=False, reads=n) for n in (1000, 500, 1)]

    assert [length for _, length in top_bars(some)] == [200, 100, 1]
    assert top_bars([]) == []


# --- The page --------------------------------------------------------------------------------------------------------
def test_the_page_shows_readers_and_hours_in_words_and_in_tables(auditor: Person, client_of: ClientOf) -> None:
    for _ in range(2):
        event(at=MONDAY + timedelta(days=1, hours=14))
    event(at=MONDAY, who="app-login", who_kind="managed-identity", object_id="0d5e0000-0000-4000-8000-00000000000a")
    body = client_of(auditor).get("/audit/charts/", ASKED).content.decode()
    page = text(client_of(auditor), "/audit/charts/", **ASKED)

    assert f"{EVE} 2 app-login Managed identity 1" in page
    assert "Most reads fell on Tuesday from 14h UTC: 2 of 3." in page
    assert "Tuesday 14h UTC: 2 reads seen" in page
    assert re.search(r'<rect class="level-5"[^>]*><title>Tuesday 14h', body)
    assert is_harmless(body)


def test_charts_count_only_what_is_in_reach_and_asked_for(auditor: Person, client_of: ClientOf) -> None:
    pay = factories.vault("pay-prod")
    event(vault="pay-prod")
    event(vault="hr-prod", who="mallory@contoso.example")
    of_pay = factories.person("of-pay", "auditor", vault=pay)

    seen = {
        who: "mallory" in text(client_of(person), "/audit/charts/", **asked)
        for who, person, asked in (
            ("everywhere", auditor, {}),
            ("narrowed", auditor, {"vault": "pay-prod"}),
            ("of-pay", of_pay, {}),
        )
    }
    assert seen == {"everywhere": True, "narrowed": False, "of-pay": False}
    for role in ("", "reader", "administrator"):
        answer = client_of(factories.person(f"r-{role}", role)).get("/audit/charts/")
        assert (answer.status_code, b"mallory" in answer.content) == (403, False)


def test_a_bad_filter_draws_nothing(auditor: Person, client_of: ClientOf) -> None:
    event()
    answer = client_of(auditor).get("/audit/charts/", {"vault": "a b"})

    assert (answer.status_code, b"level-" in answer.content) == (422, False)


@pytest.mark.parametrize("rows", [1, 3])
def test_the_page_costs_the_same_for_one_row_and_for_three(
    auditor: Person, client_of: ClientOf, rows: int, django_assert_num_queries: Any
) -> None:
    for n in range(rows):
        event(who=f"{n}@contoso.example", object_id=f"0d5e0000-0000-4000-8000-00000000000{n}")
    client = client_of(auditor)
    client.get("/audit/charts/")
    with django_assert_num_queries(10):
        client.get("/audit/charts/")


def test_markup_in_a_readers_name_is_text(auditor: Person, client_of: ClientOf) -> None:
    event(who=MARKUP)
    body = client_of(auditor).get("/audit/charts/").content.decode()

    assert "alert(1)" in body
    assert is_harmless(body)
