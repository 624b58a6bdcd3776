"""Import of values: what a preview says, that only what was previewed is written, and that nothing of a value stays."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from vaults import imports
from vaults.import_files import read
from vaults.imports import Choice
from vaults.models import DeletedSecret, Person, Secret, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
PATH = "/vaults/pay-prod/import/"
HTMX = {"HX-Request": "true"}
ALL = Choice()
FILE = "DB_PASSWORD='correct horse'\nAPI_KEY=abc\nTLS=x\nOLD=y\nEMPTY=\n"


@pytest.fixture
def pay(azure: Azure) -> Vault:
    """A vault with api-key, which has tags and an expiry, a certificate's secret tls, and the deleted secret old."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, tags={"environment": "prod"})
    later = azure.clock.now() + timedelta(days=90)
    azure.put_secret("pay-prod", "api-key", "1", tags={"team": "blue"}, content_type="text/plain", expires_on=later)
    azure.put_secret("pay-prod", "tls", "pem", managed=True)
    azure.put_secret("pay-prod", "old", "gone")
    store = azure.vault("pay-prod").secrets
    store.delete("old", azure.clock.now(), timedelta(0), timedelta(days=90))
    sync_inventory()
    return Vault.objects.get()


def send(client: Client, content: str | bytes = FILE, name: str = "x.env", **form: Any) -> HttpResponse:
    raw = content.encode() if isinstance(content, str) else content
    document = {"form": urlencode(form, doseq=True), "name": name, "content": base64.b64encode(raw).decode()}
    return client.post(PATH, document, content_type="application/json", headers=HTMX)


def write(client: Client, content: str = FILE, **form: Any) -> HttpResponse:
    """Preview it, and write what was previewed."""
    return send(client, content, seal=send(client, content, **form).json()["seal"], reason="CHG-7: move", **form)


def value_of(azure: Azure, name: str) -> str | None:
    secret = azure.vault("pay-prod").secrets.get(name)
    return secret.latest.value if secret else None


def codes(vault: Vault, person: Person, text: str, choice: Choice = ALL) -> dict[str, str]:
    planned = imports.plan(Person.objects.get(pk=person.pk), vault, read(text.encode(), "env"), choice)
    return {row.name: row.code for row in planned.rows}


# --- The preview -----------------------------------------------------------------------------------------------------
def test_a_preview_says_of_each_row_what_would_happen_and_shows_no_value(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    answer = send(client_of(officer)).json()
    assert answer["html"].count('<th scope="row">') == 5
    for words in ("A new secret.", "There is a secret of this name. It is left alone.", "belongs to a certificate"):
        assert words in answer["html"]
    assert 'name="name-1" value="DB-PASSWORD"' in answer["html"]
    assert ("correct horse" in str(answer), ">13<" in answer["html"]) == (False, True)


def test_a_file_without_a_single_row_is_told_to_be_one(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    answer = send(client_of(officer), "<svg>\n</svg>\n")
    assert answer.status_code == 200
    assert "No row could be read" in answer.json()["html"]
    assert "2 places could not be read" in answer.json()["html"]


def test_of_very_many_lines_that_cannot_be_read_the_first_are_told(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    html = send(client_of(officer), "nonsense\n" * 1234).json()["html"]

    assert ("1,234 places" in html, html.count("There is no NAME=VALUE"), "and 1,184 more" in html) == (True, 50, True)


def test_what_is_counted_is_called_what_it_is(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    """The second entry of a JSON file may stand in its twentieth line."""
    client, text = client_of(officer), '{\n\n\n"a": 1,\n"b": "x"}'
    shown = send(client, text, "x.json").json()["html"]
    assert ("Entry 1: Here is no name" in shown, "entry 2<" in shown, "line 2" in shown) == (True, True, False)
    assert "line 2<" in send(client, "\nB=x", "x.env").json()["html"]


def test_each_row_is_judged_by_name_size_and_what_is_there(pay: Vault, officer: Person) -> None:
    big = "a" * 25_601
    text = f"{FILE}BIG={big}\nTWICE=1\ntwice=2\n"
    assert codes(pay, officer, text) == {
        "DB-PASSWORD": "new", "API-KEY": "exists", "TLS": "managed", "OLD": "deleted", "EMPTY": "empty", "BIG": "bytes",
        "TWICE": "twice", "twice": "twice",
    }  # fmt: skip


def test_the_largest_value_is_counted_in_bytes_and_not_in_characters(pay: Vault, officer: Person) -> None:
    assert codes(pay, officer, f"A={'é' * 12_800}\nB={'é' * 12_801}") == {"A": "new", "B": "bytes"}


@pytest.mark.parametrize(
    ("name", "proposed"),
    [
        ("DB_PASSWORD", "DB-PASSWORD"), ("App__Key", "App--Key"), ("a.b/c:d", "a-b-c-d"), ("000", "000"), ("-x", "-x"),
        ("ü", "-"), ("n" * 200, "n" * 127),
    ],
)  # fmt: skip
def test_a_name_that_azure_does_not_allow_gets_one_that_it_does(name: str, proposed: str) -> None:
    assert imports.proposed(name) == proposed


def test_other_names_and_ticks_are_followed(pay: Vault, officer: Person) -> None:
    choice = Choice(names={1: "db-main", 2: "bad name"}, rows={2, 3})
    assert codes(pay, officer, "A=1\nB=2\nC=3", choice) == {"db-main": "unticked", "bad name": "name", "C": "new"}


def test_a_part_of_the_vault_is_what_a_role_on_a_part_may_write(pay: Vault) -> None:
    person = factories.person("eve", "secrets-officer", vault=pay, prefix="db-")
    assert codes(pay, person, "DB_ONE=1\nOTHER=2") == {"DB-ONE": "new", "OTHER": "no-right"}


@pytest.mark.parametrize("existing", [imports.SKIP, imports.VERSION])
def test_a_preview_does_not_tell_what_exists_outside_of_ones_part(pay: Vault, existing: str) -> None:
    for facts in ({"name": "api-live"}, {"name": "api-tls", "managed": True}):
        factories.secret(pay, **facts)
    DeletedSecret.objects.create(vault=pay, key="api-old", name="api-old", state="deleted", since=timezone.now())
    person = factories.person("eve", "secrets-officer", vault=pay, prefix="db-")

    found = codes(pay, person, "api-live=1\napi-tls=2\napi-old=3\napi-none=4", Choice(existing=existing))
    assert set(found.values()) == {"no-right"}


def test_a_preview_takes_as_many_queries_for_three_rows_as_for_one(
    pay: Vault, officer: Person, django_assert_num_queries: Callable[[int], Any]
) -> None:
    for text in ("A=1", "A=1\nB=2\nAPI_KEY=3"):
        parsed, person = read(text.encode(), "env"), Person.objects.get(pk=officer.pk)
        with django_assert_num_queries(3):
            imports.plan(person, pay, parsed, Choice())


def test_whoever_may_write_nothing_here_imports_nothing(
    pay: Vault, reader: Person, nobody: Person, azure: Azure, client_of: ClientOf
) -> None:
    elsewhere = factories.person("bob", "secrets-officer", environment="test")
    answers = [send(client_of(person)) for person in (reader, elsewhere, nobody)]
    assert [answer.status_code for answer in answers] == [403, 404, 404]
    assert ["DB-PASSWORD" in answer.content.decode() for answer in answers] == [False] * 3


# --- Writing ---------------------------------------------------------------------------------------------------------
def test_what_was_previewed_is_written_to_the_byte_and_is_on_record(
    pay: Vault, azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    answer = write(client_of(officer), "A='line\nnext\\n'\nB=\"tab\\t\"\n").json()
    assert (value_of(azure, "A"), value_of(azure, "B")) == ("line\nnext\\n", "tab\t")
    assert "2 secrets" in answer["html"]
    done = LedgerEntry.objects.filter(action="secret:set", phase="done").order_by("seq")
    assert [entry.secret for entry in done] == ["", "a", "b"]
    assert {entry.reason for entry in done} == {"CHG-7: move"}
    assert set(Secret.objects.filter(vanished_at=None).values_list("key", flat=True)) >= {"a", "b"}


def test_a_new_version_keeps_tags_content_type_and_expiry(
    pay: Vault, azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    secret = azure.vault("pay-prod").secrets.get("api-key")
    assert secret is not None
    before = secret.latest
    azure.clock.advance(timedelta(seconds=2))
    write(client_of(officer), existing="version")
    after = secret.latest
    assert (after.value, len(secret.versions)) == ("abc", 2)
    assert (after.tags, after.content_type, after.expires_on) == (before.tags, before.content_type, before.expires_on)


def test_an_empty_value_blanks_nothing(pay: Vault, azure: Azure, officer: Person, client_of: ClientOf) -> None:
    """A tool that writes what it could not read as "" would blank every secret when its file is read again."""
    write(client_of(officer), 'API_KEY=\nB=""\nC=x', existing="version")
    assert (value_of(azure, "api-key"), value_of(azure, "B"), value_of(azure, "C")) == ("1", None, "x")


@pytest.mark.parametrize(
    "change", [{"content": FILE + "MORE=1\n"}, {"content": FILE.replace("abc", "abd")}, {"existing": "version"}]
)
def test_what_was_not_previewed_is_not_written(
    pay: Vault, azure: Azure, officer: Person, client_of: ClientOf, change: dict[str, str]
) -> None:
    client = client_of(officer)
    seal = send(client).json()["seal"]
    answer = send(client, **{"seal": seal, "reason": "CHG-7: move", **change})
    assert (answer.status_code, value_of(azure, "DB-PASSWORD")) == (409, None)
    assert "Nothing was written; look at it again." in answer.json()["error"]


def test_a_seal_holds_for_nobody_else(pay: Vault, azure: Azure, officer: Person, client_of: ClientOf) -> None:
    seal = send(client_of(factories.person("eve", "secrets-officer"))).json()["seal"]
    answer = send(client_of(officer), seal=seal, reason="CHG-7: move")
    assert (answer.status_code, value_of(azure, "DB-PASSWORD")) == (409, None)


def test_without_a_reason_nothing_is_written(pay: Vault, azure: Azure, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    answer = send(client, seal=send(client).json()["seal"])
    assert (answer.status_code, answer.json()["field"], value_of(azure, "DB-PASSWORD")) == (422, "reason", None)


def test_a_version_that_somebody_wrote_meanwhile_is_not_written_over(
    pay: Vault, azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    seal = send(client, existing="version").json()["seal"]
    azure.clock.advance(timedelta(seconds=2))
    azure.put_secret("pay-prod", "api-key", "theirs")
    answer = send(client, seal=seal, existing="version", reason="CHG-7: move").json()
    assert (value_of(azure, "api-key"), value_of(azure, "DB-PASSWORD")) == ("theirs", "correct horse")
    assert "Somebody wrote a newer version" in answer["html"]


def test_a_row_that_fails_leaves_the_others_and_can_be_sent_again(
    pay: Vault, azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    azure.faults.set("pay-prod", Fault("server", status=500, times=1, operations=frozenset({"SecretSet"})))
    first = write(client, "A=1\nB=2").json()
    assert (value_of(azure, "A"), value_of(azure, "B")) == (None, "2")
    assert first["html"].count('name="row"') == 1
    write(client, "A=1\nB=2", chosen="on", row=["1"])
    assert value_of(azure, "A") == "1"
    assert len(azure.vault("pay-prod").secrets.get("B").versions) == 1  # type: ignore[union-attr]


def test_a_vault_that_refuses_kvadmin_is_asked_once(
    pay: Vault, azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    seal = send(client, "A=1\nB=2\nC=3").json()["seal"]
    azure.faults.set("pay-prod", Fault("rbac", operations=frozenset({"SecretSet"})))
    answer = send(client, "A=1\nB=2\nC=3", seal=seal, reason="CHG-7: move").json()
    assert answer["html"].count("Not sent, because Azure refused another one") == 2
    assert sum(row.operation == "SecretSet" for row in azure.log) == 1


def test_what_takes_too_long_is_left_for_another_request(pay: Vault, azure: Azure, officer: Person) -> None:
    planned = imports.plan(officer, pay, read(b"A=1\nB=2", "env"), Choice())
    results = imports.write(factories.actor(officer), pay, planned, reason="CHG-7", seconds=0)
    assert [(result.state, result.sentence) for result in results] == [("left", imports.LEFT)] * 2
    assert value_of(azure, "A") is None


# --- What is refused whole -------------------------------------------------------------------------------------------
def test_more_rows_than_are_taken_at_a_time_are_refused(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    answer = send(client_of(officer), "\n".join(f"N{n}=x" for n in range(201)))
    assert answer.status_code == 422
    assert answer.json()["error"] == "This file has 201 rows; 200 are taken at a time. Split it."


def test_a_file_that_is_too_large_is_refused(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    answers = [send(client_of(officer), b"A=" + b"x" * size) for size in (1_000_000, 2_000_000)]
    assert [answer.json()["error"] for answer in answers] == [
        "A file may have 1,000,000 bytes. Nothing was read: split it."
    ] * 2


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"form": "", "name": "", "content": "?"}', '{"form": 1}'])
def test_a_request_that_the_page_did_not_make_is_refused(
    pay: Vault, officer: Person, client_of: ClientOf, body: str
) -> None:
    answer = client_of(officer).post(PATH, body, content_type="application/json", headers=HTMX)
    assert (answer.status_code, answer.json()["html"]) == (422, "")


def test_a_plain_form_is_refused(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    answer = client_of(officer).post(PATH, {"content": "A=hunter2", "reason": "CHG-7"})
    assert (answer.status_code, "hunter2" in answer.content.decode()) == (422, False)


def test_the_page_tells_how_it_works(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    page = client_of(officer).get(PATH).content.decode()
    assert ("data-import-file" in page, "The file stays in this browser." in page) == (True, True)
