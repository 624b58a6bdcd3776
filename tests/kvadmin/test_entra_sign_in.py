"""Signing in with Entra: a real OpenID provider answers, and kvadmin believes no more than it checked."""

from __future__ import annotations

import base64
import hashlib
import html
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import parse_qsl

import pytest
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.contrib.auth.models import Group
from django.test import Client, RequestFactory

from audit.models import LedgerEntry
from kvadmin.emulator.identities import audience_of
from kvadmin.emulator.state import Azure
from kvadmin.entra.provider import EntraClient
from kvadmin.gateway import client as gateway
from tests import entra as e
from tests import factories
from tests.entra import ADA, BOB, OTHER_TENANT, PAYMENTS, TENANT, Entra
from vaults.models import Person, RoleAssignment, Session

pytestmark = pytest.mark.django_db


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def sentence(response) -> str:
    return str(response.context["refused"].sentence)


# --- Coming in -------------------------------------------------------------------------------------------------------


def test_the_first_sign_in_makes_an_account_that_is_known_by_tenant_and_object_id(client: Client, entra: Entra) -> None:
    response = entra.sign_in(client)

    person = Person.objects.get()
    assert (response.status_code, response["Location"]) == (302, "/help/")
    assert client.session["_auth_user_id"] == str(person.pk)
    assert (person.tenant_id, person.object_id) == (TENANT, ADA)
    assert (str(person), person.username, person.email) == (
        "Ada Lovelace", "ada@contoso.example", "ada@contoso.example",
    )  # fmt: skip
    assert not person.has_usable_password()


def test_the_new_session_is_listed_with_its_address_and_browser_at_once(entra: Entra) -> None:
    entra.sign_in(Client(REMOTE_ADDR="203.0.113.9", headers={"User-Agent": "Mozilla (Windows) Firefox/140.0"}))

    session = Session.objects.get(person__object_id=ADA)
    assert (session.address, session.browser) == ("203.0.113.9", "Firefox on Windows")


def test_the_second_sign_in_is_the_same_account_under_its_new_name(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    entra.person(name="Ada King", preferred_username="ada.king@contoso.example", email="king@contoso.example")

    entra.sign_in(Client())

    person = Person.objects.get()
    assert (str(person), person.username, person.email) == (
        "Ada King", "ada.king@contoso.example", "king@contoso.example",
    )  # fmt: skip


def test_two_accounts_with_one_e_mail_stay_two(client: Client, entra: Entra) -> None:
    local = Person.objects.create_user("ada@contoso.example", email="ada@contoso.example", password="pw")
    factories.assign(local, "administrator")
    entra.person(BOB, name="Bob Byrd")

    entra.sign_in(client)
    entra.sign_in(Client(), BOB)

    assert {(person.username, person.object_id) for person in Person.objects.all()} == {
        ("ada@contoso.example", ""),
        (f"ada@contoso.example+{ADA[:8]}", ADA),
        (f"ada@contoso.example+{BOB[:8]}", BOB),
    }
    assert client.get("/roles/").status_code == 403


def test_the_object_id_of_another_tenant_is_another_person(client: Client, entra: Entra) -> None:
    Person.objects.create(username="old", tenant_id=OTHER_TENANT, object_id=ADA)

    entra.sign_in(client)

    assert Person.objects.filter(object_id=ADA).count() == 2


def test_nobody_becomes_administrator_by_being_first(client: Client, entra: Entra) -> None:
    entra.person(roles=["Kv.Readers", "administrator", "Administrator", "Global Administrator"])

    entra.sign_in(client)

    assert RoleAssignment.objects.count() == 0
    assert [group.name for group in Person.objects.get().groups.all()] == ["Readers"]
    assert client.get("/people/").status_code == 403


def test_no_password_opens_an_account_of_entra(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    stranger = Client()

    for password in ("", "!", "pw"):
        stranger.post("/sign-in/", {"login": "ada@contoso.example", "password": password})

    assert not is_signed_in(stranger)


# --- What is asked for -----------------------------------------------------------------------------------------------


def test_the_request_carries_state_nonce_and_pkce_and_the_way_back(client: Client, entra: Entra) -> None:
    sent = e.asked(e.begin(client))

    ((state, (kept, *_)),) = client.session["socialaccount_states"].items()
    digest = hashlib.sha256(kept["pkce_code_verifier"].encode()).digest()
    assert (sent["state"], sent["nonce"]) == (state, kept["nonce"])
    assert len(sent["nonce"]) >= 43
    assert sent["code_challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert sent["code_challenge_method"] == "S256"
    assert sent["redirect_uri"] == "http://testserver/sign-in/entra/callback/"
    assert (sent["response_type"], sent["client_id"]) == ("code", e.CLIENT_ID)
    assert set(sent["scope"].split()) == {"openid", "profile", "email"}


def test_two_requests_share_neither_nonce_nor_state(client: Client, entra: Entra) -> None:
    one, other = e.asked(e.begin(client)), e.asked(e.begin(client))

    assert one["nonce"] != other["nonce"]
    assert one["state"] != other["state"]


@pytest.mark.parametrize(
    "query",
    [
        "auth_params=prompt%3Dnone%26client_id%3Devil", "scope=Directory.ReadWrite.All", "process=connect",
        "nonce=mine&state=mine", "redirect_uri=https://evil.example/",
    ],
)  # fmt: skip
def test_no_parameter_of_the_address_reaches_the_request(client: Client, entra: Entra, query: str) -> None:
    plain = e.asked(e.begin(client))

    sent = e.asked(e.begin(client, path=f"/sign-in/entra/?{query}"))

    once = {"nonce", "state", "code_challenge", "scope"}
    assert {name: value for name, value in sent.items() if name not in once} == {
        name: value for name, value in plain.items() if name not in once
    }
    assert set(sent["scope"].split()) == {"openid", "profile", "email"}
    assert sent["nonce"] != "mine"
    assert sent["state"] != "mine"


def test_no_link_begins_a_sign_in(client: Client, entra: Entra) -> None:
    assert client.get("/sign-in/entra/").status_code == 405
    assert "socialaccount_states" not in client.session


def test_a_sign_in_begins_only_with_a_form_of_kvadmin(entra: Entra) -> None:
    assert Client(enforce_csrf_checks=True).post("/sign-in/entra/").status_code == 403


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_a_target_on_another_host_leads_home(client: Client, entra: Entra, target: str) -> None:
    assert entra.sign_in(client, target=target)["Location"] == "/"


def test_without_a_client_id_there_is_no_sign_in_with_entra(client: Client) -> None:
    assert client.post("/sign-in/entra/").status_code == 404
    assert client.get("/sign-in/entra/callback/?code=1&state=1").status_code == 404
    assert b"Microsoft" not in client.get("/sign-in/").content


def test_no_view_of_allauth_itself_can_be_reached(client: Client, entra: Entra) -> None:
    for path in ("/openid_connect/entra/login/", "/oidc/entra/login/", "/signup/", "/sign-up/", "/social/signup/"):
        assert client.get(path).status_code in {302, 404}
        assert client.post(path).status_code in {302, 404}
    assert Person.objects.count() == 0


# --- What is not believed --------------------------------------------------------------------------------------------
NOT_BELIEVED = "Microsoft's answer does not belong to the sign-in that was started here, so it was not believed."


def test_a_wrong_nonce_is_not_believed(client: Client, entra: Entra) -> None:
    entra.person(nonce="of-another-request")

    response = entra.sign_in(client)

    assert (response.status_code, sentence(response)) == (403, NOT_BELIEVED)
    assert not is_signed_in(client)
    assert Person.objects.count() == 0


def test_a_code_that_was_meant_for_another_browser_is_not_believed(client: Client, entra: Entra) -> None:
    """Whoever steals a code cannot use it in a sign-in of their own: its token bears the other's nonce."""
    thief, mine = Client(), e.begin(client)
    stolen = e.asked(entra.answer(e.begin(thief)))["code"]

    response = client.get("/sign-in/entra/callback/", {"code": stolen, "state": e.asked(mine)["state"]})

    assert sentence(response) == NOT_BELIEVED
    assert not is_signed_in(client)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://login.microsoftonline.com/common/v2.0"},
        {"iss": None},
        {"aud": "of-another-app"},
        {"aud": [e.CLIENT_ID, "of-another-app"]},
        {"exp": 1},
        {"exp": None},
        {"nbf": 9_999_999_999},
        {"nonce": None},
        {"nonce": ["a", "list"]},
        {"oid": None},
        {"oid": "no-guid"},
        {"oid": [ADA]},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_is_not_believed(client: Client, entra: Entra, claims: dict) -> None:
    entra.person(**claims)

    assert sentence(entra.sign_in(client)) == NOT_BELIEVED
    assert not is_signed_in(client)


@pytest.mark.parametrize("tid", [OTHER_TENANT, "", None, "common", [TENANT]])
def test_another_tenant_is_not_let_in(client: Client, entra: Entra, tid: object) -> None:
    entra.person(tid=tid)

    response = entra.sign_in(client)

    assert sentence(response) == "This account belongs to another organisation, and kvadmin lets only its own in."
    assert not is_signed_in(client)
    assert Person.objects.count() == 0


def test_a_provider_of_another_tenant_is_not_even_asked(client: Client, entra: Entra, settings) -> None:
    settings.KVADMIN_OIDC_ISSUER = entra.issuer.replace("127.0.0.1", "localhost")  # the same server names itself so
    settings.KVADMIN_OIDC_TENANT_ID = OTHER_TENANT
    entra.person(iss=entra.issuer)

    assert not is_signed_in(client)
    assert entra.sign_in(client).status_code == 403
    assert not is_signed_in(client)


def test_an_answer_without_a_state_of_this_session_is_refused(client: Client, entra: Entra) -> None:
    answer = entra.answer(e.begin(Client()))

    response = client.get(answer)

    assert sentence(response) == "This sign-in was not started in this browser, or it took longer than ten minutes."
    assert not is_signed_in(client)


def test_an_answer_counts_once(client: Client, entra: Entra) -> None:
    answer = entra.answer(e.begin(client))
    client.get(answer)
    client.post("/sign-out/")

    assert client.get(answer).status_code == 403
    assert not is_signed_in(client)


def test_a_closed_account_stays_closed(client: Client, entra: Entra) -> None:
    Person.objects.create(username="ada", tenant_id=TENANT, object_id=ADA, is_active=False)

    assert sentence(entra.sign_in(client)) == "Your account in kvadmin is closed."
    assert not is_signed_in(client)


# --- Errors of the provider ------------------------------------------------------------------------------------------


def test_an_error_of_the_provider_is_one_sentence_and_its_html_is_shown_nowhere(
    client: Client, entra: Entra, caplog: pytest.LogCaptureFixture
) -> None:
    state = e.asked(e.begin(client))["state"]
    text = "AADSTS50105: <script>alert(1)</script> The signed in user 'ada@contoso.example' is not assigned"

    with caplog.at_level(logging.WARNING, "kvadmin.entra"):
        response = client.get("/sign-in/entra/callback/", {"error": "<b>x", "error_description": text, "state": state})
    page = response.content.decode()

    assert sentence(response) == "Your organisation lets only people in who are assigned to kvadmin, and you are not."
    assert "<code>AADSTS50105</code>" in page
    assert "alert(1)" not in page
    assert "<b>x" not in page
    assert [record.getMessage() for record in caplog.records if record.name == "kvadmin.entra"] == [
        "Sign-in with Entra failed: told-by-entra AADSTS50105"
    ]


def test_an_unknown_error_is_one_sentence_with_its_code(client: Client, entra: Entra) -> None:
    state = e.asked(e.begin(client))["state"]

    response = client.get("/sign-in/entra/callback/", {"error": "server_error<i>", "state": state})

    assert sentence(response) == "Microsoft did not complete the sign-in."
    assert "<code>server_errori</code>" in response.content.decode()


def test_words_of_a_stranger_are_never_on_the_page(client: Client, entra: Entra) -> None:
    response = client.get("/sign-in/entra/callback/?error=call_me&error_description=Phone+555-0100&state=guessed")

    assert b"555-0100" not in response.content


def test_a_cancelled_sign_in_says_so(client: Client, entra: Entra) -> None:
    state = e.asked(e.begin(client))["state"]

    response = client.get("/sign-in/entra/callback/", {"error": "access_denied", "state": state})

    assert sentence(response) == "You did not go through with the sign-in at Microsoft."


def test_a_code_that_is_refused_is_one_sentence(client: Client, entra: Entra) -> None:
    state = e.asked(e.begin(client))["state"]

    response = client.get("/sign-in/entra/callback/", {"code": "made-up", "state": state})

    assert sentence(response) == "Microsoft did not complete the sign-in."
    assert not is_signed_in(client)


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:1", "http://127.0.0.1:1/tenant/v2.0"])
def test_a_provider_that_does_not_answer_is_one_sentence(client: Client, entra: Entra, settings, issuer: str) -> None:
    settings.KVADMIN_OIDC_ISSUER = issuer

    response = client.post("/sign-in/entra/")

    assert (response.status_code, sentence(response)) == (403, "Microsoft cannot be reached at the moment.")


def test_whoever_is_refused_may_choose_another_account_and_still_come_to_the_page(client: Client, entra: Entra) -> None:
    """Without being told to, Microsoft takes the same account again, and nobody gets any further."""
    entra.person(roles=[])
    page = entra.sign_in(client).content.decode()
    assert '<input type="hidden" name="next" value="/help/">' in page
    assert 'name="account" value="another"' in page

    sent = e.leads_to(client.post("/sign-in/entra/", {"next": "/help/", "account": "another"}))
    entra.person(BOB, name="Bob Byrd", preferred_username="bob@contoso.example")

    assert e.asked(sent)["prompt"] == "select_account"
    assert client.get(entra.answer(sent, BOB))["Location"] == "/help/"


# --- What is kept ----------------------------------------------------------------------------------------------------


def test_no_token_and_no_claim_is_stored(client: Client, entra: Entra) -> None:
    entra.person(family_name="Canary-claim")
    entra.sign_in(client)

    kept = str(dict(client.session))
    assert (SocialAccount.objects.count(), SocialToken.objects.count(), SocialApp.objects.count()) == (0, 0, 0)
    assert "eyJ" not in kept
    assert "Canary" not in kept
    assert client.session["entra"].keys() == {"at", "hint"}


def test_a_row_of_the_database_adds_no_provider(client: Client, entra: Entra) -> None:
    SocialApp.objects.create(
        provider="openid_connect", provider_id="entra", name="evil", client_id="evil", secret="x",
        settings={"server_url": "http://127.0.0.1:1"},
    )  # fmt: skip

    assert e.asked(e.begin(client))["client_id"] == e.CLIENT_ID


# --- Groups ----------------------------------------------------------------------------------------------------------


def names_of(object_id: str = ADA) -> set[str]:
    return set(Person.objects.get(object_id=object_id).groups.values_list("name", flat=True))


def notes() -> list[str]:
    return [entry.note for entry in LedgerEntry.objects.order_by("seq") if entry.action == "role:assign"]


def test_app_roles_and_groups_become_groups_and_their_roles_hold(client: Client, entra: Entra) -> None:
    platform = Group.objects.create(name="Platform")
    RoleAssignment.objects.create(group=platform, role="administrator", scope_kind="everything")
    entra.person(roles=["Kv.Admins"], groups=[PAYMENTS.upper(), OTHER_TENANT])

    entra.sign_in(client)

    assert names_of() == {"Platform", "Payments"}
    assert client.get("/people/").status_code == 200


def test_each_change_is_in_the_ledger_as_kvadmins_own_act(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    entra.person(roles=["Kv.Admins"])
    entra.sign_in(client)
    entra.sign_in(client)

    who = "Ada Lovelace (ada@contoso.example)"
    assert notes() == [
        f"Ada Lovelace ({ADA} of tenant {TENANT}) signs in with Entra for the first time",
        f"{who} joined the group Readers, as Entra says",
        f"{who} joined the group Platform, as Entra says",
        f"{who} left the group Readers, as Entra says",
    ]
    assert {(entry.person_id, entry.person) for entry in LedgerEntry.objects.all()} == {("", "kvadmin")}


def test_the_loss_of_a_group_is_the_loss_of_its_roles_at_the_next_sign_in(client: Client, entra: Entra) -> None:
    readers = Group.objects.create(name="Readers")
    RoleAssignment.objects.create(group=readers, role="auditor", scope_kind="everything")
    entra.sign_in(client)
    assert client.get("/audit/").status_code == 200
    entra.person(roles=[], groups=[PAYMENTS])

    entra.sign_in(Client())

    assert names_of() == {"Payments"}
    assert client.get("/audit/").status_code == 403


def test_a_group_that_nobody_maps_any_more_is_lost_as_well(client: Client, entra: Entra, settings) -> None:
    entra.person(roles=["Kv.Readers", "Kv.Admins"])
    entra.sign_in(client)
    settings.KVADMIN_OIDC_GROUPS = {"Kv.Readers": "Readers"}

    entra.sign_in(client)

    assert names_of() == {"Readers"}


def test_without_any_mapped_role_there_is_a_clear_page_and_no_account(client: Client, entra: Entra) -> None:
    entra.person(roles=["Something.Else"], groups=[OTHER_TENANT])

    response = entra.sign_in(client)

    assert (response.status_code, sentence(response)) == (
        403, "You are signed in with Microsoft, but no role in kvadmin is meant for you, so you cannot come in.",
    )  # fmt: skip
    assert "Ask the people who run kvadmin" in response.content.decode()
    assert not is_signed_in(client)
    assert Person.objects.count() == 0


def test_who_loses_the_last_role_is_not_let_in_and_keeps_no_group(client: Client, entra: Entra) -> None:
    entra.sign_in(client)
    entra.person(roles=[])

    assert not is_signed_in(other := Client())
    assert entra.sign_in(other).status_code == 403
    assert names_of() == set()
    assert notes()[-1] == "Ada Lovelace (ada@contoso.example) left the group Readers, as Entra says"


@pytest.mark.parametrize("claims", [{"roles": [PAYMENTS]}, {"groups": ["Kv.Admins"]}, {"roles": "Kv.Admins-not"}])
def test_a_group_cannot_pass_for_an_app_role_nor_the_other_way(client: Client, entra: Entra, claims: dict) -> None:
    entra.person(**{"roles": [], **claims})

    assert entra.sign_in(client).status_code == 403
    assert Person.objects.count() == 0


# --- More groups than a token holds ----------------------------------------------------------------------------------
OVERAGE = {"roles": [], "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://evil"}}}


@pytest.mark.parametrize("claims", [OVERAGE, {"roles": [], "hasgroups": True}])
def test_too_many_groups_for_a_token_are_told_and_what_to_do(client: Client, entra: Entra, claims: dict) -> None:
    entra.person(**claims)

    response = entra.sign_in(client)

    assert sentence(response) == (
        "You are in more groups than Microsoft tells kvadmin at a sign-in, so your roles are not known."
    )
    assert Person.objects.count() == 0


def test_an_app_role_alone_does_not_hide_that_groups_are_unknown(client: Client, entra: Entra) -> None:
    """Whoever came in with half of their groups would lose the other half without a word."""
    entra.sign_in(client)
    entra.person(groups=[PAYMENTS])
    entra.sign_in(client)
    entra.person(**OVERAGE | {"roles": ["Kv.Readers"]})

    assert entra.sign_in(Client()).status_code == 403
    assert names_of() == {"Readers", "Payments"}


def test_where_no_group_is_mapped_nobody_needs_to_know_them(client: Client, entra: Entra, settings) -> None:
    settings.KVADMIN_OIDC_GROUPS = {"Kv.Readers": "Readers"}
    entra.person(**OVERAGE | {"roles": ["Kv.Readers"]})

    entra.sign_in(client)

    assert names_of() == {"Readers"}


def test_graph_is_asked_about_the_mapped_groups(client: Client, entra: Entra, azure: Azure, settings) -> None:
    settings.KVADMIN_OIDC_GRAPH = True
    azure.groups = {PAYMENTS: {ADA}, OTHER_TENANT: {ADA}}
    entra.person(**OVERAGE | {"roles": ["Kv.Readers"]})

    entra.sign_in(client)

    assert names_of() == {"Readers", "Payments"}


def test_where_graph_refuses_nobody_comes_in_on_a_guess(client: Client, entra: Entra, azure: Azure, settings) -> None:
    settings.KVADMIN_OIDC_GRAPH = True
    azure.directory_open = False
    entra.person(**OVERAGE)

    response = entra.sign_in(client)

    assert sentence(response) == "Microsoft did not tell kvadmin your groups, so your roles are not known."
    assert "User.Read.All and GroupMember.Read.All" in html.unescape(response.content.decode())


# --- Without a secret ------------------------------------------------------------------------------------------------


def test_kvadmins_own_identity_can_vouch_for_it_in_the_exchange_of_the_code(
    rf: RequestFactory, azure: Azure, settings
) -> None:
    settings.KVADMIN_OIDC_CREDENTIAL = "managed-identity"
    with heard() as (url, bodies):
        client = EntraClient(rf.get("/"), e.CLIENT_ID, "", "POST", url, "https://kvadmin/callback")
        with pytest.raises(OAuth2Error):
            client.get_access_token("the-code", pkce_code_verifier="the-verifier")

    (sent,) = bodies
    assert audience_of(sent.pop("client_assertion")) == "api://AzureADTokenExchange"
    assert sent == {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_id": e.CLIENT_ID,
        "code": "the-code",
        "code_verifier": "the-verifier",
        "grant_type": "authorization_code",
        "redirect_uri": "https://kvadmin/callback",
    }


def test_an_identity_that_cannot_vouch_is_one_sentence(client: Client, entra: Entra, settings) -> None:
    settings.KVADMIN_EMULATOR, settings.KVADMIN_CREDENTIAL, settings.KVADMIN_TENANT_ID = "", "client-secret", ""
    settings.KVADMIN_OIDC_CREDENTIAL = "managed-identity"
    gateway.reset()

    response = entra.sign_in(client)
    gateway.reset()

    assert sentence(response) == (
        "kvadmin's own identity cannot vouch for it at Microsoft, so nobody can sign in there."
    )


@contextmanager
def heard() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that keeps the forms that it is sent, and answers {}."""
    bodies: list[dict[str, str]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            bodies.append(dict(parse_qsl(form)))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()
        thread.join()
