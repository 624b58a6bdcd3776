"""Names of ids: taken in by administrators, seen by auditors wherever the id turns up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from audit import names
from audit.finding_models import DirectoryName
from audit.ledger import Actor
from audit.models import LedgerEntry
from audit.names import BadRows, Named, fill, read
from tests import factories
from tests.audit.pages import MARKUP, is_harmless, text
from tests.audit.rows import event
from vaults.models import Person

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
ONE, TWO = "0d5e0000-0000-4000-8000-000000000001", "0d5e0000-0000-4000-8000-000000000002"
ADRIAN = Actor("1", "Adrian Stern")


# --- Reading ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "pasted",
    [
        f"{ONE},Shop,app",
        f"id,name,kind\r\n{ONE},Shop,app\r\n",
        f"{ONE.upper()}\tShop\tapp\n\n",
        f"\ufeff{ONE};Shop",
        f'"{ONE}","Shop","Application"',
    ],
)
def test_rows_are_read_however_they_were_copied(pasted: str) -> None:
    assert read(pasted) == [Named(ONE, "Shop", "app")]


@pytest.mark.parametrize(
    ("pasted", "why"),
    [
        ("", "There is no row in this."),
        ("id,name", "There is no row in this."),
        ("shop,Shop", "Line 1: the first column must be an object id or an application id."),
        (f"{ONE}", "Line 1: the second column must be a name."),
        (f"{ONE},Shop\n{TWO},", "Line 2: the second column must be a name."),
        (f"{ONE},{'x' * 201}", "Line 1: a name has at most 200 signs, all of them printable."),
        (f"{ONE},Sh\x00op", "Line 1: a name has at most 200 signs, all of them printable."),
        (f"{ONE},Shop,robot", "Line 1: the third column must be one of person, app, managed-identity, group."),
        (f'{ONE},"Shop', "This is no table: a quotation mark is opened and not closed."),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(pasted: str, why: str) -> None:
    with pytest.raises(BadRows) as bad:
        read(pasted)
    assert bad.value.faults == [why]


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(pasted: str) -> None:
    try:
        rows = read(pasted)
    except BadRows as bad:
        rows = bad.faults
    assert rows


# --- Storing ---------------------------------------------------------------------------------------------------------
def test_names_are_added_and_changed_on_record_and_none_is_taken_out() -> None:
    assert fill(ADRIAN, [Named(ONE, "Shop", "app"), Named(TWO, "Eve", "person")]) == (2, 0)
    assert fill(ADRIAN, [Named(ONE, "Shop two", "app"), Named(TWO, "Eve", "person")]) == (0, 1)
    assert fill(ADRIAN, [Named(ONE, "Shop two", "app")]) == (0, 0)

    assert dict(DirectoryName.objects.values_list("identifier", "name")) == {ONE: "Shop two", TWO: "Eve"}
    notes = LedgerEntry.objects.order_by("seq").values_list("action", "person", "note")
    assert list(notes) == [
        ("role:assign", "Adrian Stern", "Names of ids: 2 added, 0 changed."),
        ("role:assign", "Adrian Stern", "Names of ids: 0 added, 1 changed."),
    ]


def test_a_row_goes_by_its_identity_and_a_persons_client_by_its_own_name() -> None:
    fill(ADRIAN, [Named(ONE, "Eve Example", "person"), Named(TWO, "Our console", "app")])
    person = event(object_id=ONE, app_id=TWO)
    program = event(who=TWO, who_kind="app", app_id=TWO)
    nobody = event()
    names.attach([person, program, nobody])

    assert [(row.named, row.via_named) for row in (person, program, nobody)] == [
        ("Eve Example", "Our console"), ("Our console", ""), ("", ""),
    ]  # fmt: skip


# --- Seen everywhere -------------------------------------------------------------------------------------------------
def test_a_name_is_shown_on_the_timeline_the_event_and_in_the_filter(auditor: Person, client_of: ClientOf) -> None:
    fill(ADRIAN, [Named(ONE, "Nightly import", "app"), Named(TWO, "Our console", "app")])
    seen = event(who=ONE, who_kind="app", object_id=ONE)
    event(who="eve@contoso.example", app_id=TWO, object_id="0d5e0000-0000-4000-8000-000000000003")
    client = client_of(auditor)

    assert "Nightly import" in text(client, "/audit/")
    assert "Our console" in text(client, "/audit/")
    assert "Nightly import" in text(client, f"/audit/events/{seen.pk}/")
    found = text(client, "/audit/", person="nightly")
    assert ("Nightly import" in found, "eve@contoso.example" in found) == (True, False)
    assert "eve@contoso.example" not in text(client, "/audit/", person="our console")


# --- The page --------------------------------------------------------------------------------------------------------
def test_an_administrator_fills_names_in_by_pasting_or_by_a_file(admin: Person, client_of: ClientOf) -> None:
    client = client_of(admin)
    client.post("/audit/names/", {"text": f"{ONE},Shop"})
    file = SimpleUploadedFile("names.csv", f"{TWO};Eve Example;person".encode("utf-8-sig"))
    answer = client.post("/audit/names/", {"file": file}, follow=True)

    assert "1 name added, 0 changed." in answer.content.decode()
    page = text(client, "/audit/names/")
    assert ("Shop" in page, "Eve Example" in page) == (True, True)
    assert "Eve Example" not in text(client, "/audit/names/", q="sho")


@pytest.mark.parametrize(
    ("posted", "why"),
    [
        ({"text": "nonsense"}, "Line 1: the first column must be an object id"),
        ({}, "There is no row in this."),
        ({"file": SimpleUploadedFile("a", b"\xff\xfe")}, "This file is not UTF-8 text."),
        ({"file": SimpleUploadedFile("a", b"x" * 200_001)}, "This file is too large"),
        ({"text": f"{ONE},a", "file": SimpleUploadedFile("a", b"x")}, "Paste rows or choose a file, not both."),
    ],
)
def test_what_is_wrong_is_told_and_nothing_typed_is_lost(
    admin: Person, client_of: ClientOf, posted: dict[str, Any], why: str
) -> None:
    answer = client_of(admin).post("/audit/names/", posted)
    body = answer.content.decode()

    assert (answer.status_code, DirectoryName.objects.count()) == (422, 0)
    assert why in body
    assert posted.get("text", "") in body


def test_an_auditor_sees_names_and_fills_none_in(auditor: Person, client_of: ClientOf) -> None:
    fill(ADRIAN, [Named(ONE, "Shop", "app")])
    client = client_of(auditor)

    assert "Shop" in text(client, "/audit/names/")
    assert client.post("/audit/names/", {"text": f"{TWO},Mine"}).status_code == 403
    assert DirectoryName.objects.count() == 1


def test_an_administrator_of_one_vault_fills_none_in_for_everybody(client_of: ClientOf) -> None:
    small = factories.person("small", "administrator", vault=factories.vault("pay-prod"))

    assert client_of(small).post("/audit/names/", {"text": f"{TWO},Mine"}).status_code == 403
    assert (DirectoryName.objects.count(), LedgerEntry.objects.get().code) == (0, "beyond-reach")


@pytest.mark.parametrize("role", ["", "reader", "secrets-user"])
def test_others_see_no_names(client_of: ClientOf, role: str) -> None:
    fill(ADRIAN, [Named(ONE, "Shop", "app")])
    answer = client_of(factories.person("bob", role)).get("/audit/names/")

    assert (answer.status_code, b"Shop" in answer.content) == (403, False)


def test_markup_in_a_name_is_text_everywhere(auditor: Person, client_of: ClientOf) -> None:
    fill(ADRIAN, [Named(ONE, MARKUP, "app")])
    seen = event(who=ONE, who_kind="app", object_id=ONE)
    client = client_of(auditor)

    for path in ("/audit/names/", "/audit/", f"/audit/events/{seen.pk}/", "/audit/charts/", f"/audit/people/{ONE}/"):
        body = client.get(path).content.decode()
        assert "alert(1)" in body, path
        assert is_harmless(body), path
