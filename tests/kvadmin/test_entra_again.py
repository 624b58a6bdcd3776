"""Signing in again with Entra: kvadmin believes a fresh sign-in only when Entra says when it was, and for whom."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import entra as e
from tests import factories
from tests.entra import ADA, BOB, Entra
from vaults.models import Person, RoleAssignment, Secret

pytestmark = pytest.mark.django_db

AGAIN = "/sign-in/again/"
PAGE = "/vaults/pay-prod/secrets/db-password/"
HTMX = {"HX-Request": "true"}
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"


@pytest.fixture
def secret(azure: Azure) -> Secret:
    """A secret whose value asks for a sign-in within ten minutes, open to the group Readers."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "canary-fresh")
    readers = Group.objects.create(name="Readers")
    RoleAssignment.objects.create(group=readers, role="secrets-user", scope_kind="everything")
    factories.policy("direct", sign_in_minutes=10)
    return factories.secret(factories.vault("pay-prod"), "db-password")


def ago(minutes: float) -> int:
    return int(time.time() - minutes * 60)


def show(client: Client):
    return client.post(f"{PAGE}reveal/", {"reason": "INC-7: log in"}, headers=HTMX)


def again(entra: Entra, client: Client, who: str = ADA):
    """Press the button and go through the provider; the answer of kvadmin's callback."""
    return client.get(entra.answer(e.begin(client, PAGE, AGAIN), who))


def sentence(response) -> str:
    return str(response.context["refused"].sentence)


def test_a_sign_in_is_as_old_as_entra_says(client: Client, entra: Entra, secret: Secret) -> None:
    """Somebody who proved who they are this morning is let in without being asked. That is no fresh sign-in."""
    entra.person(auth_time=ago(120))
    entra.sign_in(client)

    stale = show(client)

    assert (stale.status_code, stale.json()["sign_in"]) == (401, f"{AGAIN}?{urlencode({'next': PAGE})}")
    assert LedgerEntry.objects.get(phase="refused").code == "stale-sign-in"


def test_a_sign_in_of_just_now_is_fresh(client: Client, entra: Entra, secret: Secret) -> None:
    entra.sign_in(client)

    assert show(client).json()["value"] == "canary-fresh"


@pytest.mark.parametrize("at", [None, "now", True, 1.5, "1767225600"])
def test_without_a_usable_auth_time_no_sign_in_is_fresh(
    client: Client, entra: Entra, secret: Secret, at: object
) -> None:
    entra.person(auth_time=at)
    entra.sign_in(client)

    assert show(client).status_code == 401
    assert "signed_in_at" not in client.session


def test_it_asks_entra_to_ask_the_person_anew(client: Client, entra: Entra) -> None:
    entra.person(login_hint="O.opaque-hint")
    entra.sign_in(client)

    page = client.get(AGAIN, {"next": PAGE}).content.decode()
    sent = e.asked(e.begin(client, PAGE, AGAIN))

    assert "Sign in again with Microsoft" in page
    assert 'type="password"' not in page
    assert (sent["prompt"], sent["max_age"], sent["login_hint"]) == ("login", "0", "O.opaque-hint")
    assert "claims" not in sent


def test_looking_asks_nobody_anything(client: Client, entra: Entra) -> None:
    entra.sign_in(client)

    client.get(AGAIN)

    assert client.session["socialaccount_states"] == {}


def test_after_it_the_value_is_shown_and_what_was_typed_is_still_there(
    client: Client, entra: Entra, secret: Secret
) -> None:
    entra.person(auth_time=ago(120))
    entra.sign_in(client)
    show(client)
    entra.person()

    response = again(entra, client)

    assert response["Location"] == PAGE
    assert "INC-7: log in" in client.get(PAGE).content.decode()
    assert show(client).json()["value"] == "canary-fresh"


@pytest.mark.parametrize("minutes", [1.5, 11, 600])
def test_a_stale_auth_time_is_refused_and_makes_nothing_fresh(
    client: Client, entra: Entra, secret: Secret, minutes: float
) -> None:
    """A provider that ignores prompt=login answers with the old sign-in."""
    entra.person(auth_time=ago(120))
    entra.sign_in(client)
    entra.person(auth_time=ago(minutes))

    response = again(entra, client)

    assert sentence(response) == (
        "Microsoft did not ask you to prove anew who you are, so this sign-in does not count as fresh."
    )
    assert client.session["signed_in_at"] == pytest.approx(ago(120), abs=60)
    assert show(client).status_code == 401


def test_an_auth_time_that_is_missing_is_refused_with_what_to_do(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    entra.person(auth_time=None)

    response = again(entra, client)

    assert sentence(response).startswith("Microsoft did not tell when you proved who you are")
    assert "optional claim auth_time" in response.content.decode()


def test_an_auth_time_of_tomorrow_is_refused(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    entra.person(auth_time=int(time.time()) + 86_400)

    assert again(entra, client).status_code == 403


def test_somebody_else_cannot_make_it_fresh(client: Client, entra: Entra, secret: Secret) -> None:
    entra.person(auth_time=ago(120))
    entra.sign_in(client)
    before = dict(client.session)
    entra.person(BOB, name="Bob Byrd", preferred_username="bob@contoso.example")

    response = again(entra, client, BOB)

    assert sentence(response) == "At Microsoft somebody else is signed in than Ada Lovelace, whose session this is."
    assert client.session["_auth_user_id"] == before["_auth_user_id"]
    assert client.session["signed_in_at"] == before["signed_in_at"]
    assert not Person.objects.filter(object_id=BOB).exists()


def test_an_answer_counts_in_the_session_that_asked_only(entra: Entra, secret: Secret) -> None:
    mine, other = Client(), Client()
    entra.person(auth_time=ago(120))
    entra.sign_in(mine)
    entra.sign_in(other)
    entra.person()

    response = other.get(entra.answer(e.begin(mine, PAGE, AGAIN)))

    assert response["Location"] == "/"
    assert show(other).status_code == 401


def test_an_answer_does_not_count_for_whoever_signed_in_meanwhile(client: Client, entra: Entra) -> None:
    entra.person(BOB, name="Bob Byrd", preferred_username="bob@contoso.example", auth_time=ago(120))
    entra.sign_in(client)
    answer = entra.answer(e.begin(client, PAGE, AGAIN))
    entra.sign_in(client, BOB)

    assert client.get(answer)["Location"] == "/"
    assert client.session["signed_in_at"] == pytest.approx(ago(120), abs=60)


def test_it_learns_of_lost_groups_as_a_sign_in_does(client: Client, entra: Entra, secret: Secret) -> None:
    entra.sign_in(client)
    entra.person(roles=["Kv.Admins"])

    again(entra, client)

    assert [group.name for group in Person.objects.get().groups.all()] == ["Platform"]
    assert show(client).status_code == 404


def test_who_lost_every_role_is_signed_out_by_it(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    entra.person(roles=[])

    assert again(entra, client).status_code == 403
    assert "_auth_user_id" not in client.session


# --- An authentication context of Conditional Access -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("acrs", "status"), [(["c1"], 302), (["p1", "c1"], 302), ("c1", 302), (["c2"], 403), ([], 403)]
)
def test_an_authentication_context_is_asked_for_and_checked(
    client: Client, entra: Entra, settings, acrs: object, status: int
) -> None:
    settings.KVADMIN_OIDC_AUTH_CONTEXT = "c1"
    entra.sign_in(client)
    entra.person(acrs=acrs)

    asked = e.begin(client, PAGE, AGAIN)

    assert json.loads(e.asked(asked)["claims"]) == {"id_token": {"acrs": {"essential": True, "value": "c1"}}}
    assert client.get(entra.answer(asked)).status_code == status


def test_a_sign_in_of_just_now_without_that_context_is_not_fresh(
    client: Client, entra: Entra, secret: Secret, settings
) -> None:
    settings.KVADMIN_OIDC_AUTH_CONTEXT = "c1"
    entra.sign_in(client)

    assert show(client).status_code == 401
    entra.person(acrs=["c1"])
    again(entra, client)
    assert show(client).json()["value"] == "canary-fresh"


# --- Who has a password here -----------------------------------------------------------------------------------------


def test_a_local_account_is_still_asked_for_its_password(client: Client, entra: Entra, reader: Person) -> None:
    client.force_login(reader)

    page = client.get(AGAIN).content.decode()

    assert 'type="password"' in page
    assert "with Microsoft" not in page
    assert client.post(AGAIN, {"password": "pw", "next": "/help/"})["Location"] == "/help/"


def test_a_password_does_not_make_a_session_of_entra_fresh(client: Client, entra: Entra, secret: Secret) -> None:
    entra.person(auth_time=ago(120))
    entra.sign_in(client)
    Person.objects.get().set_password("pw")

    client.post(AGAIN, {"password": "pw", "next": PAGE})

    assert show(client).status_code == 401


def test_a_sign_in_again_that_takes_too_long_is_refused(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    before = client.session["signed_in_at"]
    asked = e.begin(client, PAGE, AGAIN)

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        home = client.get(entra.answer(asked), follow=True).content.decode()

    assert "Microsoft&#x27;s answer came late, or twice, so nothing was done with it." in home
    assert client.session["signed_in_at"] == before
