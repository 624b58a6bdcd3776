"""Two vaults side by side, from the inventory alone; whether values are equal is asked for, and on record."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit import ledger
from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway.values import SecretValue
from tests import factories
from tests.audit.pages import text_of
from tests.test_canary import cached, everything_stored
from vaults import comparing, equality
from vaults.comparing import Pair
from vaults.models import Person, Secret, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
COMPARE = "/compare/?left=vault:pay-prod&right=vault:pay-test"
EXPORT = "/compare/export/?left=vault:pay-prod&right=vault:pay-test"
VALUES = "/compare/values/?left=vault:pay-prod&right=vault:pay-test"
CANARY = "canary-c0mp\r\n\u00e9\x00"
SOON = datetime(2027, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    """pay-prod and pay-test: equal, different, disabled, and only on one side."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    for vault, value in (("pay-prod", CANARY), ("pay-test", CANARY + "x")):
        azure.add_vault(vault, subscription_id=SUBSCRIPTION, tags={"environment": vault[4:]})
        azure.put_secret(vault, "same", CANARY, tags={"environment": vault[4:], "team": "blue"})
        azure.put_secret(vault, "differs", value, content_type=vault, expires_on=SOON if vault == "pay-prod" else None)
        azure.put_secret(vault, "Off" if vault == "pay-prod" else "OFF", value, enabled=vault == "pay-prod")
        azure.put_secret(vault, f"only-{vault}", value)
    sync_inventory()
    return azure


def pairs(
    person: Person, left: str = "vault:pay-prod", right: str = "vault:pay-test", **options: Any
) -> dict[str, Pair]:
    sides = comparing.side(person, left), comparing.side(person, right)
    assert sides[0] is not None
    assert sides[1] is not None
    return {pair.key: pair for pair in comparing.compare(person, *sides, **options)}


def text(answer: Any) -> str:
    return text_of(answer.content.decode())


def ids(left: str, right: str = "") -> str:
    one = Secret.objects.get(vault__name="pay-prod", key=left)
    return f"{one.pk}-{Secret.objects.get(vault__name='pay-test', key=right or left).pk}"


def ask(client: Client, *picked: str, reason: str = "CHG-3: is test like prod?"):
    return client.post(VALUES, {"pick": list(picked), "reason": reason})


def reads(azure: Azure) -> list[str]:
    return [f"{row.vault.name} {row.status}" for row in azure.log if row.operation == "SecretGet"]


# --- By metadata -----------------------------------------------------------------------------------------------------
def test_names_tags_content_type_state_and_expiry_are_compared_and_no_value_is_read(
    cloud: Azure, reader: Person
) -> None:
    found = pairs(reader, ignored=["environment"])

    assert {key: pair.state for key, pair in found.items()} == {
        "differs": "differs", "off": "differs", "only-pay-prod": "left", "only-pay-test": "right", "same": "same",
    }  # fmt: skip
    assert [(one.label, one.before, one.after) for one in found["differs"].differences] == [
        ("Content type", "pay-prod", "pay-test"), ("Expires", "2027-05-01 12:00:00Z", ""),
    ]  # fmt: skip
    assert [(one.label, one.before, one.after) for one in found["off"].differences] == [
        ("State", "enabled", "disabled")
    ]
    assert reads(cloud) == []


def test_a_tag_that_counts_makes_a_difference(cloud: Azure, reader: Person) -> None:
    assert [one.label for one in pairs(reader)["same"].differences] == ["Tag environment"]


def test_a_secret_of_a_certificate_is_not_the_same_as_a_plain_one(cloud: Azure, reader: Person) -> None:
    Secret.objects.filter(vault__name="pay-test", key="same").update(managed=True)

    found = pairs(reader, ignored=["environment"])["same"].differences
    assert [(one.label, one.before, one.after) for one in found] == [("Kind", "plain", "of a certificate")]


def test_environments_are_compared_as_a_whole_and_a_name_that_is_there_twice_claims_nothing(
    cloud: Azure, reader: Person
) -> None:
    factories.secret(factories.vault("web-prod", environment="prod", listed_at=timezone.now()), "same")

    found = pairs(reader, "environment:prod", "environment:test", ignored=["environment"])
    assert (found["same"].state, found["same"].differences, found["same"].ids) == ("several", [], "")
    assert found["only-pay-prod"].state == "left"


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"listed_at": None}, "pay-test was never listed in full"),
        ({"health": "firewall"}, "pay-test cannot be listed now (Firewall): this is how it was"),
    ],
)
def test_a_side_that_is_old_or_unlisted_says_so(
    change: dict[str, Any], doubt: str, cloud: Azure, reader: Person, client_of: ClientOf
) -> None:
    client = client_of(reader)
    assert "not seen" not in text(client.get(COMPARE))
    Vault.objects.filter(name="pay-test").update(**change)

    page = text(client.get(COMPARE))
    assert doubt in page
    assert "not seen" in page


def test_an_environment_is_as_old_as_its_oldest_list(cloud: Azure, reader: Person, client_of: ClientOf) -> None:
    long_ago = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
    factories.vault("web-prod", environment="prod", listed_at=long_ago)
    Vault.objects.filter(name="pay-test").update(listed_at=None)

    page = text(client_of(reader).get("/compare/?left=environment:prod&right=vault:pay-test"))
    assert "environment prod (2 vaults) as of 2026-02-03 04:05Z ; pay-test never listed." in page


def test_the_page_shows_differences_first_and_everything_when_asked(
    cloud: Azure, reader: Person, client_of: ClientOf
) -> None:
    client = client_of(reader)

    assert client.get(COMPARE).content.decode().count('<th scope="row"') == 4
    assert client.get(f"{COMPARE}&show=all").content.decode().count('<th scope="row"') == 5
    assert client.get(f"{COMPARE}&show=left").content.decode().count('<th scope="row"') == 1


def test_the_file_has_a_line_for_each_difference_and_no_formula(
    cloud: Azure, reader: Person, client_of: ClientOf
) -> None:
    Secret.objects.filter(vault__name="pay-prod", key="differs").update(content_type="=HYPERLINK(1)")

    answer = client_of(reader).post(f"{EXPORT}&show=differs")
    rows = list(csv.DictReader(io.StringIO(answer.getvalue().decode())))
    assert [(row["name"], row["what"]) for row in rows] == [
        ("differs", "Content type"), ("differs", "Expires"), ("Off", "State"),
    ]  # fmt: skip
    assert rows[0]["on_the_left"] == "'=HYPERLINK(1)"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="kvadmin-compare-')


def test_the_file_is_on_record_with_what_was_compared_and_its_rows(
    cloud: Azure, reader: Person, client_of: ClientOf
) -> None:
    client = client_of(reader)
    client.post(f"{EXPORT}&show=differs").getvalue()

    intent, done = LedgerEntry.objects.order_by("seq")
    assert (intent.action, intent.person, intent.note) == (
        "secret:list", "reader", "comparison as csv: left=vault:pay-prod, right=vault:pay-test, show=differs",
    )  # fmt: skip
    assert (done.phase, done.note) == ("done", "3 rows.")
    assert client.get(EXPORT).status_code == 405


def test_a_comparison_that_makes_no_sense_is_no_file_and_leads_back_to_the_page(
    cloud: Azure, reader: Person, client_of: ClientOf
) -> None:
    answers = [client_of(reader).post(path) for path in ("/compare/export/?left=vault:nowhere", "/compare/export/")]

    assert [answer.headers["Location"] for answer in answers] == ["/compare/?left=vault%3Anowhere", "/compare/?"]
    assert LedgerEntry.objects.count() == 0


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("left=vault:pay-prod&right=vault:pay-prod", "Choose another one than on the left"),
        ("left=vault:pay-prod&right=vault:nowhere", "Select a valid choice."),
        ("left=vault:pay-prod&right=nonsense", "Select a valid choice."),
    ],
)
def test_a_side_that_makes_no_sense_is_told(
    query: str, sentence: str, cloud: Azure, reader: Person, client_of: ClientOf
) -> None:
    answer = client_of(reader).get(f"/compare/?{query}")

    assert (answer.status_code, sentence in text(answer)) == (422, True)


def test_too_many_secrets_are_a_sentence(cloud: Azure, reader: Person) -> None:
    one = comparing.side(reader, "vault:pay-prod")
    assert one is not None
    with pytest.raises(comparing.TooMany, match="pay-prod holds more than 2 secrets"):
        comparing.compare(reader, one, one, most=2)


@pytest.mark.parametrize("count", [1, 3])
def test_three_secrets_take_as_many_queries_as_one(
    count: int, client_of: ClientOf, reader: Person, django_assert_num_queries: Any
) -> None:
    for name in ("pay-prod", "pay-test"):
        vault = factories.vault(name, listed_at=timezone.now(), health="ok")
        for number in range(count):
            factories.secret(vault, f"{name}-{number}")
    client = client_of(reader)
    client.get("/help/")
    with django_assert_num_queries(8):
        page = client.get(COMPARE).content.decode()
    assert page.count('<th scope="row"') == 2 * count


# --- Who sees what ---------------------------------------------------------------------------------------------------
def test_nobody_compares_what_they_may_not_see(cloud: Azure, client_of: ClientOf) -> None:
    one_side = client_of(factories.person("one-side", "reader", environment="prod"))
    nobody, administrator = client_of(factories.person("nobody")), client_of(factories.person("root", "administrator"))

    answers = [one_side.get(COMPARE), nobody.get(COMPARE), administrator.get(COMPARE)]
    files = [one_side.post(EXPORT), nobody.post(EXPORT), administrator.post(EXPORT)]
    assert [answer.status_code for answer in answers] == [422, 403, 403]
    assert [answer.status_code for answer in files] == [302, 403, 403]
    assert [answer for answer in answers if "pay-test</" in answer.content.decode()] == []


def test_whoever_may_see_a_part_sees_a_part_and_is_told(cloud: Azure, client_of: ClientOf) -> None:
    somebody = factories.person("part", "reader", environment="prod")
    factories.assign(somebody, "reader", vault=Vault.objects.get(name="pay-test"), prefix="sa")

    page = text(client_of(somebody).get(f"{COMPARE}&show=all"))
    assert "You may see a part of pay-test only" in page
    assert "only-pay-test" not in page


@pytest.mark.parametrize("role", ["reader", "secrets-user", "auditor", "approver"])
def test_others_are_not_offered_the_question_and_may_not_ask_it(role: str, cloud: Azure, client_of: ClientOf) -> None:
    client = client_of(factories.person("eve", role))

    assert 'name="pick"' not in client.get(COMPARE).content.decode()
    assert ask(client, ids("same")).status_code == 403
    assert reads(cloud) == []


def test_a_right_on_one_side_is_not_enough(cloud: Azure, client_of: ClientOf) -> None:
    somebody = factories.person("half", "secrets-officer", environment="prod")
    factories.assign(somebody, "reader")
    client = client_of(somebody)
    assert 'name="pick"' not in client.get(COMPARE).content.decode()

    answer = text(ask(client, ids("same")))
    assert "Not known" in answer
    assert "do not reach pay-test" in answer
    assert (reads(cloud), LedgerEntry.objects.get(phase="refused").vault) == ([], "pay-test")


# --- By value --------------------------------------------------------------------------------------------------------
def test_equal_and_different_values_are_told_apart_and_neither_is_shown(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    answer = ask(client_of(officer), ids("same"), ids("differs"))

    page = text(answer)
    assert [word for word in ("Equal", "Different", "Not known") if word in page] == ["Equal", "Different"]
    assert "canary" not in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert sorted(reads(cloud)) == ["pay-prod 200", "pay-prod 200", "pay-test 200", "pay-test 200"]


def test_each_read_is_on_record_with_the_reason_and_with_what_it_was_compared(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    ask(client_of(officer), ids("same"))

    rows = LedgerEntry.objects.filter(action="secret:compare", phase="read").order_by("seq")
    logged = [row.correlation_id for row in cloud.log if row.operation == "SecretGet"]
    assert [(row.vault, row.secret, row.reason, row.note) for row in rows] == [
        ("pay-prod", "same", "CHG-3: is test like prod?", "Compared with pay-test / same; the answer is yes or no."),
        ("pay-test", "same", "CHG-3: is test like prod?", "Compared with pay-prod / same; the answer is yes or no."),
    ]  # fmt: skip
    assert [row.request_id for row in rows] == logged


def test_neither_a_value_nor_the_answer_is_kept(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    ask(client, ids("same"), ids("differs"))

    stored = [table for table, rows in everything_stored() if "canary" in rows]
    assert (stored, "canary" in repr(cached()) + repr(dict(client.session.items()))) == ([], False)
    assert not [row for row in LedgerEntry.objects.values() if "Equal" in repr(row) or "equal" in repr(row)]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("a\r\nb", "a\r\nb", True),
        ("a\r\nb", "a\nb", False),
        ("x", "x\n", False),
        ("", "", True),
        ("\u00e9", "e\u0301", False),
        ("\ud800", "\ud800", True),
    ],
)
def test_values_are_compared_byte_for_byte(one: str, other: str, equal: bool) -> None:
    assert equality.same(SecretValue(one), SecretValue(other)) is equal


def test_what_cannot_be_read_is_not_known_and_the_others_are_answered(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    cloud.faults.set("pay-test", Fault("server", times=1, operations=frozenset({"SecretGet"})))

    page = text(ask(client_of(officer), ids("same"), ids("differs"), ids("off")))
    assert page.count("Not known") == 2
    assert "One of them is disabled" in page
    assert page.count("Different") == 1


def test_where_one_cannot_be_read_the_other_is_left_alone_and_the_ledger_says_so(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    cloud.faults.set("pay-prod", Fault("server", times=1, operations=frozenset({"SecretGet"})))
    ask(client_of(officer), ids("same"))

    outcomes = LedgerEntry.objects.exclude(phase="intent").order_by("seq")
    assert [(row.vault, row.phase, row.code) for row in outcomes] == [
        ("pay-prod", "failed", "server"), ("pay-test", "failed", "not-read"),
    ]  # fmt: skip
    assert [row for row in reads(cloud) if "pay-test" in row] == []


def test_two_names_are_not_compared_with_each_other(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    page = text(ask(client_of(officer), ids("same", "differs")))

    assert ("Only two secrets of one name are compared." in page, reads(cloud)) == (True, [])


@pytest.mark.parametrize(
    ("picked", "reason", "sentence"),
    [
        ([], "CHG-3", "Tick the secrets whose values are to be compared."),
        ([f"{n}-{n + 1}" for n in range(21)], "CHG-3", "Tick 20 secrets at most; these are 21."),
        (["1-2"], "", "Say why, in a few words"),
        (["guess-1"], "CHG-3", "This is not what the page offered."),
        (["99999999999999999999-1"], "CHG-3", "This is not what the page offered."),
        (["9999999-9999998"], "CHG-3", "One of these secrets is not there"),
    ],
)
def test_a_question_that_makes_no_sense_reads_nothing(
    picked: list[str], reason: str, sentence: str, cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    answer = ask(client_of(officer), *picked, reason=reason)

    assert (answer.status_code, sentence in text(answer), reads(cloud)) == (422, True, [])


def tag(answer: Any, *parts: str) -> str:
    """The first tag of the page in which all of these stand; "" for none."""
    return next((one for one in re.findall(r"<[^>]+>", answer.content.decode()) if all(x in one for x in parts)), "")


def box(pair: str) -> str:
    """What the pair's tick box says; the ids alone stand in paths of icons, too."""
    return f'value="{pair}"'


def test_a_question_that_is_not_answered_keeps_its_ticks_and_its_reason_with_the_error_at_its_place(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    client, same, differs = client_of(officer), ids("same"), ids("differs")
    short = client.post(f"{VALUES}&show=all", {"pick": [same], "reason": "x"})
    assert short.status_code == 422
    assert (" checked" in tag(short, box(same)), " checked" in tag(short, box(differs))) == (True, False)
    reason = tag(short, 'name="reason"')
    assert ('value="x"' in reason, 'aria-invalid="true"' in reason, " autofocus" in reason) == (True, True, True)
    assert '<span class="error" id="id_reason_error">Say why' in short.content.decode()

    none = client.post(f"{VALUES}&show=all", {"reason": "CHG-3"})
    assert (none.status_code, 'value="CHG-3"' in tag(none, 'name="reason"')) == (422, True)
    assert " autofocus" in tag(none, 'id="pick-error"')
    assert 'aria-describedby="pick-error"' in tag(none, box(same))


def test_a_refused_question_keeps_them_as_well_and_its_links_lead_to_the_comparison(
    cloud: Azure, officer: Person, client_of: ClientOf
) -> None:
    fill_the_hour(officer, 2 * equality.PER_HOUR)
    answer = client_of(officer).post(f"{VALUES}&show=all", {"pick": [ids("same")], "reason": "CHG-3"})

    assert (answer.status_code, " checked" in tag(answer, box(ids("same")))) == (429, True)
    assert 'value="CHG-3"' in tag(answer, 'name="reason"')
    assert re.findall(r'href="\?', answer.content.decode()) == []


def test_one_person_cannot_guess_for_long(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    fill_the_hour(officer, 2 * equality.PER_HOUR - 2)
    assert ask(client, ids("same")).status_code == 200

    answer = ask(client, ids("same"))
    assert (answer.status_code, len(reads(cloud)), "Nothing was compared" in text(answer)) == (429, 2, True)
    assert LedgerEntry.objects.get(phase="refused").code == "too-many"


def fill_the_hour(somebody: Person, many: int) -> None:
    for _ in range(many):
        ledger.begin(a.SECRET_COMPARE, factories.actor(somebody), ledger.NOTHING, reason="", move=ledger.NO_MOVE)


def test_a_get_asks_nothing(cloud: Azure, officer: Person, client_of: ClientOf) -> None:
    assert client_of(officer).get(VALUES).status_code == 405
