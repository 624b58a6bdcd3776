"""What a browser in another time zone makes of the audit page, on days on which its clock is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import factories
from tests.audit.rows import event

# For each zone moments in UTC, and how its clock reads then: on the days of a change, one side and the other.
CLOCKS = {
    "Pacific/Auckland": [
        ("2026-09-26T13:30", "01:30:00"),  # 02:00 becomes 03:00 within this hour
        ("2026-09-26T14:30", "03:30:00"),
        ("2026-04-04T13:30", "02:30:00"),  # the hour that comes twice
        ("2026-04-04T14:30", "02:30:00"),
    ],
    "America/Los_Angeles": [("2026-03-08T09:30", "01:30:00"), ("2026-03-08T10:30", "03:30:00")],
    "Asia/Kolkata": [("2026-11-01T20:00", "01:30:00")],
}


@pytest.fixture
def abroad(browser: Browser, browser_context_args: dict[str, object]) -> Iterator[Callable[[str], Page]]:
    """abroad("Asia/Kolkata"): the page of a browser that lives there."""
    contexts = []

    def open_page(zone: str) -> Page:
        contexts.append(browser.new_context(**{**browser_context_args, "timezone_id": zone, "locale": "en-GB"}))  # type: ignore[arg-type] # as pytest-playwright makes them
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("zone", CLOCKS)
def test_a_filter_sent_three_times_keeps_its_range_and_a_time_tells_the_local_clock(
    zone: str, abroad: Callable[[str], Page], transactional_db: None, signed_in: Callable[[Page, str], None]
) -> None:
    factories.vault("pay-prod", log_state="ok")
    factories.person("auditor", "auditor")
    page = abroad(zone)
    signed_in(page, "auditor")

    for start, local in CLOCKS[zone]:
        at = datetime.fromisoformat(start).replace(tzinfo=UTC)
        event(correlation_id=start, at=at)
        asked = {"start": start, "end": f"{at + timedelta(minutes=1):%Y-%m-%dT%H:%M}"}
        page.goto(f"/audit/?{urlencode(asked)}")
        for _ in range(3):
            page.locator("table", has_text="When").evaluate("table => { table.dataset.old = 'yes'; }")
            page.get_by_role("button", name="Filter").click()
            expect(page.locator("table:not([data-old])", has_text="When")).to_be_visible()
            query = parse_qs(urlsplit(page.url).query)
            assert {name: query[name][0] for name in asked} == asked

        time = page.locator("table time")
        expect(time).to_have_text(f"{at:%Y-%m-%d %H:%M:%S}Z")
        time.hover()
        expect(time).to_have_attribute("title", re.compile(f" at {local} "))
