"""The timeline shows an auditor what Azure logged in their vaults, and how much the log can know."""

from __future__ import annotations

import html
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import AccessEvent, LedgerEntry, Watermark
from tests import factories
from tests.audit.rows import event
from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db

WORKSPACE = "99999999-0000-4000-8000-000000000001"
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\"'&"


@pytest.fixture
def pay_prod() -> Vault:
    return factories.vault("pay-prod", log_state="ok", workspace_id=WORKSPACE)


@pytest.fixture
def auditor(client: Client, pay_prod: Vault) -> Person:
    person = factories.person("auditor", "auditor")
    client.force_login(person)
    return person


def shown(client: Client, query: str = "", **asked: str) -> list[str]:
    """The correlation ids of the rows on the page, in order, by the rows' links."""
    body = client.get(f"/audit/{query}", asked).content.decode()
    keys = [int(pk) for pk in re.findall(r'<th scope="row" class="nowrap"><a href="/audit/events/(\d+)/"', body)]
    ids = dict(AccessEvent.objects.values_list("pk", "correlation_id"))
    return [ids[pk] for pk in keys]


def text(client: Client, path: str = "/audit/", **asked: str) -> str:
    """The page as somebody reads it: no tags, single spaces."""
    body = client.get(path, asked).content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


# --- Who may ---------------------------------------------------------------------------------------------------------
def test_an_auditor_sees_the_reads_of_the_vaults_in_scope_and_no_others(client: Client, pay_prod: Vault) -> None:
    event(correlation_id="here", vault="pay-prod")
    event(correlation_id="elsewhere", vault="hr-prod")
    event(correlation_id="unknown", vault="not-in-the-inventory")
    factories.vault("hr-prod", environment="hr")

    client.force_login(factories.person("everywhere", "auditor"))
    assert set(shown(client)) == {"here", "elsewhere", "unknown"}
    client.force_login(factories.person("of-one-vault", "auditor", vault=pay_prod))
    assert shown(client) == ["here"]
    client.force_login(factories.person("of-hr", "auditor", environment="hr"))
    assert shown(client) == ["elsewhere"]


def test_an_auditor_of_a_prefix_sees_only_the_secrets_that_begin_so(client: Client, pay_prod: Vault) -> None:
    event(correlation_id="inside", name="db-password")
    event(correlation_id="outside", name="api-key")
    event(correlation_id="nameless", name="", operation="SecretList", is_read=False, match="other")
    client.force_login(factories.person("of-db", "auditor", vault=pay_prod, prefix="db-"))

    assert shown(client) == ["inside"]


@pytest.mark.parametrize("role", ["", "reader", "secrets-user", "administrator"])
def test_others_are_refused_and_the_refusal_is_on_record(client: Client, pay_prod: Vault, role: str) -> None:
    seen = event(who="eve-the-reader")
    client.force_login(factories.person("bob", role))

    for path in ("/audit/", f"/audit/events/{seen.pk}/", "/audit/ledger/"):
        answer = client.get(path)
        assert (answer.status_code, b"eve-the-reader" in answer.content) == (403, False)
    assert list(LedgerEntry.objects.order_by().values_list("phase", "action").distinct()) == [("refused", "audit:read")]


def test_one_event_outside_the_scope_does_not_exist_for_its_reader(client: Client, pay_prod: Vault) -> None:
    inside, outside = event(vault="pay-prod"), event(vault="hr-prod", who="eve-the-reader")
    client.force_login(factories.person("of-one-vault", "auditor", vault=pay_prod))

    assert client.get(f"/audit/events/{inside.pk}/").status_code == 200
    answer = client.get(f"/audit/events/{outside.pk}/")
    assert (answer.status_code, b"eve-the-reader" in answer.content) == (404, False)
    assert client.get(f"/audit/events/{10**30}/").status_code == 404


# --- Filters ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"person": "EVE"}, ["eve"]),
        ({"person": "ada"}, ["ada"]),
        ({"vault": "Pay-Prod"}, ["eve", "ada", "denied", "backup"]),
        ({"vault": "pay*"}, ["eve", "ada", "denied", "backup", "db2"]),
        ({"secret": "db"}, ["eve"]),
        ({"secret": "DB*"}, ["eve", "db2"]),
        ({"operation": "SecretBackup"}, ["backup"]),
        ({"operation": "reads"}, ["eve", "ada", "backup", "db2"]),
        ({"outcome": "denied"}, ["denied"]),
        ({"match": "explained"}, ["ada"]),
        ({"match": "around", "secret": "db2"}, ["db2"]),
        ({"person": "%"}, []),
        ({"noise": "on"}, ["eve", "ada", "denied", "backup", "db2", "noise"]),
    ],
)
def test_each_filter_finds_its_rows_and_names_are_compared_whole(
    client: Client, auditor: Person, asked: dict[str, str], found: list[str]
) -> None:
    now = timezone.now()
    for minutes, (key, fields) in enumerate(ROWS.items(), 1):
        event(correlation_id=key, at=now - timedelta(minutes=minutes), **fields)

    assert shown(client, **asked) == found


ROWS: dict[str, dict[str, Any]] = {
    "eve": {"name": "db", "who": "eve@contoso.example"},
    "ada": {"name": "api-key", "who": "kvadmin", "person": "Ada Example", "match": "explained"},
    "denied": {"name": "api-key", "who": "bot", "outcome": "denied", "status": 403, "is_read": False, "match": "other"},
    "backup": {"name": "api-key", "who": "bot", "operation": "SecretBackup"},
    "db2": {"name": "db2", "who": "bot", "vault": "pay-test"},
    "noise": {
        "name": "",
        "who": "",
        "operation": "Authentication",
        "is_noise": True,
        "is_read": False,
        "match": "other",
    },
}


def test_the_range_is_seven_days_until_another_is_chosen(client: Client, auditor: Person) -> None:
    for days in (0, 2, 8, 31, 89):
        event(correlation_id=str(days), at=timezone.now() - timedelta(days=days, minutes=5))

    assert shown(client) == ["0", "2"]
    assert shown(client, range="24h") == ["0"]
    assert shown(client, range="30d") == ["0", "2", "8"]
    assert shown(client, range="90d") == ["0", "2", "8", "31", "89"]


def test_two_moments_are_utc_and_go_before_a_chosen_range(client: Client, auditor: Person) -> None:
    event(correlation_id="before", at=datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC))
    event(correlation_id="first", at=datetime(2026, 3, 29, 1, 0, tzinfo=UTC))
    event(correlation_id="last", at=datetime(2026, 3, 29, 2, 59, 59, tzinfo=UTC))
    event(correlation_id="after", at=datetime(2026, 3, 29, 3, 0, tzinfo=UTC))
    asked = {"start": "2026-03-29T01:00", "end": "2026-03-29T03:00", "range": "24h"}

    assert shown(client, **asked) == ["last", "first"]
    body = client.get("/audit/", asked).content.decode()
    assert re.findall(r'type="datetime-local" name="\w+" value="([^"]*)"', body) == [asked["start"], asked["end"]]


# --- Bad input -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"person": "x" * 500}, "Ensure this value has at most 200 characters (it has 500)."),
        ({"vault": "x" * 500}, "Ensure this value has at most 128 characters (it has 500)."),
        ({"secret": "a b"}, "A name has letters, digits and dashes; end with * for all that begin so."),
        ({"secret": "a\x00"}, "Null characters are not allowed."),
        ({"operation": "DROP"}, "Select a valid choice. DROP is not one of the available choices."),
        ({"range": "forever"}, "The time range must be one of 24h, 7d, 30d and 90d."),
        ({"start": "tomorrow"}, "Write the moment in UTC as 2026-12-01T14:30."),
        ({"start": "2026-02-30T00:00"}, "Write the moment in UTC as 2026-12-01T14:30."),
        ({"start": "0001-01-01T00:00+14:00"}, "Give a year between 2015 and 2100."),
        ({"start": "9999-12-31T23:59-14:00"}, "Give a year between 2015 and 2100."),
        ({"end": "2026-03-29T03:00"}, "Say from when."),
        ({"start": "2026-03-29T03:00", "end": "2026-03-29T03:00"}, "The range must end after it begins."),
        ({"start": "2099-03-29T03:00"}, "The range must end after it begins."),
    ],
)
def test_a_bad_filter_gets_one_sentence_keeps_what_was_typed_and_searches_nothing(
    client: Client, auditor: Person, asked: dict[str, str], sentence: str
) -> None:
    event(correlation_id="seen")
    answer = client.get("/audit/", asked)
    page = html.unescape(answer.content.decode())

    assert answer.status_code == 422
    assert page.count(sentence) == 1
    assert all(f'value="{value}"' in page or value in sentence or "\x00" in value for value in asked.values())
    assert shown(client, **asked) == []


@pytest.mark.parametrize(
    "cursor", ["x", "AAAA", "bzEuMA", "b25lLnR3bw", "%00", "é", "x" * 500, "bzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LjE"]
)
def test_a_garbled_place_in_the_list_says_so_and_shows_the_lists_beginning(
    client: Client, auditor: Person, cursor: str
) -> None:
    event(correlation_id="seen")
    answer = client.get("/audit/", {"cursor": cursor, "vault": "pay-prod"})

    assert answer.status_code == 422
    assert "place in the list cannot be read" in answer.content.decode()
    assert shown(client, cursor=cursor, vault="pay-prod") == ["seen"]


def test_markup_in_any_logged_text_is_shown_as_text(client: Client, auditor: Person) -> None:
    texts = ("who", "via", "agent", "address", "name", "vault", "operation", "person", "reason", "version", "source")
    widths = {field.name: field.max_length for field in AccessEvent._meta.concrete_fields}
    hostile = event(**{name: MARKUP[: widths[name]] for name in texts}, raw={MARKUP: [MARKUP]})
    chart_too = event(name=MARKUP[:100])

    for path in ("/audit/", f"/audit/events/{hostile.pk}/", f"/audit/events/{chart_too.pk}/"):
        body = client.get(path).content.decode()
        assert "alert(1)" in html.unescape(body)
        assert [bad for bad in ("<script>alert", "<img src=x", '7*7}}"') if bad in body] == []


# --- Paging ----------------------------------------------------------------------------------------------------------
def links(body: str) -> dict[str, str]:
    return {rel: html.unescape(url) for rel, url in re.findall(r'rel="(prev|next)" href="([^"]*)"', body)}


def test_pages_go_down_and_up_again_without_losing_or_doubling_a_row(client: Client, auditor: Person) -> None:
    same_moment = timezone.now() - timedelta(minutes=1)
    wanted = [str(event(correlation_id=str(n), at=same_moment).correlation_id) for n in range(120)][::-1]

    found, query, walked = [], "?vault=pay-prod", []
    while query:
        walked.append(query)
        found += shown(client, query)
        query = links(client.get(f"/audit/{query}").content.decode()).get("next", "")
    assert found == wanted

    up = links(client.get(f"/audit/{walked[2]}").content.decode())["prev"]
    assert shown(client, up) == wanted[50:100]
    assert "vault=pay-prod" in up


def test_a_row_that_comes_in_meanwhile_shifts_no_page(client: Client, auditor: Person) -> None:
    for n in range(60):
        event(correlation_id=str(n), at=timezone.now() - timedelta(minutes=n + 1))
    second = links(client.get("/audit/").content.decode())["next"]
    before = shown(client, second)

    event(correlation_id="new")
    assert shown(client, second) == before


def test_the_number_of_queries_is_the_same_for_one_row_and_for_three(
    client: Client, auditor: Person, django_assert_num_queries: Any
) -> None:
    event()
    client.get("/audit/")
    with django_assert_num_queries(8):
        client.get("/audit/")
    factories.vault("pay-test", log_state="no-setting")
    event(vault="pay-test")
    event(person="Ada Example", match="explained")
    with django_assert_num_queries(8):
        client.get("/audit/")


def test_htmx_gets_the_table_alone(client: Client, auditor: Person) -> None:
    event(who="eve@contoso.example")
    body = client.get("/audit/", headers={"HX-Request": "true"}).content.decode()

    assert body.lstrip().startswith('<section class="stack" id="audit-table"')
    assert "eve@contoso.example" in body


# --- What is shown ---------------------------------------------------------------------------------------------------
def test_an_explained_read_shows_the_persons_name_and_reason(client: Client, auditor: Person) -> None:
    event(who="kvadmin", person="Ada Example", reason="INC-42 restore", match="explained")

    page = text(client)
    assert "Ada Example through kvadmin “INC-42 restore”" in page
    assert "Explained" in page


def test_noise_is_hidden_until_it_is_asked_for(client: Client, auditor: Person) -> None:
    event(correlation_id="noise", is_noise=True)

    assert shown(client) == []
    assert shown(client, noise="on") == ["noise"]


# --- How much the log can know ---------------------------------------------------------------------------------------
def mark(**fields: Any) -> Watermark:
    plain = {
        "workspace_id": WORKSPACE,
        "complete_from": datetime(2026, 11, 1, tzinfo=UTC),
        "complete_up_to": datetime(2026, 12, 1, 0, 33, tzinfo=UTC),
        "tried_at": datetime(2026, 12, 1, 0, 48, tzinfo=UTC),
    }
    return Watermark.objects.create(**plain | fields)


def test_the_page_says_what_the_log_is_complete_for(client: Client, auditor: Person) -> None:
    mark()

    assert "complete from 2026-11-01 00:00Z up to 2026-12-01 00:33Z" in text(client)


def test_of_several_workspaces_the_least_complete_counts_unless_a_vault_is_chosen(
    client: Client, auditor: Person
) -> None:
    mark()
    slow = "99999999-0000-4000-8000-000000000002"
    factories.vault("hr-prod", log_state="ok", workspace_id=slow.upper())
    mark(
        workspace_id=slow,
        complete_from=datetime(2026, 11, 9, tzinfo=UTC),
        complete_up_to=datetime(2026, 11, 30, tzinfo=UTC),
    )

    assert "complete from 2026-11-09 00:00Z up to 2026-11-30 00:00Z" in text(client)
    assert "complete from 2026-11-01 00:00Z up to 2026-12-01 00:33Z" in text(client, vault="pay-prod")


def test_blind_vaults_are_named_with_the_reason(client: Client, auditor: Person) -> None:
    mark()
    factories.vault("id-dev", log_state="no-setting")
    factories.vault("hr-prod", log_state="unreadable")
    factories.vault("gone", log_state="no-setting", vanished_at=timezone.now())

    page = text(client)
    assert "These 2 vaults send no log that kvadmin can read" in page
    assert "hr-prod (its workspace cannot be read), id-dev (no diagnostic setting)" in page
    assert "gone" not in page


def test_blind_vaults_outside_the_scope_are_not_named(client: Client, pay_prod: Vault) -> None:
    factories.vault("hr-prod", log_state="no-setting", environment="hr")
    client.force_login(factories.person("of-one-vault", "auditor", vault=pay_prod))

    assert "hr-prod" not in text(client)


def test_a_workspace_that_could_not_be_read_and_a_gap_are_told(client: Client, auditor: Person) -> None:
    gap = [["2026-11-20T10:00:00+00:00", "2026-11-20T10:00:10+00:00"]]
    mark(code="throttled", note="Azure is receiving too many calls; try again in a little while.", gaps=gap)

    page = text(client)
    assert "The log of 1 vault could not be read at 2026-12-01 00:48Z . Azure is receiving too many calls" in page
    assert (
        "The log has 1 gap , for which Azure gave only a part of the rows, or none any more: 2026-11-20 10:00:00Z to"
        in page
    )


def test_a_log_that_is_not_taken_in_to_its_end_was_read_all_the_same(client: Client, auditor: Person) -> None:
    mark(code="behind", note="There is more in the log.")

    page = text(client)
    assert "The log of 1 vault is not taken in to its end. There is more in the log." in page
    assert "could not be read" not in page


def test_a_vault_that_was_never_checked_is_not_called_complete(
    client: Client, auditor: Person, pay_prod: Vault
) -> None:
    Vault.objects.update(log_state="unknown")

    page = text(client)
    assert "Whether 1 vault sends a log has not been checked yet." in page
    assert "complete from" not in page


# --- The chart -------------------------------------------------------------------------------------------------------
def test_the_chart_counts_reads_per_day_and_says_the_same_in_words_and_in_a_table(
    client: Client, auditor: Person
) -> None:
    day = datetime(2026, 11, 20, 12, tzinfo=UTC)
    event(at=day, match="explained")
    event(at=day, match="around")
    event(at=day + timedelta(days=2), match="unexplained")
    event(at=day, is_read=False, match="other", outcome="denied")
    event(at=day, is_read=False, match="other", operation="SecretSet")
    asked = {"start": "2026-11-20T00:00", "end": "2026-11-23T00:00"}

    body = client.get("/audit/", asked).content.decode()
    part = ["part"]  # no log of any vault is taken in
    assert re.findall(r'<rect class="(\w+)"', body) == [
        *part, "explained", "around", "refused", *part, *part, "unexplained",
    ]  # fmt: skip
    assert (
        "2026-11-20 to 2026-11-22, per day: 1 explained, 1 around kvadmin, 1 unexplained, 1 refused or failed." in body
    )
    assert "2026-11-21 not complete 0 0 0 0 2026-11-22 not complete 0 0 1 0" in text(client, **asked)
    assert "style=" not in body


# --- One event -------------------------------------------------------------------------------------------------------
def test_an_event_shows_its_record_its_explanation_and_its_act(client: Client, auditor: Person) -> None:
    seen = event(match="unexplained", raw={"OperationName": "SecretGet", "HttpStatusCode": 200})

    page = text(client, f"/audit/events/{seen.pk}/")
    assert "the ledger holds nothing that explains it" in page
    assert '{ "HttpStatusCode": 200, "OperationName": "SecretGet" }' in page
    assert "is tied to this row." in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"match": "explained", "matched_by": "request-id", "person": "Ada"}, "it is the same request"),
        ({"match": "explained", "matched_by": "user-agent", "person": "Ada"}, "Azure's answer was lost"),
        ({"match": "around"}, "An identity other than kvadmin's own"),
        ({"match": "unexplained"}, "change it, and rotate this secret."),
        ({"match": "unexplained", "reveal_id": uuid.uuid4()}, "a User-Agent can be copied"),
        (
            {"match": "other", "is_read": False, "ledger_act": uuid.uuid4(), "person": "Ada"},
            "Ada did this through kvadmin.",
        ),
        (
            {"match": "other", "is_read": False, "ledger_act": uuid.uuid4(), "person": "Ada", "outcome": "denied"},
            "Ada tried this through kvadmin.",
        ),
        (
            {"match": "explained", "matched_by": "request-id", "person": "Ada", "action": "secret:backup"},
            "Ada backed this secret up through kvadmin, all of its versions, and saw no value.",
        ),
        (
            {"match": "explained", "matched_by": "request-id", "person": "Ada", "action": "secret:compare"},
            "Ada had kvadmin compare this value with another one, and was told no more than yes or no.",
        ),
        (
            {"match": "explained", "matched_by": "user-agent", "person": "Ada", "action": "secret:copy"},
            "Ada asked for a copy of this value through kvadmin, but Azure",
        ),
        (
            {"match": "other", "is_read": False, "operation": "Authentication", "is_noise": True},
            "answered by a success within seconds",
        ),
        ({"match": "other", "is_read": False, "operation": "Authentication"}, "did not come back with a token"),
        ({"match": "other", "is_read": False, "operation": "SecretSet"}, "No value left the vault with this request."),
        ({"match": "other"}, "Not sorted yet This read is not sorted yet"),
        ({"match": "around", "outcome": "unknown", "status": None}, "Azure does not tell what came of this"),
    ],
)
def test_each_kind_of_event_is_explained_in_plain_words(
    client: Client, auditor: Person, fields: dict[str, Any], words: str
) -> None:
    seen = event(**fields)

    assert words in text(client, f"/audit/events/{seen.pk}/")


@pytest.mark.parametrize("kind", ["secrets", "keys", "certificates"])
def test_each_row_leads_to_the_page_of_what_it_is_about(client: Client, auditor: Person, kind: str) -> None:
    event(object_kind=kind, name="tls", operation="KeyGet", match="other", is_read=False)
    event(object_kind="deletedsecrets", name="gone", operation="SecretPurge", match="other", is_read=False)
    body = client.get("/audit/", {"reads": ""}).content.decode()
    assert re.findall(r'href="(/vaults/pay-prod/[a-z]+/[a-z]+/)"', body) == [f"/vaults/pay-prod/{kind}/tls/"]
