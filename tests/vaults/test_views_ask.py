"""Asking takes a reason and two clicks; what cannot be granted is refused at once, and nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape

import pytest
from django.test import Client

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from vaults import requests
from vaults.models import Person, RevealRequest, Secret

pytestmark = pytest.mark.django_db

PAGE = "/vaults/pay-prod/secrets/db-password/"
ASK = f"{PAGE}ask/"
TYPED = {"reason": "INC-7: the job fails", "ticket": "INC-7", "minutes": "20"}
ClientOf = Callable[[Person], Client]
HOSTILE = [
    "<script>alert(1)</script>",
    "'\"><img src=x onerror=alert(1)>",
    "{{ 7|add:7 }}{% debug %}",
    "</textarea><svg/onload=alert(1)>",
    "\u202egnirts &lt;b&gt;",
]


@pytest.fixture
def secret() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def dev(client: Client) -> Person:
    somebody = factories.person("dev", "reader", environment="prod")
    client.force_login(somebody)
    return somebody


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


# --- The secret's page leads there -----------------------------------------------------------------------------------
def test_the_secrets_page_offers_to_ask_and_the_form_is_one_click_away(
    client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval", ticket_pattern=r"INC-\d+", cap_minutes=240)

    assert f'href="{ASK}"' in text(client, PAGE)
    page = text(client, ASK)
    assert "It has to look like INC-\\d+" in page
    assert "At most 4 hours" in page
    assert client.post(ASK, TYPED)["Location"] == f"/requests/{RevealRequest.objects.get().pk}/"


@pytest.mark.parametrize("mode", ["forbidden", None])
def test_where_asking_leads_nowhere_it_is_not_offered_and_the_cause_is_told(
    mode: str | None, client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    if mode:
        factories.policy(mode)

    page = text(client, PAGE)

    assert f'href="{ASK}"' not in page
    assert "so nobody could approve it." in page
    assert "so nobody could approve it." in text(client, ASK, 409)


def test_where_nobody_could_approve_the_page_says_so(client: Client, secret: Secret, dev: Person) -> None:
    factories.policy("approval")

    assert "no other person holds the Approver role here" in text(client, ASK, 409)


# --- Who -------------------------------------------------------------------------------------------------------------
def test_somebody_with_a_role_elsewhere_or_none_gets_404_and_leaves_no_request(
    secret: Secret, approver: Person, nobody: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")
    elsewhere = factories.person("bob", "reader", vault=factories.vault("hr-test"))

    answers = [client_of(person).post(ASK, TYPED).status_code for person in (elsewhere, nobody)]

    assert answers == [404, 404]
    assert RevealRequest.objects.count() == 0


def test_an_administrator_sees_no_secret_and_asks_for_none(
    secret: Secret, approver: Person, admin: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")

    assert client_of(admin).post(ASK, TYPED).status_code == 404
    assert RevealRequest.objects.count() == 0


def test_looking_asks_for_nothing(client: Client, secret: Secret, dev: Person, approver: Person) -> None:
    factories.policy("approval")

    statuses = [client.get(ASK).status_code, client.get(ASK, TYPED).status_code]

    assert statuses == [200, 200]
    assert (RevealRequest.objects.count(), LedgerEntry.objects.count()) == (0, 0)


# --- Refusals --------------------------------------------------------------------------------------------------------
REFUSED = {
    "too long": ({"minutes": "61"}, 422, "The policy allows 1 to 60 minutes."),
    "no number": ({"minutes": "soon"}, 422, "Enter a whole number."),
    "a huge number": ({"minutes": "9" * 30}, 422, "Ensure this value is less than or equal to 100000."),
    "no reason": ({"reason": " "}, 422, "Say why you need the value: whoever decides reads it."),
    "a long reason": ({"reason": "x" * 501}, 422, "At most 500 characters; this has 501."),
    "another ticket": ({"ticket": "see INC-7"}, 422, "The ticket must look like INC-\\d+."),
    "a window": ({"use": "window"}, 422, "The policy allows to see the value one time only."),
    "an unknown use": ({"use": "always"}, 422, "always is not one of the available choices."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_a_sentence_and_nothing_typed_is_lost(
    case: str, client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval", ticket_pattern=r"INC-\d+")
    changed, status, sentence = REFUSED[case]
    typed = TYPED | {"reason": "because <of> this"} | changed

    answer = client.post(ASK, typed)

    page = answer.content.decode()
    assert answer.status_code == status
    assert sentence in page
    assert escape(typed["reason"]) in page
    assert escape(typed["ticket"]) in page
    assert RevealRequest.objects.count() == 0


def test_whoever_has_asked_already_is_not_made_to_type(
    client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval")
    first = factories.ask(dev, secret)

    page = text(client, ASK, 409)

    assert f"You have an open request for this secret already: #{first.pk}." in page
    assert '<textarea name="reason"' not in page


def test_a_duplicate_is_refused_with_a_link_to_the_open_one(
    client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval")
    first = factories.ask(dev, secret)

    answer = client.post(ASK, TYPED)

    assert answer.status_code == 409
    assert f"You have an open request for this secret already: #{first.pk}." in answer.content.decode()
    assert f'href="/requests/{first.pk}/"' in answer.content.decode()
    assert LedgerEntry.objects.get(phase="refused").code == "duplicate"


def test_what_became_forbidden_while_the_form_was_open_is_refused_on_record(
    client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("forbidden")

    answer = client.post(ASK, TYPED)

    assert answer.status_code == 409
    assert "INC-7: the job fails" in answer.content.decode()
    assert LedgerEntry.objects.get().code == "forbidden"


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words_on_every_page(
    words: str, client: Client, secret: Secret, dev: Person, approver: Person, client_of: ClientOf
) -> None:
    factories.policy("approval")
    client.post(ASK, {"reason": words, "ticket": words[:100], "minutes": "5"})
    pk = RevealRequest.objects.get().pk
    theirs = client_of(approver)

    pages = [text(client, f"/requests/{pk}/"), text(theirs, f"/requests/{pk}/"), text(theirs, "/requests/")]
    requests.deny(approver, factories.actor(approver), pk, comment=words)
    pages += [text(client, f"{ASK}?again={pk}"), text(client, "/requests/?show=mine"), text(client, f"/requests/{pk}/")]

    assert [escape(words) in page for page in pages] == [True] * len(pages)
    assert [words in page for page in pages] == [escape(words) == words] * len(pages)


# --- Asking again ----------------------------------------------------------------------------------------------------
def test_asking_again_begins_with_what_was_asked_before(
    client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval", use="window")
    old = factories.ask(dev, secret, reason="the first reason", ticket="INC-1", minutes=17, use="window")
    requests.withdraw(dev, factories.actor(dev), old.pk)

    page = text(client, f"{ASK}?again={old.pk}")
    client.post(ASK, {**TYPED, "again": str(old.pk)})

    assert "the first reason" in page
    assert 'value="17"' in page
    assert '<option value="window" selected>' in page
    assert RevealRequest.objects.first().asked_again_from == old  # type: ignore[union-attr]


def test_nobody_begins_with_anothers_words(client: Client, secret: Secret, dev: Person, approver: Person) -> None:
    factories.policy("approval")
    theirs = factories.ask(factories.person("eve", "reader"), secret, reason="not for dev")

    page = text(client, f"{ASK}?again={theirs.pk}")
    client.post(ASK, {**TYPED, "again": str(theirs.pk)})

    assert "not for dev" not in page
    assert RevealRequest.objects.get(requester=dev).asked_again_from is None


@pytest.mark.parametrize("number", ["", "x", "-1", "9" * 40, "\u0663"])
def test_a_number_that_is_none_is_no_request(
    number: str, client: Client, secret: Secret, dev: Person, approver: Person
) -> None:
    factories.policy("approval")

    assert client.get(ASK, {"again": number}).status_code == 200


# --- A pinned version ------------------------------------------------------------------------------------------------
@pytest.fixture
def pinned(azure: Azure, secret: Secret, approver: Person) -> str:
    """The latest version's id, under a policy that pins it."""
    factories.policy("approval", version_rule="pinned")
    azure.add_subscription("00000000-0000-0000-0000-00000000aaaa", "Payments")
    azure.add_vault("pay-prod", subscription_id="00000000-0000-0000-0000-00000000aaaa")
    azure.put_secret("pay-prod", "db-password", "old", at=datetime(2026, 1, 1, tzinfo=UTC))
    return azure.put_secret("pay-prod", "db-password", "new", at=datetime(2026, 2, 1, tzinfo=UTC)).id


def test_the_latest_version_is_pinned_without_reading_any_value(
    client: Client, azure: Azure, pinned: str, dev: Person
) -> None:
    client.post(ASK, TYPED)

    assert RevealRequest.objects.get().version == pinned
    assert [row.operation for row in azure.log if row.operation == "SecretGet"] == []


def test_when_azure_does_not_tell_the_version_there_is_a_sentence_and_no_request(
    client: Client, azure: Azure, pinned: str, dev: Person
) -> None:
    azure.faults.set("pay-prod", Fault("firewall"))

    answer = client.post(ASK, TYPED)

    assert answer.status_code == 502
    assert "firewall does not let kvadmin in" in answer.content.decode()
    assert "INC-7: the job fails" in answer.content.decode()
    assert RevealRequest.objects.count() == 0


def test_a_secret_that_azure_no_longer_knows_is_not_asked_for(
    client: Client, azure: Azure, pinned: str, dev: Person, secret: Secret
) -> None:
    other = factories.secret(secret.vault, "purged")

    answer = client.post(f"/vaults/pay-prod/secrets/{other.name}/ask/", TYPED)

    assert answer.status_code == 409
    assert "Azure shows no version of this secret any more" in answer.content.decode()
