"""A lost session sends htmx to the sign-in page, and no answer about secrets is kept by a browser."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from audit import ledger
from vaults.models import Person

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def test_a_signed_out_page_is_redirected_to_the_sign_in_page(client: Client) -> None:
    response = client.get("/help/")

    assert (response.status_code, response["Location"]) == (302, "/sign-in/?next=/help/")


def test_signed_out_htmx_leaves_for_the_sign_in_page_and_comes_back_to_its_page(client: Client) -> None:
    page = "http://testserver/vaults/pay-prod/?q=db&page=2"

    response = client.get("/people/", headers=HTMX | {"HX-Current-URL": page})

    assert response.status_code == 200
    assert response["HX-Redirect"] == "/sign-in/?next=%2Fvaults%2Fpay-prod%2F%3Fq%3Ddb%26page%3D2"
    assert response.content == b""


@pytest.mark.parametrize("shown", ["https://evil.example/vaults/", "", "javascript:alert(1)"])
def test_signed_out_htmx_on_a_page_of_another_host_comes_back_to_home(client: Client, shown: str) -> None:
    response = client.get("/people/", headers=HTMX | {"HX-Current-URL": shown})

    assert response["HX-Redirect"] == "/sign-in/?next=%2F"


def test_another_redirect_of_htmx_is_left_alone(client: Client, secrets_user: Person) -> None:
    client.force_login(secrets_user)

    response = client.get("/help", headers=HTMX)

    assert (response.status_code, response["Location"]) == (301, "/help/")
    assert "HX-Redirect" not in response


@pytest.mark.parametrize("path", ["/sign-in/", "/help/", "/nothing-here/"])
def test_no_answer_may_be_stored(client: Client, reader: Person, path: str) -> None:
    client.force_login(reader)

    assert "no-store" in client.get(path)["Cache-Control"].split(", ")


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/vaults/no-such/", "There is nothing here that you may see."),
        ("/no-such-page/", "There is nothing here that you may see."),
        ("/vaults/?page=1000000000", "This list has no page 1000000000: it ends with page 1."),
    ],
)
def test_what_is_not_there_has_our_own_page_with_debug_too(
    client: Client, reader: Person, path: str, sentence: str, debug: bool, settings
) -> None:
    settings.DEBUG = debug
    client.force_login(reader)

    page, fragment = client.get(path), client.get(path, headers=HTMX)

    assert (page.status_code, fragment.status_code) == (404, 404)
    assert f'<p class="lead">{sentence}</p>' in page.content.decode()
    assert fragment.content.decode() == sentence


@pytest.mark.parametrize("debug", [False, True])
def test_a_ledger_that_cannot_be_written_has_our_own_page_with_debug_too(
    client: Client, reader: Person, debug: bool, settings
) -> None:
    settings.DEBUG = debug
    client.force_login(reader)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_ledgerentry RENAME TO elsewhere")

    answer = client.get("/roles/", headers=HTMX)

    assert (answer.status_code, answer.content.decode()) == (503, ledger.LedgerUnavailable.sentence)
