"""An act may ask for a fresh sign-in: then the person gives their own password again, and loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry, LedgerHead
from kvadmin.emulator.state import Azure
from tests import factories
from vaults.models import Person, RevealRequest, Secret

pytestmark = pytest.mark.django_db

PAGE = "/vaults/pay-prod/secrets/db-password/"
REVEAL = f"{PAGE}reveal/"
AGAIN = "/sign-in/again/"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
HTMX = {"HX-Request": "true"}
ClientOf = Callable[[Person], Client]


def age(client: Client, minutes: float) -> None:
    """Let this browser's sign-in be so old."""
    session = client.session
    session["signed_in_at"] = (timezone.now() - timedelta(minutes=minutes)).timestamp()
    session.save()


@pytest.fixture
def secret(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "canary-fresh")
    return factories.secret(factories.vault("pay-prod"), "db-password")


def show(client: Client):
    return client.post(REVEAL, {"reason": "INC-7: log in"}, headers=HTMX)


# --- The reveal ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("minutes", "status"), [(9.9, 200), (10.1, 401)])
def test_the_policy_says_how_old_the_sign_in_may_be(
    minutes: float, status: int, secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy("direct", sign_in_minutes=10)
    client = client_of(secrets_user)
    age(client, minutes)

    assert show(client).status_code == status


def test_a_stale_reveal_is_a_sentence_with_the_way_back_and_on_record(
    azure: Azure, secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy("direct", sign_in_minutes=10)
    client = client_of(secrets_user)
    age(client, 11)

    answer = show(client)

    assert answer.json() == {
        "error": "Sign in again: this asks for a sign-in within the last 10 minutes.",
        "advice": "",
        "field": "",
        "sign_in": f"{AGAIN}?next={PAGE.replace('/', '%2F')}",
    }
    assert [(entry.phase, entry.code) for entry in LedgerEntry.objects.all()] == [("refused", "stale-sign-in")]
    assert [row for row in azure.log if row.operation == "SecretGet"] == []


def test_without_a_rule_any_sign_in_will_do(secret: Secret, secrets_user: Person, client_of: ClientOf) -> None:
    factories.policy("direct")
    client = client_of(secrets_user)
    age(client, 700)

    assert show(client).json()["value"] == "canary-fresh"


@pytest.mark.parametrize("forged", [None, "now", -1.0, 9e18])
def test_a_session_without_a_usable_time_is_stale(
    forged: object, secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy("direct", sign_in_minutes=10)
    client = client_of(secrets_user)
    session = client.session
    session["signed_in_at"] = forged
    session.save()

    assert show(client).status_code == 401


def test_a_clock_that_is_set_back_makes_no_sign_in_fresh(
    secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    """The ledger knows a later moment than the clock does."""
    factories.policy("direct", sign_in_minutes=10)
    client = client_of(secrets_user)
    LedgerHead.objects.update_or_create(pk=1, defaults={"at": timezone.now() + timedelta(minutes=11)})

    assert show(client).status_code == 401


# --- The vote --------------------------------------------------------------------------------------------------------
@pytest.fixture
def asked(secret: Secret, approver: Person) -> RevealRequest:
    factories.policy("approval", sign_in_minutes=10)
    return factories.ask(factories.person("dev", "reader"), secret)


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_a_stale_vote_leads_to_signing_in_and_the_comment_waits(
    verb: str, asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    client, path = client_of(approver), f"/requests/{asked.pk}/"
    age(client, 11)

    answer = client.post(f"{path}{verb}/", {"seen": asked.asked_hash, "comment": "a long comment"})
    back = client.post(AGAIN, {"password": "pw", "next": path}, follow=True).content.decode()

    assert answer["Location"] == f"{AGAIN}?next={path.replace('/', '%2F')}"
    assert "a long comment" in back
    assert RevealRequest.objects.get().state == "pending"
    assert LedgerEntry.objects.get(phase="refused").request == asked.pk


def test_taking_back_and_withdrawing_never_wait_for_a_sign_in(asked: RevealRequest, client_of: ClientOf) -> None:
    client = client_of(asked.requester)
    age(client, 600)

    assert client.post(f"/requests/{asked.pk}/withdraw/")["Location"] == f"/requests/{asked.pk}/"
    assert RevealRequest.objects.get().state == "withdrawn"


def test_for_several_at_once_the_strictest_policy_counts(
    asked: RevealRequest, approver: Person, client_of: ClientOf
) -> None:
    client = client_of(approver)
    age(client, 11)

    answer = client.post("/requests/approve/", {"pick": str(asked.pk), f"seen-{asked.pk}": asked.asked_hash})

    assert answer["Location"] == f"{AGAIN}?next=%2Frequests%2F"
    assert asked.votes.count() == 0


# --- Signing in again ------------------------------------------------------------------------------------------------
def test_it_asks_for_the_password_of_the_same_person_and_leads_back(
    secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy("direct", sign_in_minutes=10)
    client = client_of(secrets_user)
    age(client, 11)

    page = client.get(AGAIN, {"next": PAGE}).content.decode()
    answer = client.post(AGAIN, {"password": "pw", "next": PAGE})

    assert f'<input type="hidden" name="next" value="{PAGE}">' in page
    assert 'name="username"' not in page
    assert answer["Location"] == PAGE
    assert show(client).status_code == 200


def test_another_account_is_refused(secrets_user: Person, client_of: ClientOf) -> None:
    Person.objects.create_user("eve", password="eves-own")
    client = client_of(secrets_user)
    age(client, 11)
    before = client.session["signed_in_at"]

    answer = client.post(AGAIN, {"username": "eve", "password": "eves-own", "next": "/"})

    assert answer.status_code == 422
    assert client.session["_auth_user_id"] == str(secrets_user.pk)
    assert client.session["signed_in_at"] == before


def test_it_is_slowed_down_as_signing_in_is(secrets_user: Person, client_of: ClientOf) -> None:
    client = client_of(secrets_user)

    statuses = [client.post(AGAIN, {"password": "wrong", "next": "/"}).status_code for _ in range(5)]

    assert statuses == [422] * 5
    assert client.post(AGAIN, {"password": "pw", "next": "/"}).status_code == 422


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "", "\x00"]
)
def test_a_target_on_another_host_leads_home(target: str, secrets_user: Person, client_of: ClientOf) -> None:
    assert client_of(secrets_user).post(AGAIN, {"password": "pw", "next": target})["Location"] == "/"


def test_a_hostile_target_stays_text(secrets_user: Person, client_of: ClientOf) -> None:
    page = client_of(secrets_user).get(AGAIN, {"next": '"><script>alert(1)</script>'}).content.decode()

    assert "<script>alert(1)" not in page


def test_a_stranger_is_sent_to_the_first_sign_in(client: Client, db: None) -> None:
    assert client.get(AGAIN)["Location"].startswith("/sign-in/?next=")


def test_looking_makes_no_sign_in_fresh(secrets_user: Person, client_of: ClientOf) -> None:
    client = client_of(secrets_user)
    age(client, 11)
    before = client.session["signed_in_at"]

    client.get(AGAIN, {"password": "pw"})

    assert client.session["signed_in_at"] == before
