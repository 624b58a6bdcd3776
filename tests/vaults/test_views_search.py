"""The search page: what it shows, to whom, and what it says about what was searched."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from tests import factories
from vaults import search
from vaults.models import Person, Secret, SyncRun, Vault

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]


def text(client: Client, path: str, status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def pay(db: None) -> Vault:
    """A vault in the environment "prod" with one secret, db-password."""
    vault = factories.vault("pay-prod", health="ok", listed_at=timezone.now())
    factories.secret(vault, "db-password")
    return vault


def test_each_person_finds_what_their_roles_reach(
    pay: Vault, reader: Person, nobody: Person, client_of: ClientOf
) -> None:
    elsewhere = factories.person("bob", "reader", environment="test")
    found = text(client_of(reader), "/search/?q=password")
    assert '<a class="mono" href="/vaults/pay-prod/secrets/db-password/">db-password</a>' in found
    for person in (elsewhere, nobody):
        hidden = text(client_of(person), "/search/?q=password")
        assert (hidden.count("db-password<"), hidden.count("pay-prod"), "Nothing matches" in hidden) == (0, 0, True)


@pytest.mark.parametrize("count", [1, 3])
def test_a_search_takes_as_many_queries_for_three_matches_as_for_one(
    pay: Vault, reader: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for number in range(count):
        factories.secret(factories.vault(f"more-{number}"), "token")
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(9):  # type: ignore[attr-defined]
        page = text(client, "/search/?q=token")
    assert page.count('<th scope="row">') == count


def test_it_says_how_many_vaults_were_searched_and_which_failed(
    pay: Vault, reader: Person, client_of: ClientOf
) -> None:
    factories.vault("hr-prod", health="private-link", health_since=timezone.now())
    page = text(client_of(reader), "/search/?q=password")
    assert "Searched 1 of 2 vaults, as of <time" in page
    assert '1 failed: private link (<a href="/vaults/hr-prod/">hr-prod</a>)' in page


def test_it_says_what_it_did_not_search_and_what_may_be_missing(
    pay: Vault, reader: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.secret(factories.vault("gone", vanished_at=timezone.now()), "gone-password")
    SyncRun.objects.create(state="done", started_at=timezone.now(), note="Subscription 4711: Azure refused this.")
    elsewhere = factories.person("bob", "reader", environment="test")
    pages = [text(client_of(person), "/search/?q=password") for person in (reader, elsewhere, nobody)]
    assert ["1 vault no longer shown by Azure" in page for page in pages] == [True, False, False]
    assert ["Azure did not say in full which vaults there are: new" in page for page in pages] == [True, True, True]
    assert [word for word in ("gone-password", "4711") if any(word in page for page in pages)] == []


def test_a_vault_is_found_by_its_name(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    assert '<a href="/vaults/pay-prod/">pay-prod</a></p>' in text(client_of(reader), "/search/?q=pay-p")


def test_a_short_word_is_said_to_be_one(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/search/?q=db")
    assert "“db” is short, so only names that begin with it are found." in page
    assert page.count('<th scope="row">') == 1


def test_a_text_of_500_characters_is_refused_in_its_field_and_not_lost(
    pay: Vault, reader: Person, client_of: ClientOf
) -> None:
    page = text(client_of(reader), "/search/?q=" + "b" * 500, 422)
    assert "A search may have 200 characters; this one has 500." in page
    assert f'value="{"b" * 500}"' in page


def test_an_unknown_state_is_refused_in_its_field(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    assert "“is:new” is not known: use is:expired" in text(client_of(reader), "/search/?q=is:new", 422)


def test_markup_in_a_query_is_shown_as_text(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/search/?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert ("<script>alert" in page, "&lt;script&gt;alert(1)" in page) == (False, True)


def test_a_page_that_is_not_there_is_one_sentence(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    assert "There is no such page of this search." in text(client_of(reader), "/search/?q=db-p&after=10000", 404)


def test_more_matches_than_are_looked_at_are_said_to_be_more(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    rows = [Secret(vault=pay, key=f"token-{number}", name=f"token-{number}") for number in range(search.CAP + 1)]
    for row in rows:
        row.haystack = search.haystack(pay.name, row.key, "", {}, enabled=True, managed=False)
    Secret.objects.bulk_create(rows)
    page = text(client_of(reader), "/search/?q=token")
    assert f"These are the first {search.CAP} matches; there are more." in page
    assert page.count('<th scope="row">') == search.PAGE


def test_without_a_query_it_explains_itself(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/search/")
    assert '<dt class="mono">vault:pay-prod</dt>' in page
    assert "db-password<" not in page


def test_an_htmx_request_gets_the_results_alone(pay: Vault, reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), "/search/?q=db-p", **{"HX-Request": "true"})
    assert page.startswith('<section class="card" id="search-results"')
