"""Microsoft's own library gets a token on behalf of a person, and Entra's refusals where it would."""

from __future__ import annotations

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientAssertionCredential, OnBehalfOfCredential

from kvadmin.emulator.identities import Identity, from_token
from kvadmin.emulator.state import Azure

APP = "33333333-3333-4333-8333-333333333333"
ADA = Identity("person", "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", APP, upn="ada@contoso.example")
VAULTS = "https://vault.azure.net/.default"


@pytest.fixture(autouse=True)
def _registered(cloud: Azure) -> None:
    cloud.apps[APP] = "app-secret"


def ask(cloud: Azure, session: requests.Session, assertion: str, *, app: str = APP, secret: str = "app-secret") -> str:  # noqa: S107
    """The token that the SDK gets; its Entra is the emulator."""
    credential = OnBehalfOfCredential(
        cloud.tenant_id,
        app,
        client_secret=secret,
        user_assertion=assertion,
        transport=RequestsTransport(session=session, session_owner=False),
    )
    return credential.get_token(VAULTS).token


def refused(cloud: Azure, session: requests.Session, assertion: str, **options: str) -> int:
    with pytest.raises(ClientAuthenticationError) as caught:
        ask(cloud, session, assertion, **options)
    return int(caught.value.response.json()["error_codes"][0])


def test_a_token_names_the_person_and_the_app_that_acts_for_them(cloud: Azure, session: requests.Session) -> None:
    token = from_token(ask(cloud, session, ADA.token(f"api://{APP}")))

    assert (token.kind, token.object_id, token.app_id, token.upn) == ("person", ADA.object_id, APP, ADA.upn)


def test_the_apps_id_alone_is_an_audience_too(cloud: Azure, session: requests.Session) -> None:
    assert from_token(ask(cloud, session, ADA.token(APP))).object_id == ADA.object_id


@pytest.mark.parametrize(
    ("assertion", "options", "number"),
    [
        ("no token", {}, 50013),
        (ADA.token("https://vault.azure.net"), {}, 500131),
        (ADA.token(f"api://{APP}"), {"secret": "wrong"}, 7000215),
        (ADA.token(f"api://{APP}"), {"app": "99999999-3333-4333-8333-333333333333"}, 700016),
    ],
)
def test_what_does_not_fit_is_refused_by_its_number(
    cloud: Azure, session: requests.Session, assertion: str, options: dict[str, str], number: int
) -> None:
    assert refused(cloud, session, assertion, **options) == number


def test_whoever_has_to_prove_more_is_sent_back(cloud: Azure, session: requests.Session) -> None:
    cloud.must_sign_in.add(ADA.object_id)

    assert refused(cloud, session, ADA.token(f"api://{APP}")) == 50076


def by_assertion(cloud: Azure, session: requests.Session) -> str:
    transport = RequestsTransport(session=session, session_owner=False)
    return ClientAssertionCredential(cloud.tenant_id, APP, lambda: "token", transport=transport).get_token(VAULTS).token


def test_an_app_gets_a_token_of_its_own(cloud: Azure, session: requests.Session) -> None:
    token = from_token(by_assertion(cloud, session))

    assert (token.kind, token.app_id) == ("app", APP)


def test_an_app_that_trusts_no_identity_gets_none(cloud: Azure, session: requests.Session) -> None:
    cloud.distrusting_apps.add(APP)

    with pytest.raises(ClientAuthenticationError, match="AADSTS700213"):
        by_assertion(cloud, session)
