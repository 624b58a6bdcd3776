"""Search: what a query finds, in which order, for whom, and that no input can break it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import factories
from vaults import policy, search
from vaults.models import Secret

if TYPE_CHECKING:
    from vaults.models import Person, Vault

pytestmark = pytest.mark.django_db


def names(text: str) -> list[str]:
    return [secret.name for secret in search.find(Secret.objects.all(), search.parse(text)).secrets]


@pytest.fixture
def pay() -> Vault:
    return factories.vault("pay-prod")


def test_a_word_is_found_anywhere_in_a_name_in_any_case(pay: Vault) -> None:
    factories.secret(pay, "Primary-DB-Password")
    factories.secret(pay, "smtp-host")
    assert names("b-PASS") == ["Primary-DB-Password"]


def test_a_secret_is_found_by_tag_by_content_type_and_by_vault(pay: Vault) -> None:
    factories.secret(pay, "one", tags={"Team": "Blue Whale"}, content_type="application/json")
    factories.secret(factories.vault("hr-test"), "two")
    assert names("whale") == names("application/j") == names("pay-prod") == ["one"]


def test_all_words_must_occur(pay: Vault) -> None:
    factories.secret(pay, "db-password")
    factories.secret(pay, "db-user")
    assert names("password pay-prod") == ["db-password"]
    assert names("password user") == []


def test_qualifiers_look_at_the_start_of_their_field_only(pay: Vault) -> None:
    factories.secret(pay, "hr-key", tags={"team": "pay"}, content_type="text/plain")
    factories.secret(factories.vault("hr-test"), "pay-key", tags={"note": "team=pay"})
    assert names("vault:pay") == ["hr-key"]
    assert names("name:pay") == ["pay-key"]
    assert names("tag:team=pay") == ["hr-key"]
    assert names("type:text") == ["hr-key"]


def test_quotes_hold_a_text_with_spaces_together(pay: Vault) -> None:
    factories.secret(pay, "one", tags={"owner": "jane doe"})
    factories.secret(pay, "two", tags={"owner": "doe jane"})
    assert names('tag:owner="jane d"') == names('"jane doe"') == ["one"]


def test_states_can_be_asked_for(pay: Vault) -> None:
    now = timezone.now()
    factories.secret(pay, "gone", expires_on=now - timedelta(days=1))
    factories.secret(pay, "going", expires_on=now + timedelta(days=1))
    factories.secret(pay, "off", enabled=False)
    factories.secret(pay, "certificate", managed=True)
    assert names("is:expired") == ["gone"]
    assert names("is:expiring") == ["going"]
    assert names("is:disabled") == ["off"]
    assert names("is:managed") == ["certificate"]
    assert names("is:expired going") == []


def test_an_unknown_state_is_one_sentence() -> None:
    with pytest.raises(search.BadQuery, match=r"^“is:new” is not known: use is:expired, "):
        search.parse("is:new")


def test_a_short_word_finds_names_that_begin_with_it_and_says_so(pay: Vault) -> None:
    factories.secret(pay, "db-user")
    factories.secret(pay, "my-db")
    assert names("db") == ["db-user"]
    assert names("d") == ["db-user"]
    assert search.parse("db").short == "db"


def test_a_short_word_beside_a_long_one_is_looked_for_anywhere(pay: Vault) -> None:
    factories.secret(pay, "my-db-password")
    factories.secret(pay, "my-password")
    assert names("password db") == ["my-db-password"]


def test_the_equal_name_comes_first_then_names_that_begin_so(pay: Vault) -> None:
    for name in ("a-token", "token", "token-b"):
        factories.secret(pay, name)
    assert names("token") == ["token", "token-b", "a-token"]


def test_an_equal_name_is_found_among_more_matches_than_are_looked_at(pay: Vault) -> None:
    rows = [Secret(vault=pay, key=f"x-token-{n}", name=f"x-token-{n}") for n in range(search.CAP + 5)]
    rows.append(Secret(vault=pay, key="token", name="token"))
    for row in rows:
        row.haystack = search.haystack(pay.name, row.key, "", {}, enabled=True, managed=False)
    Secret.objects.bulk_create(rows)
    found = search.find(Secret.objects.all(), search.parse("token"))
    assert (found.secrets[0].name, found.total, found.more) == ("token", search.CAP, True)


def test_pages_follow_each_other_without_a_gap(pay: Vault) -> None:
    for number in range(5):
        factories.secret(pay, f"key-{number}")
    query, seen, after = search.parse("key"), [], ""
    for _ in range(3):
        found = search.find(Secret.objects.all(), query, after=after, size=2)
        seen += [secret.name for secret in found.secrets]
        after = found.after
    assert (seen, after) == ([f"key-{number}" for number in range(5)], "")


@pytest.mark.parametrize("after", ["x", "9.a.1", "1..1", "1.a.1;", "0.a." + "9" * 40])
def test_a_cursor_of_somebody_elses_making_is_refused(after: str) -> None:
    with pytest.raises(search.BadQuery, match=r"^There is no such page of this search.$"):
        search.find(Secret.objects.all(), search.parse("key"), after=after)


def test_a_vanished_secret_is_not_found(pay: Vault) -> None:
    factories.secret(pay, "old-key", vanished_at=timezone.now())
    assert names("old-key") == []


def test_the_index_follows_every_change_of_a_row(pay: Vault) -> None:
    item = factories.secret(pay, "first-name")
    item.haystack = search.haystack(pay.name, "second-name", "", {}, enabled=True, managed=False)
    item.save()
    assert (names("first-name"), names("second-name")) == ([], ["first-name"])
    item.delete()
    assert names("second-name") == []


def test_only_what_the_person_may_see_is_found_and_counted(pay: Vault) -> None:
    factories.secret(pay, "db-password")
    factories.secret(pay, "app-password")
    hidden = factories.secret(factories.vault("hr-prod", environment="hr"), "hr-password")
    people: dict[str, Person] = {
        "db": factories.person("db", "reader", vault=pay, prefix="db-"),
        "hr": factories.person("hr", "reader", environment="hr"),
        "none": factories.person("none"),
    }
    found = {
        who: search.find(policy.visible_secrets(person), search.parse("password")) for who, person in people.items()
    }
    assert [item.key for item in found["db"].secrets] == ["db-password"]
    assert found["hr"].secrets == [hidden]
    assert (found["none"].secrets, found["none"].total) == ([], 0)
    assert found["db"].total == 1


@pytest.mark.parametrize(
    "text",
    ["'", '"', '""', "*", "a* OR b*", "NEAR(a b)", "-abc", "^abc", "haystack:abc", "%", "_", "\\", "abc\\", "%abc_",
     "{abc}:def", "abc AND", "(abc", "a" * 200, "ß€漢字かな", "\x00abc", "ab\x00\x01", ":", "tag:", "is", '"abc'],
)  # fmt: skip
def test_no_text_breaks_the_search(pay: Vault, text: str) -> None:
    factories.secret(pay, "smtp-host")
    assert names(text) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(max_size=200))
def test_every_text_is_answered_or_refused(text: str) -> None:
    try:
        query = search.parse(text)
    except search.BadQuery:
        query = search.Query()
    assert search.find(Secret.objects.all(), query).secrets == []


def test_percent_and_underscore_mean_themselves(pay: Vault) -> None:
    factories.secret(pay, "one", tags={"discount": "50%_off"})
    factories.secret(pay, "two", tags={"discount": "50 off"})
    assert names("50%_off") == ["one"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_search_takes_two_queries_however_much_it_finds(
    pay: Vault, count: int, django_assert_num_queries: object
) -> None:
    for number in range(count):
        factories.secret(pay, f"key-{number}")
    with django_assert_num_queries(2):  # type: ignore[operator]
        found = search.find(Secret.objects.all(), search.parse("key"))
        assert [str(secret.vault) for secret in found.secrets] == ["pay-prod"] * count


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL keeps its own index in step")
def test_the_triggers_that_keep_the_index_in_step_survived_every_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'vaults_secret'")
        found = {row[0] for row in cursor.fetchall()}
    assert found >= {f"vaults_secret_search_{act}" for act in ("insert", "update", "delete")}
