"""Whose rights a reveal uses: page and ledger say so, Azure's log names the person, and nobody gets another's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audit.ingest import ingest_audit
from audit.models import AccessEvent, LedgerEntry, OwnIdentity
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.state import Azure
from tests import factories
from vaults import break_glass, requests
from vaults.models import Person, Secret, Session

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
WORKSPACE = "00000000-0000-0000-0000-00000000cccc"
APP = "33333333-3333-4333-8333-333333333333"
PAGE = "/vaults/pay-prod/secrets/db-password/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def secret(azure: Azure, settings) -> Secret:
    settings.KVADMIN_ON_BEHALF_OF = "direct"
    settings.KVADMIN_OIDC_CLIENT_ID, settings.KVADMIN_OIDC_CLIENT_SECRET = APP, "app-secret"
    azure.apps[APP] = "app-secret"
    azure.add_subscription(SUBSCRIPTION, "Payments")
    logs = azure.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=WORKSPACE)
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, workspace=logs.resource_id)
    azure.put_secret("pay-prod", "db-password", "canary-own")
    return factories.secret(factories.vault("pay-prod"), "db-password")


def somebody(azure: Azure, name: str, role: str = "secrets-user", *, allowed: bool = True) -> tuple[Person, Identity]:
    """A person who signs in with Entra, and whom Azure lets read the vault unless told otherwise."""
    number = {"ada": "a", "bob": "b", "eve": "e"}[name]
    object_id = f"{number * 8}-{number * 4}-4{number * 3}-8{number * 3}-{number * 12}"
    person = factories.person(name, role)
    Person.objects.filter(pk=person.pk).update(tenant_id=azure.tenant_id, object_id=object_id)
    person.refresh_from_db()
    identity = Identity("person", object_id, APP, upn=f"{name}@contoso.example")
    if allowed:
        azure.grant(identity, "Key Vault Secrets User", azure.vault("pay-prod").resource_id)
    return person, identity


def browser(azure: Azure, person: Person, identity: Identity, *, minutes: float = 60) -> Client:
    """Their browser after a sign-in: the session holds the token that Entra gave them for kvadmin."""
    client = Client()
    client.force_login(person)
    session = client.session
    session["entra"] = {"at": timezone.now().timestamp(), "hint": ""}
    until = (timezone.now() + timedelta(minutes=minutes)).timestamp()
    session["own_token"] = {"token": identity.token(f"api://{APP}", azure.tenant_id), "until": until}
    session.save()
    return client


def show(client: Client, reason: str = "INC-7: log in"):
    return client.post(f"{PAGE}reveal/", {"reason": reason}, headers=HTMX)


def readers(azure: Azure) -> dict[str, str]:
    """Who read, as Azure's log names them, by the request's id."""
    rows = [row for row in azure.log if row.operation == "SecretGet" and row.status == 200]
    return {row.correlation_id: row.identity.upn or row.identity.name for row in rows if row.identity}


# --- Direct reveals --------------------------------------------------------------------------------------------------
def test_the_persons_own_rights_are_used_and_page_ledger_and_azures_log_say_so(azure: Azure, secret: Secret) -> None:
    factories.policy("direct")
    client = browser(azure, *somebody(azure, "ada"))

    before, answer = client.get(PAGE).content.decode(), show(client).json()

    assert "Azure is asked with your own rights, and its log names you." in before
    assert answer["value"] == "canary-own"
    assert "your own rights in Azure" in answer["html"]
    rows = LedgerEntry.objects.order_by("seq")
    assert [(row.phase, row.rights) for row in rows] == [("intent", "person"), ("revealed", "person")]
    assert readers(azure) == {rows[1].request_id: "ada@contoso.example"}


@pytest.mark.django_db(transaction=True)
def test_of_two_people_at_once_each_reveal_carries_the_right_persons_token(azure: Azure, secret: Secret) -> None:
    factories.policy("direct")
    people = [somebody(azure, name) for name in ("ada", "bob")]
    clients = [(person, browser(azure, person, identity)) for person, identity in people for _ in range(2)]
    start, answers = threading.Barrier(len(clients)), []

    def go(client: Client) -> None:
        try:
            start.wait()
            answers.extend(show(client).json().get("value") for _ in range(3))
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(client,)) for _, client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["canary-own"] * 12
    on_record = LedgerEntry.objects.filter(phase="revealed").values_list("request_id", "person")
    assert readers(azure) == {request_id: f"{name}@contoso.example" for request_id, name in on_record}


def test_the_ledger_explains_the_read_and_the_person_is_not_taken_for_kvadmin(azure: Azure, secret: Secret) -> None:
    factories.policy("direct")
    show(browser(azure, *somebody(azure, "ada")))

    ingest_audit([WORKSPACE])

    event = AccessEvent.objects.get(is_read=True)
    assert (event.match, event.who, event.person) == ("explained", "ada@contoso.example", "ada")
    assert OwnIdentity.objects.count() == 0


def test_whom_azure_does_not_let_read_is_told_so_in_their_own_terms(azure: Azure, secret: Secret) -> None:
    factories.policy("direct")
    client = browser(azure, *somebody(azure, "eve", allowed=False))

    answer = show(client)

    assert answer.status_code == 502
    assert answer.json()["error"] == "Azure refused this: your own account has no role on this vault that allows it."
    assert LedgerEntry.objects.get(phase="failed").rights == "person"


# --- Without a token -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("minutes", [0, 0.9, -5])
def test_a_token_that_ran_out_leads_to_the_sign_in_and_the_reason_waits(
    azure: Azure, secret: Secret, minutes: float
) -> None:
    factories.policy("direct")
    client = browser(azure, *somebody(azure, "ada"), minutes=minutes)

    answer = show(client, "INC-7: a long reason")

    assert (answer.status_code, answer.json()["error"]) == (
        401,
        "Microsoft wants you to sign in again before your own rights can be used.",
    )
    assert answer.json()["sign_in"] == f"/sign-in/again/?next={PAGE.replace('/', '%2F')}"
    assert "INC-7: a long reason" in client.get(PAGE).content.decode()
    entry = LedgerEntry.objects.get()
    assert (entry.phase, entry.code, entry.reason) == ("refused", "own-sign-in", "INC-7: a long reason")
    assert readers(azure) == {}


def test_whom_microsoft_wants_to_see_again_is_led_to_the_sign_in(azure: Azure, secret: Secret) -> None:
    factories.policy("direct")
    person, identity = somebody(azure, "ada")
    azure.must_sign_in.add(identity.object_id)

    answer = show(browser(azure, person, identity))

    assert (answer.status_code, answer.json()["sign_in"][:15]) == (401, "/sign-in/again/")
    assert LedgerEntry.objects.get(phase="failed").code == "own-sign-in"


def test_a_local_account_has_no_rights_in_azure(
    azure: Azure, secret: Secret, secrets_user: Person, client_of: ClientOf
) -> None:
    factories.policy("direct")

    answer = show(client_of(secrets_user)).json()

    assert answer["error"].endswith("this account has none: sign in with Microsoft instead.")
    assert "sign_in" not in answer
    assert readers(azure) == {}


def test_the_token_lies_nowhere_in_clear_and_ends_with_the_session(azure: Azure, secret: Secret) -> None:
    person, identity = somebody(azure, "ada")
    client = browser(azure, person, identity)
    token = client.session["own_token"]["token"]

    assert token not in "".join(Session.objects.values_list("session_data", flat=True))
    assert token not in client.get(PAGE).content.decode()
    client.post("/sign-out/")
    assert Session.objects.filter(person=person).count() == 0


# --- Grants ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("setting", "reader", "sentence"),
    [
        ("direct", KVADMIN.name, "Azure is asked with kvadmin&#x27;s rights, and the ledger names you."),
        ("always", "ada@contoso.example", "Azure is asked with your own rights, and its log names you."),
    ],
)
def test_a_grant_uses_kvadmins_rights_unless_ones_own_are_used_always(
    azure: Azure, secret: Secret, approver: Person, settings, setting: str, reader: str, sentence: str
) -> None:
    settings.KVADMIN_ON_BEHALF_OF = setting
    factories.policy("approval")
    person, identity = somebody(azure, "ada", "reader")
    request = factories.ask(person, secret)
    requests.approve(approver, factories.actor(approver), request.pk, seen=request.asked_hash)
    client = browser(azure, person, identity)

    assert sentence in client.get(PAGE).content.decode()
    assert show(client).json()["value"] == "canary-own"
    assert list(readers(azure).values()) == [reader]
    assert LedgerEntry.objects.get(phase="revealed").rights == ("person" if setting == "always" else "")


def test_in_an_emergency_a_local_account_must_do(
    azure: Azure, secret: Secret, oncall: Person, approver: Person, client_of: ClientOf, settings
) -> None:
    settings.KVADMIN_ON_BEHALF_OF = "always"
    factories.policy("approval", break_glass=True)
    break_glass.break_glass(oncall, factories.actor(oncall), secret, reason="INC-9: Entra is down", ticket="INC-9")

    answer = show(client_of(oncall)).json()

    assert answer["value"] == "canary-own"
    assert "rights in Azure</dd>" in answer["html"]
    assert list(readers(azure).values()) == [KVADMIN.name]


# --- Switched off ----------------------------------------------------------------------------------------------------
def test_switched_off_kvadmins_rights_are_used_and_nothing_is_said(azure: Azure, secret: Secret, settings) -> None:
    settings.KVADMIN_ON_BEHALF_OF = "off"
    factories.policy("direct")
    client = browser(azure, *somebody(azure, "ada"))

    assert "Azure is asked with" not in client.get(PAGE).content.decode()
    assert "rights in Azure" not in show(client).json()["html"]
    assert list(readers(azure).values()) == [KVADMIN.name]


def test_a_session_that_goes_on_to_another_person_takes_no_token_along(azure: Azure, secret: Secret) -> None:
    factories.policy("direct")
    client = browser(azure, *somebody(azure, "ada"))
    bob, _ = somebody(azure, "bob")

    client.force_login(bob)

    assert (client.session["_auth_user_id"], "own_token" in client.session) == (str(bob.pk), False)
