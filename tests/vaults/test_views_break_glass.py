"""Break-glass from its page to its review: for named holders, freshly signed in, in the open."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults.test_step_up import age
from vaults import break_glass, requests
from vaults.models import Person, RevealRequest, Secret

pytestmark = pytest.mark.django_db

PAGE = "/vaults/pay-prod/secrets/db-password/"
GLASS = f"{PAGE}break-glass/"
TYPED = {"reason": "payments are down", "ticket": "INC-9"}
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
ClientOf = Callable[[Person], Client]


@pytest.fixture
def secret(azure: Azure) -> Secret:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "canary-glass")
    factories.policy("approval", break_glass=True, break_glass_minutes=15)
    return factories.secret(factories.vault("pay-prod"), "db-password")


def test_the_holder_is_warned_breaks_it_and_sees_the_value_at_once(
    secret: Secret, oncall: Person, approver: Person, client_of: ClientOf
) -> None:
    client = client_of(oncall)

    assert f'href="{GLASS}"' in client.get(PAGE).content.decode()
    warned = client.get(GLASS).content.decode()
    assert "You can show this one value for 15 minutes" in warned
    assert "1 approver is told at once" in warned
    assert client.post(GLASS, TYPED)["Location"] == PAGE
    assert "The glass is broken" in client.get(PAGE).content.decode()
    shown = client.post(f"{PAGE}reveal/", headers={"HX-Request": "true"})
    assert shown.json()["value"] == "canary-glass"


@pytest.mark.parametrize(("role", "status"), [("reader", 403), ("approver", 403), ("administrator", 404), ("", 404)])
def test_nobody_else_gets_the_page_or_the_value(
    role: str, status: int, secret: Secret, approver: Person, client_of: ClientOf
) -> None:
    client = client_of(factories.person("eve", role))

    assert [client.get(GLASS).status_code, client.post(GLASS, TYPED).status_code] == [status, status]
    assert RevealRequest.objects.count() == 0
    assert f'href="{GLASS}"' not in client.get(PAGE).content.decode()


def test_a_holder_elsewhere_is_no_holder_here(secret: Secret, approver: Person, client_of: ClientOf) -> None:
    elsewhere = factories.person("eve", "break-glass-holder", environment="dev")
    factories.assign(elsewhere, "reader")

    assert client_of(elsewhere).post(GLASS, TYPED).status_code == 403
    assert LedgerEntry.objects.get().code == "no-role-here"


def test_looking_breaks_nothing(secret: Secret, oncall: Person, approver: Person, client_of: ClientOf) -> None:
    client = client_of(oncall)

    client.get(GLASS, TYPED)

    assert client.head(GLASS).status_code == 405
    assert (RevealRequest.objects.count(), LedgerEntry.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"ticket": ""}, "An emergency has a ticket."),
        ({"reason": ""}, "Say why you need the value: every approver reads it."),
    ],
)
def test_a_refusal_loses_nothing(
    typed: dict[str, str], sentence: str, secret: Secret, oncall: Person, approver: Person, client_of: ClientOf
) -> None:
    answer = client_of(oncall).post(GLASS, TYPED | typed)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert (TYPED | typed)["reason"] in page
    assert RevealRequest.objects.count() == 0


def test_until_the_last_one_is_reviewed_the_page_says_why_there_is_no_other(
    secret: Secret, oncall: Person, approver: Person, client_of: ClientOf
) -> None:
    break_glass.break_glass(oncall, factories.actor(oncall), secret, **TYPED)
    other = factories.secret(secret.vault, "api-key")
    path = f"/vaults/pay-prod/secrets/{other.name}/break-glass/"

    answers = [client_of(oncall).get(path), client_of(oncall).post(path, TYPED)]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert all("Your last break-glass has not been reviewed yet" in answer.content.decode() for answer in answers)
    assert "payments are down" in answers[1].content.decode()


@pytest.mark.parametrize(("minutes", "fresh"), [(4, True), (6, False)])
def test_the_sign_in_is_at_most_five_minutes_old(
    minutes: int, fresh: bool, secret: Secret, oncall: Person, approver: Person, client_of: ClientOf
) -> None:
    client = client_of(oncall)
    age(client, minutes)

    answer = client.post(GLASS, TYPED)

    assert answer["Location"] == (PAGE if fresh else f"/sign-in/again/?next={GLASS.replace('/', '%2F')}")
    assert RevealRequest.objects.count() == fresh


def test_after_signing_in_again_the_form_holds_what_was_typed(
    secret: Secret, oncall: Person, approver: Person, client_of: ClientOf
) -> None:
    client = client_of(oncall)
    age(client, 6)

    client.post(GLASS, TYPED)
    back = client.post("/sign-in/again/", {"password": "pw", "next": GLASS}, follow=True).content.decode()

    assert "payments are down" in back
    assert 'value="INC-9"' in back
    assert client.post(GLASS, TYPED)["Location"] == PAGE
    assert "payments are down" not in client.get(f"{PAGE}ask/").content.decode()


def test_while_it_goes_on_approvers_see_it_where_they_look_first(
    secret: Secret, oncall: Person, approver: Person, reader: Person, client_of: ClientOf
) -> None:
    elsewhere = factories.person("elsewhere", "approver", environment="dev")
    request = break_glass.break_glass(oncall, factories.actor(oncall), secret, **TYPED)
    link = f'href="/requests/{request.pk}/">#{request.pk}</a> <span class="badge ok">'

    paths = ("/", "/requests/?show=inbox")
    seen = {
        person.username: [link in client_of(person).get(path).content.decode() for path in paths]
        for person in (approver, elsewhere, reader)
    }
    assert seen == {"approver": [True, True], "elsewhere": [False, False], "reader": [False, False]}


# --- The review ------------------------------------------------------------------------------------------------------
@pytest.fixture
def over(secret: Secret, oncall: Person, approver: Person) -> RevealRequest:
    request = break_glass.break_glass(oncall, factories.actor(oncall), secret, **TYPED)
    return requests.withdraw(oncall, factories.actor(oncall), request.pk)


def test_a_second_person_reviews_it_with_a_comment(over: RevealRequest, approver: Person, client_of: ClientOf) -> None:
    client, path = client_of(approver), f"/requests/{over.pk}/"

    assert "Was it justified?" in client.get(path).content.decode()
    assert client.post(f"{path}review/", {"verdict": "justified", "comment": ""}).status_code == 422
    assert client.post(f"{path}review/", {"comment": "I was there"}).status_code == 422
    assert client.post(f"{path}review/", {"verdict": "misuse", "comment": "No incident"})["Location"] == path
    over.refresh_from_db()
    assert (over.state, over.comment, over.closed_by) == ("misuse", "No incident", approver)


def test_the_holder_never_reviews_themselves(over: RevealRequest, oncall: Person, client_of: ClientOf) -> None:
    factories.assign(oncall, "approver")
    client, path = client_of(oncall), f"/requests/{over.pk}/"

    answer = client.post(f"{path}review/", {"verdict": "justified", "comment": "trust me"})

    assert answer.status_code == 403
    assert "Nobody decides their own request." in answer.content.decode()
    assert "trust me" not in client.get(path).content.decode()
    assert "Was it justified?" not in client.get(path).content.decode()
