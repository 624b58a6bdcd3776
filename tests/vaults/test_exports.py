"""Exports of the inventory: what they hold, for whom, that no spreadsheet runs them, and that each is on record."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from audit.models import LedgerEntry
from tests import factories
from vaults import exports
from vaults.models import Person, Secret, Vault

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
VAULT, SEARCH = "/vaults/pay-prod/export/", "/search/export/"


@pytest.fixture
def pay(db: None) -> Vault:
    vault = factories.vault("pay-prod")
    end = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    factories.secret(vault, "db-password", tags={"note": 'a, "b"', "team": "blue"}, expires_on=end)
    factories.secret(vault, "api-key", content_type="=cmd|' /C calc'!A0", enabled=False)
    return vault


def rows(client: Client, path: str, **form: str) -> list[dict[str, Any]]:
    text = client.post(path, form).getvalue().decode()
    if form.get("format") == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text)))


def names(client: Client, path: str) -> list[str]:
    return [row["name"] for row in rows(client, path)]


def test_csv_holds_each_secrets_metadata_and_no_formula(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    first, second = rows(client_of(reader), VAULT)
    assert tuple(first) == exports.COLUMNS
    assert (first["vault"], first["expires_on"]) == ("pay-prod", "2031-01-02T03:04:05Z")
    assert json.loads(first["tags"]) == {"note": 'a, "b"', "team": "blue"}
    assert (second["content_type"], second["enabled"], second["expires_on"]) == ("'=cmd|' /C calc'!A0", "False", "")


def test_json_lines_hold_the_same_facts_exactly(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    first, second = rows(client_of(reader), VAULT, format="jsonl")
    assert (first["tags"], first["enabled"]) == ({"note": 'a, "b"', "team": "blue"}, True)
    assert (second["content_type"], second["expires_on"]) == ("=cmd|' /C calc'!A0", None)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{VAULT}?q=db", ["db-password"]),
        (f"{VAULT}?state=disabled", ["api-key"]),
        (f"{SEARCH}?q=tag:team=blue", ["db-password"]),
        (f"{SEARCH}?q=vault:pay", ["db-password", "api-key"]),
    ],
)
def test_an_export_holds_what_the_list_or_the_search_finds(
    pay: Vault, reader: Person, client_of: ClientOf, path: str, found: list[str]
) -> None:
    assert names(client_of(reader), path) == found


def test_each_person_exports_what_they_may_see(pay: Vault, reader: Person, nobody: Person, client_of: ClientOf) -> None:
    part = factories.person("eve", "reader", vault=pay, prefix="db-")
    elsewhere = factories.person("bob", "reader", environment="test")
    answers = [client_of(person).post(VAULT) for person in (reader, part, elsewhere, nobody)]
    assert [answer.status_code for answer in answers] == [200, 200, 404, 404]
    assert ["api-key" in answer.getvalue().decode() for answer in answers] == [True, False, False, False]
    assert names(client_of(elsewhere), f"{SEARCH}?q=vault:pay") == []


def test_an_export_is_on_record_with_its_filter_and_its_rows(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    rows(client_of(reader), f"{VAULT}?q=db")
    intent, done = LedgerEntry.objects.order_by("seq")
    assert (intent.action, intent.person, intent.vault, intent.note) == (
        "secret:list", "reader", "pay-prod", "metadata as csv: q=db",
    )  # fmt: skip
    assert (done.phase, done.note) == ("done", "1 row.")


def test_a_wrong_filter_leads_back_to_the_list_with_a_sentence(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    client = client_of(reader)
    answers = [client.post(path) for path in (f"{VAULT}?q=is:new", f"{SEARCH}?q=is:new", SEARCH)]
    assert [answer.headers["Location"] for answer in answers] == [
        "/vaults/pay-prod/?q=is%3Anew", "/search/?q=is%3Anew", "/search/?",
    ]  # fmt: skip
    assert LedgerEntry.objects.count() == 0


@pytest.mark.parametrize("count", [1, 3])
def test_an_export_takes_as_many_queries_for_three_secrets_as_for_one(
    count: int, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for number in range(count):
        factories.secret(factories.vault(f"more-{number}"), "token")
    with django_assert_num_queries(2):
        text = "".join(exports.written("csv", exports.secrets_of(Secret.objects.all())))
    assert text.count("\r\n") == count + 1


def test_it_is_sent_in_parts_however_many_rows_there_are(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    Secret.objects.bulk_create(Secret(vault=pay, key=f"n-{n}", name=f"n-{n}") for n in range(exports.BATCH + 5))
    answer = client_of(reader).post(VAULT)
    assert (answer.streaming, sum(1 for _ in answer)) == (True, exports.BATCH + 8)
