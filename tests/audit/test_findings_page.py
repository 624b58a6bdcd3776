"""The pages of findings: who sees which, filters, evidence, and taking note."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.finding_models import DirectoryName, Finding
from audit.findings import judge
from audit.models import LedgerEntry
from tests import factories
from tests.audit.inventories import FakeInventory
from tests.audit.pages import MARKUP, is_harmless, text
from tests.audit.rows import event
from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db


@pytest.fixture
def pay_prod() -> Vault:
    return factories.vault("pay-prod")


@pytest.fixture
def auditor(client: Client, pay_prod: Vault) -> Person:
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


def finding(**fields: Any) -> Finding:
    now = timezone.now()
    plain: dict[str, Any] = {
        "rule": "first", "key": str(Finding.objects.count()), "severity": "note", "vault": "pay-prod",
        "secret": "db-password", "who": "eve@contoso.example", "reader": "eve@contoso.example",
        "what": "Read this secret for the first time.", "since": now, "last_at": now,
    }  # fmt: skip
    return Finding.objects.create(**plain | fields)


def shown(client: Client, **asked: str) -> list[int]:
    """The findings on the page, in order."""
    body = client.get("/audit/findings/", asked).content.decode()
    return [int(pk) for pk in re.findall(r'<th scope="row"><a href="/audit/findings/(\d+)/"', body)]


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_each_auditor_sees_the_findings_within_reach(client: Client, pay_prod: Vault) -> None:
    here, whole, elsewhere, nowhere = (
        finding(), finding(secret=""), finding(vault="hr-prod"), finding(vault="", secret="", rule="chain"),
    )  # fmt: skip
    reach = {
        "everywhere": ({}, {here.pk, whole.pk, elsewhere.pk, nowhere.pk}),
        "of-pay": ({"vault": pay_prod}, {here.pk, whole.pk}),
        "of-db": ({"vault": pay_prod, "prefix": "db-"}, {here.pk}),
        "of-api": ({"vault": pay_prod, "prefix": "api-"}, set()),
    }
    for name, (scope, expected) in reach.items():
        client.force_login(factories.person(name, "auditor", **scope))
        assert set(shown(client)) == expected, name


@pytest.mark.parametrize("role", ["", "reader", "administrator"])
def test_others_see_no_finding_and_take_note_of_none(client: Client, pay_prod: Vault, role: str) -> None:
    one = finding()
    client.force_login(factories.person("bob", role))

    for path in ("/audit/findings/", f"/audit/findings/{one.pk}/"):
        answer = client.get(path)
        assert (answer.status_code, b"eve@" in answer.content) == (403, False)
    assert client.post("/audit/findings/acknowledge/", {"finding": one.pk, "reason": "fine"}).status_code == 403
    one.refresh_from_db()
    assert one.is_open


def test_a_finding_out_of_reach_is_neither_there_nor_can_it_be_acknowledged(client: Client, pay_prod: Vault) -> None:
    mine, other = finding(), finding(vault="hr-prod", who="mallory")
    client.force_login(factories.person("of-pay", "auditor", vault=pay_prod))

    answer = client.get(f"/audit/findings/{other.pk}/")
    assert (answer.status_code, b"mallory" in answer.content) == (404, False)
    client.post("/audit/findings/acknowledge/", {"finding": [mine.pk, other.pk], "reason": "in order"})
    assert [f.is_open for f in Finding.objects.order_by("pk")] == [False, True]


# --- The list --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["alarm", "burst", "first"]),
        ({"state": "acknowledged"}, ["done"]),
        ({"state": "any"}, ["alarm", "burst", "first", "done"]),
        ({"rule": "burst"}, ["burst"]),
        ({"severity": "alarm"}, ["alarm"]),
        ({"vault": "pay*", "secret": "DB-password"}, ["first"]),
        ({"person": "Mallory the Reader"}, ["burst"]),
        ({"person": "eve"}, ["alarm", "first"]),
    ],
)
def test_each_filter_finds_its_findings(
    client: Client, auditor: Person, asked: dict[str, str], found: list[str]
) -> None:
    now, oid = timezone.now(), "0d5e0000-0000-4000-8000-00000000000a"
    DirectoryName.objects.create(identifier=oid, name="Mallory the Reader", kind="person", set_by="x", set_at=now)
    rows = {
        "first": {},
        "burst": {"rule": "burst", "severity": "warning", "secret": "", "who": "m", "object_id": oid},
        "alarm": {"rule": "unexplained", "severity": "alarm", "vault": "hr-prod"},
        "done": {"acknowledged_at": now, "who": "x"},
    }
    made = {
        finding(last_at=now - timedelta(minutes=n), **fields).pk: name for n, (name, fields) in enumerate(rows.items())
    }
    assert [made[pk] for pk in shown(client, **asked)] == found


def test_a_bad_filter_searches_nothing_and_keeps_what_was_typed(client: Client, auditor: Person) -> None:
    finding()
    answer = client.get("/audit/findings/", {"vault": "a b", "rule": "first"})

    assert (answer.status_code, b'value="a b"' in answer.content) == (422, True)
    assert "Nothing was searched" in answer.content.decode()


def test_the_number_of_queries_is_the_same_for_one_and_for_three(
    client: Client, auditor: Person, django_assert_num_queries: Any
) -> None:
    finding(object_id="0d5e0000-0000-4000-8000-00000000000a")
    client.get("/audit/findings/")
    with django_assert_num_queries(8):
        client.get("/audit/findings/")
    for n in range(2):
        finding(object_id=f"0d5e0000-0000-4000-8000-00000000000{n}")
    with django_assert_num_queries(8):
        client.get("/audit/findings/")


def test_htmx_gets_the_table_alone(client: Client, auditor: Person) -> None:
    finding()
    body = client.get("/audit/findings/", headers={"HX-Request": "true"}).content.decode()

    assert body.lstrip().startswith('<section class="stack" id="findings-table"')


def test_markup_in_a_finding_is_text(client: Client, auditor: Person) -> None:
    hostile = finding(who=MARKUP, what=MARKUP, reader=MARKUP, secret=MARKUP, reason=MARKUP, acknowledged_by=MARKUP)

    for path in ("/audit/findings/", f"/audit/findings/{hostile.pk}/"):
        body = client.get(path).content.decode()
        assert "alert(1)" in body
        assert is_harmless(body)


# --- One finding -----------------------------------------------------------------------------------------------------
def test_a_finding_shows_its_evidence_and_an_event_its_findings(client: Client, auditor: Person) -> None:
    read = event(match="unexplained")
    judge(FakeInventory())
    one = Finding.objects.get(rule="unexplained")

    page = text(client, f"/audit/findings/{one.pk}/")
    assert "Evidence 1 row" in page
    assert f'href="/audit/events/{read.pk}/"' in client.get(f"/audit/findings/{one.pk}/").content.decode()
    assert f'href="/audit/findings/{one.pk}/"' in client.get(f"/audit/events/{read.pk}/").content.decode()


def test_evidence_out_of_reach_stays_hidden(client: Client, pay_prod: Vault) -> None:
    one = finding(secret="db-password")
    hidden = event(vault="hr-prod", who="mallory@contoso.example")
    one.evidence.create(rule="first", event=hidden.pk)
    client.force_login(factories.person("of-pay", "auditor", vault=pay_prod))

    page = text(client, f"/audit/findings/{one.pk}/")
    assert ("mallory" in page, "no longer kept, or missing" in page or "rests on no single row" in page) == (
        False,
        True,
    )


def test_a_finding_whose_rows_are_no_longer_kept_says_so(client: Client, auditor: Person) -> None:
    one = finding(count=1)
    one.evidence.create(rule="first", event=10**6)

    assert "no longer kept, or missing" in text(client, f"/audit/findings/{one.pk}/")


# --- Taking note -----------------------------------------------------------------------------------------------------
def test_taking_note_is_on_record_with_the_reason_and_goes_back_to_the_list(client: Client, auditor: Person) -> None:
    one, other = finding(), finding()
    back = "rule=first&severity=note"
    answer = client.post(
        "/audit/findings/acknowledge/", {"finding": [one.pk, other.pk], "reason": "CHG-4: a new job", "back": back}
    )

    assert answer.url == f"/audit/findings/?{back}"
    one.refresh_from_db()
    assert (one.acknowledged_by, one.reason, one.is_open) == ("auditor", "CHG-4: a new job", False)
    rows = LedgerEntry.objects.filter(note__startswith="Acknowledged")
    assert [(row.action, row.vault, row.reason) for row in rows] == [("audit:read", "pay-prod", "CHG-4: a new job")] * 2


def test_the_first_to_take_note_stands(client: Client, auditor: Person) -> None:
    one = finding()
    for reason in ("first", "second"):
        client.post("/audit/findings/acknowledge/", {"finding": one.pk, "reason": reason})

    one.refresh_from_db()
    assert (one.reason, LedgerEntry.objects.filter(note__startswith="Acknowledged").count()) == ("first", 1)


@pytest.mark.parametrize("reason", ["", "  ", "ok"])
def test_without_a_reason_nothing_is_acknowledged(client: Client, auditor: Person, reason: str) -> None:
    one = finding()
    answer = client.post("/audit/findings/acknowledge/", {"finding": one.pk, "reason": reason})

    one.refresh_from_db()
    assert (answer.status_code, one.is_open) == (422, True)
    assert "Say why, in a few words." in answer.content.decode()


@pytest.mark.parametrize("chosen", [[], ["x"], ["9" * 30], ["-1"]])
def test_a_choice_that_means_nothing_is_one_sentence(client: Client, auditor: Person, chosen: list[str]) -> None:
    answer = client.post("/audit/findings/acknowledge/", {"finding": chosen, "reason": "in order"}, follow=True)

    assert "Choose the findings that you take note of." in answer.content.decode()


def test_a_get_acknowledges_nothing(client: Client, auditor: Person) -> None:
    one = finding()

    assert client.get("/audit/findings/acknowledge/", {"finding": one.pk, "reason": "fine"}).status_code == 405
    one.refresh_from_db()
    assert one.is_open
