"""Whoever reads the audit is on record: once for a visit and a filter."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from audit.views import visits
from tests import factories
from tests.audit.rows import event
from vaults.models import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def auditor(client: Client) -> Person:
    factories.vault("pay-prod", log_state="ok")
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


def notes() -> list[str]:
    rows = LedgerEntry.objects.filter(action="audit:read", phase="done").order_by("seq")
    return list(rows.values_list("note", flat=True))


def test_a_visit_is_one_row_however_often_the_page_is_loaded(client: Client, auditor: Person) -> None:
    for _ in range(3):
        client.get("/audit/")
    client.get("/audit/", headers={"HX-Request": "true"})

    assert notes() == ["timeline: no filter"]
    assert LedgerEntry.objects.get().person == "auditor"


def test_another_filter_is_another_row_and_names_what_was_looked_for(client: Client, auditor: Person) -> None:
    client.get("/audit/", {"person": "eve", "vault": "pay-prod", "secret": "db-password", "other": "x"})
    client.get("/audit/", {"vault": "pay-*"})
    client.get("/audit/ledger/", {"person": "eve"})

    assert notes() == [
        "timeline: person eve, secret db-password, vault pay-prod",
        "timeline: vault pay-*",
        "ledger: person eve",
    ]
    targets = LedgerEntry.objects.order_by("seq").values_list("vault", "secret")
    assert list(targets) == [("pay-prod", "db-password"), ("", ""), ("", "")]


def test_going_on_to_the_next_page_is_the_same_visit(client: Client, auditor: Person) -> None:
    for n in range(60):
        event(correlation_id=str(n))
    first = client.get("/audit/").context["page"]
    client.get("/audit/", {"cursor": str(first.older)}, headers={"HX-Request": "true"})
    client.get("/audit/ledger/")
    client.get("/audit/ledger/", {"before": "2"})

    assert notes() == ["timeline: no filter", "ledger: no filter"]


def test_one_event_is_on_record_with_the_secret_that_it_is_about(client: Client, auditor: Person) -> None:
    seen = event(vault="pay-prod", name="api-key")
    for _ in range(2):
        client.get(f"/audit/events/{seen.pk}/")

    [row] = LedgerEntry.objects.all()
    assert (row.note, row.vault, row.secret) == (f"event: number {seen.pk}", "pay-prod", "api-key")


def test_a_quarter_of_an_hour_later_it_is_another_visit(client: Client, auditor: Person) -> None:
    start = timezone.now()
    for minutes in (0, 14, 16):
        with time_machine.travel(start + timedelta(minutes=minutes), tick=False):
            client.get("/audit/")

    assert notes() == ["timeline: no filter"] * 2


def test_another_persons_visit_is_theirs(client: Client, auditor: Person) -> None:
    client.get("/audit/")
    other = Client()
    other.force_login(factories.person("auditor-2", "auditor"))
    other.get("/audit/")

    assert list(LedgerEntry.objects.order_by("seq").values_list("person", flat=True)) == ["auditor", "auditor-2"]


def test_a_flood_of_filters_ends_in_one_row_that_says_so(client: Client, auditor: Person) -> None:
    for n in range(visits.MOST + 5):
        client.get("/audit/", {"person": f"name-{n}"})

    assert len(notes()) == visits.MOST + 1
    assert notes()[-1].startswith(f"More than {visits.MOST} filters")


def test_a_filter_that_is_refused_and_a_person_who_is_refused_read_nothing(client: Client, auditor: Person) -> None:
    client.get("/audit/", {"start": "tomorrow"})
    client.force_login(factories.person("bob", "reader"))
    client.get("/audit/")

    assert notes() == []


def test_nothing_is_shown_while_the_visit_cannot_be_put_on_record(client: Client, auditor: Person) -> None:
    from tests.audit.logged import broken_writes

    event(who="eve-the-reader")
    with broken_writes("audit_ledgerentry"):
        answer = client.get("/audit/")

    assert (answer.status_code, b"eve-the-reader" in answer.content) == (503, False)
