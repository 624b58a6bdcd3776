"""The board: which vaults have which warnings, for those who may see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from tests import factories
from vaults.models import Person, Vault, VaultWarning

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]


def text(client: Client, path: str = "/warnings/", status: int = 200, **headers: str) -> str:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    return response.content.decode()


def warned(name: str, code: str = "no-logs", level: str = "warning", **fields: str) -> Vault:
    """A vault for which one rule rings."""
    vault = factories.vault(name, **fields)
    factories.detail(vault)
    VaultWarning.objects.create(
        vault=vault, code=code, level=level, sentence=f"{code} rings at {name}.", since=timezone.now()
    )
    return vault


@pytest.fixture
def bob(db: None) -> Person:
    """A reader of the environment "test" only."""
    return factories.person("bob", "reader", environment="test")


def test_each_person_sees_the_warnings_of_the_vaults_that_their_roles_reach(
    reader: Person, bob: Person, nobody: Person, client_of: ClientOf
) -> None:
    warned("pay-prod")
    warned("pay-test", environment="test")
    seen = {person.username: text(client_of(person)) for person in (reader, bob)}

    assert [sentence in seen["reader"] for sentence in ("rings at pay-prod.", "rings at pay-test.")] == [True, True]
    assert [sentence in seen["bob"] for sentence in ("rings at pay-prod.", "rings at pay-test.")] == [False, True]
    assert "rings at" not in text(client_of(nobody), status=403)


def test_figures_and_choices_do_not_tell_of_vaults_elsewhere(bob: Person, client_of: ClientOf) -> None:
    warned("hidden", level="serious", environment="top-secret")
    page = client_of(bob).get("/warnings/")

    assert [number for *_, number in page.context["counts"]] == [0, 0, 0]
    assert page.content.decode().count("top-secret") == 0


def test_the_loudest_come_first(reader: Person, client_of: ClientOf) -> None:
    warned("a-note", level="note")
    warned("b-warning")
    warned("c-serious", level="serious")
    page = client_of(reader).get("/warnings/")

    assert [vault.name for vault in page.context["page"]] == ["c-serious", "b-warning", "a-note"]
    assert [number for *_, number in page.context["counts"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["hr-prod", "pay-prod", "pay-test"]),
        ("level=serious", ["hr-prod"]),
        ("kind=open-network", ["pay-test"]),
        ("environment=test", ["pay-test"]),
        ("q=PAY", ["pay-prod", "pay-test"]),
        ("level=serious&q=pay", []),
    ],
)
def test_the_board_can_be_filtered_by_address(
    reader: Person, client_of: ClientOf, query: str, names: list[str]
) -> None:
    warned("pay-prod")
    warned("pay-test", "open-network", environment="test")
    warned("hr-prod", "no-soft-delete", "serious")
    factories.detail(factories.vault("well"))

    assert [vault.name for vault in client_of(reader).get(f"/warnings/?{query}").context["page"]] == names


def test_a_filter_leaves_only_the_warnings_that_it_asks_for(reader: Person, client_of: ClientOf) -> None:
    vault = warned("pay-prod")
    VaultWarning.objects.create(vault=vault, code="open-network", level="note", sentence="Open.", since=timezone.now())
    page = text(client_of(reader), "/warnings/?kind=open-network")

    assert (page.count("Open."), page.count("no-logs rings")) == (1, 0)


@pytest.mark.parametrize("count", [1, 3])
def test_three_vaults_take_as_many_queries_as_one(
    reader: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for number in range(count):
        warned(f"pay-{number}")
    client = client_of(reader)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(10):  # type: ignore[attr-defined]
        page = text(client)
    assert page.count('<th scope="row">') == count


@pytest.mark.parametrize("path", ["/warnings/", "/vaults/", "/requests/", "/deleted/"])
def test_a_list_that_is_filtered_has_a_way_back_to_the_whole(path: str, reader: Person, client_of: ClientOf) -> None:
    factories.vault("pay-prod")
    client = client_of(reader)
    assert ["</svg>Clear</a>" in text(client, found) for found in (path, f"{path}?q=zzz")] == [False, True]


def test_vaults_that_could_not_be_looked_at_are_said_to_be_missing(reader: Person, client_of: ClientOf) -> None:
    warned("pay-prod")
    factories.vault("hidden", resource_id="")
    page = text(client_of(reader))

    assert "1 of 2 vaults looked at: Azure Resource Manager does not show the rest" in page


def test_vaults_whose_readers_are_not_known_are_counted(reader: Person, client_of: ClientOf) -> None:
    warned("pay-prod").detail.delete()
    factories.detail(Vault.objects.get(), access_state="denied")
    assert "In 1 of these, who can read is not known" in text(client_of(reader))


def test_a_vault_that_is_gone_has_no_place_on_the_board(reader: Person, client_of: ClientOf) -> None:
    warned("pay-prod", vanished_at=timezone.now())  # type: ignore[arg-type]
    assert "rings at" not in text(client_of(reader))


def test_nothing_amiss_and_nothing_looked_at_are_two_things(reader: Person, client_of: ClientOf) -> None:
    before = text(client_of(reader))
    factories.detail(factories.vault("well"))

    assert ("No vault looked at" in before, "No warning" in text(client_of(reader))) == (True, True)


def test_an_unknown_choice_is_refused_in_its_field(reader: Person, client_of: ClientOf) -> None:
    assert "Select a valid choice. x is not one of" in text(client_of(reader), "/warnings/?kind=x", 422)


def test_an_htmx_request_gets_the_table_alone(reader: Person, client_of: ClientOf) -> None:
    page = text(client_of(reader), **{"HX-Request": "true"})
    assert page.startswith('<section class="card" id="warnings-table"')


def test_a_vault_may_be_called_warnings_or_access(reader: Person, client_of: ClientOf) -> None:
    for name in ("warnings", "access"):
        factories.vault(name)
        assert f"<h1>{name} " in text(client_of(reader), f"/vaults/{name}/")
        assert f"Who can read in {name}" in text(client_of(reader), f"/vaults/{name}/access/")
