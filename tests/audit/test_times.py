"""A filter is in UTC, whatever clock the server, or the person who typed it, lives by."""

from __future__ import annotations

import html
import os
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from tests import factories
from tests.audit.rows import event
from tests.audit.test_timeline import shown
from vaults.models import Person

pytestmark = pytest.mark.django_db

# Days on which these clocks are changed, or which begin at half past: (zone, the moment's day).
DAYS = [
    ("Pacific/Auckland", datetime(2026, 9, 26, tzinfo=UTC)),  # 02:00 becomes 03:00
    ("Pacific/Auckland", datetime(2026, 4, 4, tzinfo=UTC)),  # 03:00 becomes 02:00
    ("America/Los_Angeles", datetime(2026, 3, 8, tzinfo=UTC)),
    ("America/Los_Angeles", datetime(2026, 11, 1, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 11, 1, tzinfo=UTC)),
]


@pytest.fixture(params=DAYS, ids=lambda day: f"{day[0]}-{day[1]:%m-%d}")
def day(request: pytest.FixtureRequest) -> Iterator[datetime]:
    """The day; the server's own clock is set to that zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"], moment = request.param
    time.tzset()
    yield moment
    del os.environ["TZ"]
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture
def auditor(client: Client) -> Person:
    factories.vault("pay-prod", log_state="ok")
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


def form_of(body: str) -> dict[str, str]:
    """What the browser would send if the filter's button were pressed now."""
    form = re.search(r'<form class="filters".*?</form>', body, re.DOTALL)
    assert form
    return {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="[a-z-]+" name="(\w+)"(?: value="([^"]*)")?', form[0])
        if value
    }


def test_a_filter_that_is_sent_three_times_asks_for_the_same_range(
    client: Client, auditor: Person, day: datetime
) -> None:
    for hour in range(48):
        event(correlation_id=str(hour), at=day + timedelta(hours=hour))
    asked = {"start": f"{day:%Y-%m-%dT}08:30", "end": f"{day + timedelta(days=1):%Y-%m-%dT}15:00"}
    wanted = [str(hour) for hour in range(38, 8, -1)]

    for _ in range(3):
        assert shown(client, **asked) == wanted
        again = form_of(client.get("/audit/", asked).content.decode())
        assert {name: again[name] for name in ("start", "end")} == asked
        asked = again


def test_a_time_on_the_page_is_utc_and_carries_what_the_browser_needs_for_the_local_one(
    client: Client, auditor: Person, day: datetime
) -> None:
    for zone in ("Pacific/Auckland", "America/Los_Angeles", "Asia/Kolkata"):
        local = datetime(day.year, day.month, day.day, 12, 34, 56, tzinfo=ZoneInfo(zone))
        event(at=local)
    body = client.get("/audit/", {"start": f"{day - timedelta(days=2):%Y-%m-%dT%H:%M}"}).content.decode()

    found = re.findall(r'<time datetime="([^"]+)">([^<]+)Z</time></a></th>', body)
    assert [(stamp, words.replace(" ", "T")) for stamp, words in found] == [
        (f"{words.replace(' ', 'T')}Z", words.replace(" ", "T")) for _, words in found
    ]
    assert len(found) == 3


@pytest.mark.parametrize("word", ["24h", "7d", "30d", "90d"])
def test_a_range_by_its_name_is_so_many_hours_whatever_the_clock_does(
    client: Client, auditor: Person, day: datetime, word: str
) -> None:
    first = client.get("/audit/", {"range": word}).context["by"]
    again = client.get("/audit/", form_of(client.get("/audit/", {"range": word}).content.decode())).context["by"]

    hours = {"24h": 24, "7d": 168, "30d": 720, "90d": 2160}[word]
    assert first.end - first.start == again.end - again.start == timedelta(hours=hours)
