"""A sign-in with Entra brings the token with which kvadmin acts on behalf of a person, where that is switched on."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.entra import CLIENT_ID, Entra, asked, begin, leads_to

pytestmark = pytest.mark.django_db
SCOPE = f"api://{CLIENT_ID}/user_impersonation"


@pytest.fixture
def on(entra: Entra, settings) -> Entra:
    settings.KVADMIN_ON_BEHALF_OF, settings.KVADMIN_ON_BEHALF_OF_SCOPE = "direct", SCOPE
    return entra


def token(client: Client) -> str:
    return str(client.session.get("own_token", {}).get("token", ""))


def test_the_sign_in_asks_for_kvadmins_own_scope_and_its_token_waits_in_the_session(on: Entra, client: Client) -> None:
    assert set(asked(begin(client))["scope"].split()) == {"openid", "profile", "email", SCOPE}

    on.sign_in(client)

    assert len(token(client)) > 20
    assert token(client) not in client.get("/help/").content.decode()


def test_signing_in_again_renews_the_token(on: Entra, client: Client) -> None:
    on.sign_in(client)
    before = token(client)

    client.get(on.answer(leads_to(client.post("/sign-in/again/", {"next": "/help/"}))))

    assert before not in {"", token(client)}


def test_switched_off_no_token_is_kept_and_no_scope_asked_for(entra: Entra, client: Client) -> None:
    assert set(asked(begin(client))["scope"].split()) == {"openid", "profile", "email"}

    entra.sign_in(client)

    assert "own_token" not in client.session
