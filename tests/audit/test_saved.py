"""Saved views: a page and its filters under a name; and the same range, however often its form is sent."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client

from audit.finding_models import SavedView
from audit.forms import EventFilter
from audit.saved import MOST, tidy
from tests import factories
from tests.audit.pages import MARKUP, is_harmless, text
from tests.audit.rows import event
from vaults.models import Person

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]


def keep(client: Client, **fields: str) -> str:
    plain = {"page": "audit", "query": "vault=pay-prod&match=around", "name": "around pay"}
    return str(client.post("/audit/views/", plain | fields).url)


def test_a_view_is_kept_and_opens_the_page_as_it_was(auditor: Person, client_of: ClientOf) -> None:
    client = client_of(auditor)

    assert keep(client) == "/audit/?match=around&vault=pay-prod"
    body = client.get("/audit/").content.decode()
    assert '<a href="/audit/?match=around&amp;vault=pay-prod">around pay</a>' in body


def test_a_view_keeps_only_what_its_page_knows_and_no_place_in_the_list() -> None:
    known = EventFilter().fields

    assert (
        tidy("vault=pay&cursor=abc&next=//evil&csrfmiddlewaretoken=x&person=a%26b", known) == "person=a%26b&vault=pay"
    )
    assert tidy("", known) == ""
    assert len(tidy("person=" + "x" * 5000, known)) == 1000


def test_the_form_holds_the_filters_that_stand_in_the_address(auditor: Person, client_of: ClientOf) -> None:
    body = client_of(auditor).get("/audit/?vault=pay-prod&cursor=&range=30d").content.decode()

    assert re.findall(r'name="query" value="([^"]*)"', body) == ["range=30d&amp;vault=pay-prod"]


def test_a_shared_view_is_offered_to_others_who_cannot_delete_it(auditor: Person, client_of: ClientOf) -> None:
    mine, other = client_of(auditor), client_of(factories.person("other", "auditor"))
    keep(mine, name="private")
    keep(mine, name="for all", shared="on")

    page = text(other, "/audit/")
    assert ("for all shared by auditor" in page, "private" in page) == (True, False)
    shared = SavedView.objects.get(name="for all")
    assert other.post(f"/audit/views/{shared.pk}/delete/").status_code == 404
    assert mine.post(f"/audit/views/{shared.pk}/delete/").url == "/audit/"
    assert list(SavedView.objects.values_list("name", flat=True)) == ["private"]


def test_the_same_name_replaces_and_there_is_an_end_to_it(auditor: Person, client_of: ClientOf) -> None:
    client = client_of(auditor)
    keep(client)
    keep(client, query="vault=hr-prod")
    assert SavedView.objects.get().query == "vault=hr-prod"

    for n in range(MOST):
        keep(client, name=f"view {n}")
    assert SavedView.objects.count() == MOST
    assert f"You have {MOST} saved views." in text(client, "/audit/")


@pytest.mark.parametrize("fields", [{"name": ""}, {"name": "x" * 81}, {"page": "home"}])
def test_what_cannot_be_kept_is_one_sentence(auditor: Person, client_of: ClientOf, fields: dict[str, str]) -> None:
    client = client_of(auditor)
    keep(client, **fields)

    assert SavedView.objects.count() == 0
    assert "The view was not saved" in text(client, "/audit/")


@pytest.mark.parametrize("role", ["", "reader", "administrator"])
def test_others_keep_no_views(client_of: ClientOf, role: str) -> None:
    answer = client_of(factories.person("bob", role)).post("/audit/views/", {"page": "audit", "name": "x"})

    assert (answer.status_code, SavedView.objects.count()) == (403, 0)


def test_markup_in_a_views_name_and_filters_is_text(auditor: Person, client_of: ClientOf) -> None:
    client = client_of(auditor)
    keep(client, name=MARKUP[:80], query=f"person={MARKUP}")

    body = client.get("/audit/", {"person": MARKUP}).content.decode()
    assert "alert(1)" in html.unescape(body)
    assert is_harmless(body)


@pytest.mark.parametrize("page", ["/audit/", "/audit/charts/"])
@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-09-27T01:00", "2026-09-27T04:00"),  # Auckland puts its clocks forward
        ("2026-11-01T08:00", "2026-11-01T11:00"),  # Los Angeles puts them back
        ("2026-06-15T18:30", "2026-06-16T18:30"),  # a day of Kolkata
    ],
)
def test_a_form_that_is_sent_three_times_and_saved_asks_for_the_same_range(
    auditor: Person, client_of: ClientOf, page: str, start: str, end: str
) -> None:
    client = client_of(auditor)
    for moment in (start, end):
        event(at=datetime.fromisoformat(moment).replace(tzinfo=UTC), who=f"at-{moment[11:13]}")
    asked = {"start": start, "end": end}
    for _ in range(3):
        body = client.get(page, asked).content.decode()
        asked = dict(re.findall(r'type="datetime-local" name="(\w+)" value="([^"]*)"', body))
    assert asked == {"start": start, "end": end}

    view = keep(client, page="audit" if page == "/audit/" else "audit-charts", query=f"start={start}&end={end}")
    again = client.get(view).content.decode()
    assert dict(re.findall(r'type="datetime-local" name="(\w+)" value="([^"]*)"', again)) == asked
    assert (f"at-{start[11:13]}" in again, f">at-{end[11:13]}<" in again) == (True, start[11:13] == end[11:13])
