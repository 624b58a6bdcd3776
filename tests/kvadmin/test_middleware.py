"""A lost session sends htmx to the sign-in page, and no answer about secrets is kept by a browser."""

from __future__ import annotations

import pytest
from django.test import Client

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
