"""The ledger's page: what kvadmin did, whether the chain holds, and what Azure's log says to each reveal."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from audit import ledger, queries, triggers
from audit.models import LedgerEntry, Watermark
from kvadmin import actions as a
from tests import factories
from tests.audit.rows import ADA, event, revealed
from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db

WORKSPACE = "99999999-0000-4000-8000-000000000001"


@pytest.fixture
def pay_prod() -> Vault:
    return factories.vault("pay-prod", log_state="ok", workspace_id=WORKSPACE)


@pytest.fixture
def auditor(client: Client, pay_prod: Vault) -> Person:
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


def shown(client: Client, **asked: Any) -> list[int]:
    body = client.get("/audit/ledger/", asked).content.decode()
    return [int(seq) for seq in re.findall(r'<th scope="row" class="num fit">(\d+)<', body)]


def text(client: Client, **asked: Any) -> str:
    body = client.get("/audit/ledger/", asked).content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def tamper(seq: int) -> None:
    """Change a row as somebody with the database's keys would."""
    triggers.remove(connection)
    LedgerEntry.objects.filter(seq=seq).update(reason="never happened")
    triggers.install(connection)


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_each_auditor_sees_the_rows_of_the_vaults_in_scope(client: Client, pay_prod: Vault) -> None:
    revealed("pay-prod", "db-password", request_id="r1")
    revealed("pay-prod", "api-key", request_id="r2")
    revealed("hr-prod", "db-password", request_id="r3")
    ledger.record(a.ROLE_ASSIGN, ADA)

    client.force_login(factories.person("everywhere", "auditor"))
    assert shown(client) == [7, 6, 5, 4, 3, 2, 1]
    client.force_login(factories.person("of-one-vault", "auditor", vault=pay_prod))
    assert shown(client) == [4, 3, 2, 1]
    client.force_login(factories.person("of-a-prefix", "auditor", vault=pay_prod, prefix="db-"))
    assert shown(client) == [2, 1]


def test_an_administrator_neither_reads_nor_verifies_the_ledger(client: Client, pay_prod: Vault) -> None:
    revealed(request_id="r1")
    client.force_login(factories.person("admin", "administrator"))

    assert client.get("/audit/ledger/").status_code == 403
    assert client.post("/audit/ledger/verify/").status_code == 403
    refused = LedgerEntry.objects.filter(phase="refused").order_by("seq").values_list("action", flat=True)
    assert list(refused) == ["audit:read", "ledger:verify"]


# --- Filters and paging ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"person": "GRACE"}, [5]),
        ({"secret": "api-key"}, [4, 3]),
        ({"secret": "db*"}, [2, 1]),
        ({"vault": "PAY-prod", "person": "ada"}, [4, 3, 2, 1]),
        ({"action": "role:assign"}, [5]),
        ({"list": "unconfirmed"}, [4]),
        ({"before": "3"}, [2, 1]),
    ],
)
def test_each_filter_finds_its_rows(client: Client, auditor: Person, asked: dict[str, str], found: list[int]) -> None:
    event(ledger_act=revealed("pay-prod", "db-password", request_id="r1").id)
    revealed("pay-prod", "api-key", request_id="r2")
    ledger.record(a.ROLE_ASSIGN, ledger.Actor("8", "Grace Example"))

    assert shown(client, **asked) == found


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"person": "x" * 500}, "Ensure this value has at most 200 characters (it has 500)."),
        ({"secret": "a/b"}, "A name has letters, digits and dashes; end with * for all that begin so."),
        ({"act": "not-an-id"}, "No act has this id."),
        ({"before": "0"}, "Ensure this value is greater than or equal to 1."),
        ({"before": "9" * 40}, "Ensure this value is less than or equal to"),
        ({"action": "rm"}, "Select a valid choice. rm is not one of the available choices."),
    ],
)
def test_a_bad_filter_gets_one_sentence_and_searches_nothing(
    client: Client, auditor: Person, asked: dict[str, str], sentence: str
) -> None:
    revealed(request_id="r1")

    assert client.get("/audit/ledger/", asked).status_code == 422
    assert text(client, **asked).count(sentence) == 1
    assert shown(client, **asked) == []


def test_pages_follow_each_other_without_losing_a_row(client: Client, auditor: Person) -> None:
    for _ in range(60):
        ledger.record(a.ROLE_ASSIGN, ADA)

    assert shown(client) == list(range(60, 10, -1))
    # The visit is itself a row by now.
    assert 'href="?before=12"' in client.get("/audit/ledger/").content.decode()
    assert shown(client, before=11) == list(range(10, 0, -1))


def test_the_number_of_queries_is_the_same_for_one_row_and_for_three(
    client: Client, auditor: Person, django_assert_num_queries: Any
) -> None:
    revealed(request_id="r1")
    client.get("/audit/ledger/")
    with django_assert_num_queries(9):
        client.get("/audit/ledger/")
    revealed("pay-prod", "api-key", request_id="r2")
    revealed("hr-prod", "api-key", request_id="r3")
    with django_assert_num_queries(9):
        client.get("/audit/ledger/")


def test_markup_in_a_reason_is_shown_as_text(client: Client, auditor: Person) -> None:
    ledger.record(a.ROLE_ASSIGN, ledger.Actor("9", "<b>Bob</b>"), reason="<script>alert(1)</script>", note="<i>n</i>")

    body = client.get("/audit/ledger/").content.decode()
    assert [bad for bad in ("<b>Bob", "<script>alert", "<i>n") if bad in body] == []
    assert "&lt;script&gt;alert(1)" in body


# --- What Azure's log says -------------------------------------------------------------------------------------------
def test_a_reveal_links_to_the_row_of_azures_log_that_confirms_it(client: Client, auditor: Person) -> None:
    seen = event(ledger_act=revealed(request_id="r1").id)

    assert f'href="/audit/events/{seen.pk}/"' in client.get("/audit/ledger/").content.decode()
    assert list(queries.unconfirmed(LedgerEntry.objects.all())) == []


@pytest.mark.parametrize(
    ("log_state", "complete_up_to", "words"),
    [
        ("ok", None, "Not shown yet not taken in yet"),
        ("ok", timedelta(minutes=-5), "Not shown yet complete up to 2"),
        ("ok", timedelta(minutes=5), ", and not there"),
        ("no-setting", timedelta(minutes=5), "Blind no diagnostic setting"),
        ("unknown", timedelta(minutes=5), "Blind not known whether the vault sends a log"),
    ],
)
def test_a_reveal_that_azure_has_not_shown_says_why(
    client: Client, auditor: Person, log_state: str, complete_up_to: timedelta | None, words: str
) -> None:
    Vault.objects.update(log_state=log_state)
    revealed(request_id="r1")
    now = timezone.now()
    moment = now + complete_up_to if complete_up_to else None
    Watermark.objects.create(workspace_id=WORKSPACE, complete_up_to=moment, complete_from=now - timedelta(days=1))

    assert words in text(client, list="unconfirmed")


@pytest.mark.parametrize(
    ("began", "gap", "words"),
    [(1, None, "Too early complete only from 2"), (-60, (-1, 1), "Not known the log has a gap there")],
)
def test_a_reveal_where_the_log_knows_nothing_raises_no_alarm(
    client: Client, auditor: Person, began: int, gap: tuple[int, int] | None, words: str
) -> None:
    revealed(request_id="r1")
    begin, start, end, up_to = (timezone.now() + timedelta(minutes=m) for m in (began, *(gap or (0, 0)), 5))
    gaps = [[start.isoformat(), end.isoformat()]] if gap else []
    Watermark.objects.create(workspace_id=WORKSPACE, complete_from=begin, complete_up_to=up_to, gaps=gaps)

    page = text(client, list="unconfirmed")

    assert (words in page, "and not there" in page) == (True, False)


# --- The chain -------------------------------------------------------------------------------------------------------
def test_verifying_says_that_the_chain_holds_and_is_itself_on_record(client: Client, auditor: Person) -> None:
    revealed(request_id="r1")
    client.post("/audit/ledger/verify/")

    entry = LedgerEntry.objects.latest("seq")
    assert (entry.action, entry.person, entry.code, entry.note) == (
        "ledger:verify",
        "auditor",
        "",
        "The chain holds: 2 rows, none changed, none missing.",
    )
    assert "The chain holds: 2 rows, none changed, none missing. Verified" in text(client)


def test_a_broken_chain_is_named_by_its_first_bad_row_and_stays_in_sight(client: Client, auditor: Person) -> None:
    revealed(request_id="r1")
    tamper(2)
    client.post("/audit/ledger/verify/")
    text(client)

    page = text(client)
    assert "The chain did not hold when auditor verified it" in page
    assert "The chain is broken at row 2: its content was changed. Sound before it: 1 row." in page


def test_looking_never_verifies_and_only_a_post_does(client: Client, auditor: Person) -> None:
    assert client.get("/audit/ledger/verify/").status_code == 405
    assert LedgerEntry.objects.count() == 0


def test_the_command_tells_cron_by_its_exit_status() -> None:
    revealed(request_id="r1")
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    said, head = out.getvalue().splitlines()
    assert said == "The chain holds: 2 rows, none changed, none missing."
    assert head == f"Head, to note elsewhere: rows=2 seq=2 hash={LedgerEntry.objects.get(seq=2).hash}"

    tamper(1)
    with pytest.raises(CommandError, match="broken at row 1: its content was changed"):
        call_command("verify_ledger")
