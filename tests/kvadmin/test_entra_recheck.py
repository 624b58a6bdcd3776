"""A session goes on only while Entra says so: it is asked again, silently, and what was lost there is lost here."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tests import entra as e
from tests import factories
from tests.entra import ADA, BOB, Entra
from vaults.models import Person, RoleAssignment

pytestmark = pytest.mark.django_db

CHECK = "/sign-in/entra/check/"
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/vaults/?q=pay"}


def age(client: Client, minutes: float) -> None:
    """Let Entra have confirmed this session so long ago."""
    session = client.session
    session["entra"] = {**session["entra"], "at": time.time() - minutes * 60}
    session.save()


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.fixture
def ada(client: Client, entra: Entra) -> Client:
    """Ada's browser: she is in the group Readers, whose members are auditors."""
    readers = Group.objects.create(name="Readers")
    RoleAssignment.objects.create(group=readers, role="auditor", scope_kind="everything")
    entra.sign_in(client)
    return client


def go_on(entra: Entra, client: Client, check: str, who: str = ADA):
    """Follow kvadmin to the provider, and back with its silent answer."""
    return client.get(entra.silent_answer(client.get(check)["Location"], who))


def refused_by(entra: Entra, client: Client, check: str, error: str, **more: str):
    """Follow kvadmin to the provider, which answers with an error instead."""
    state = e.asked(client.get(check)["Location"])["state"]
    return client.get("/sign-in/entra/callback/", {"error": error, "state": state, **more})


@pytest.mark.parametrize(("minutes", "status"), [(29, 200), (31, 302)])
def test_a_page_asks_at_half_the_time(ada: Client, minutes: float, status: int) -> None:
    age(ada, minutes)

    assert ada.get("/audit/").status_code == status


def test_the_time_is_a_setting(ada: Client, settings) -> None:
    settings.KVADMIN_OIDC_RECHECK_MINUTES = 5
    age(ada, 3)

    assert ada.get("/audit/").status_code == 302


def test_the_check_is_silent_and_leads_back_to_the_very_page(ada: Client, entra: Entra) -> None:
    age(ada, 61)

    led = ada.get("/audit/?secret=db")
    sent = ada.get(led["Location"])
    back = ada.get(entra.silent_answer(sent["Location"]))

    assert led["Location"] == f"{CHECK}?{urlencode({'next': '/audit/?secret=db'})}"
    assert (e.asked(sent["Location"])["prompt"], e.asked(sent["Location"])["login_hint"]) == (
        "none", "ada@contoso.example",
    )  # fmt: skip
    assert back["Location"] == "/audit/?secret=db"
    assert ada.get("/audit/?secret=db").status_code == 200


def test_a_role_that_was_lost_meanwhile_is_lost_after_the_check(ada: Client, entra: Entra) -> None:
    entra.person(roles=["Kv.Admins"])
    age(ada, 61)
    assert ada.get("/audit/").status_code == 302

    go_on(entra, ada, f"{CHECK}?next=/audit/")

    assert [group.name for group in Person.objects.get().groups.all()] == ["Platform"]
    assert ada.get("/audit/").status_code == 403


def test_who_lost_every_role_is_signed_out_with_the_reason(ada: Client, entra: Entra) -> None:
    entra.person(roles=[])
    age(ada, 61)

    response = go_on(entra, ada, f"{CHECK}?next=/audit/")

    assert "no role in kvadmin is meant for you" in response.content.decode()
    assert not is_signed_in(ada)
    assert Person.objects.get().groups.count() == 0


def test_a_provider_that_does_not_know_the_person_any_more_ends_the_session(ada: Client, entra: Entra) -> None:
    """Not our words for it: the provider itself refuses, as it has no session for anybody."""
    response = ada.get(entra.answer(ada.get(f"{CHECK}?next=/audit/")["Location"]))

    assert response["Location"] == f"/sign-in/?{urlencode({'next': '/audit/'})}"
    assert not is_signed_in(ada)


@pytest.mark.parametrize(
    "error", ["login_required", "interaction_required", "consent_required", "account_selection_required"]
)
def test_who_is_no_longer_signed_in_at_microsoft_signs_in_again_and_comes_back(
    ada: Client, entra: Entra, error: str
) -> None:
    response = refused_by(entra, ada, f"{CHECK}?next=/audit/", error)

    assert response["Location"] == f"/sign-in/?{urlencode({'next': '/audit/'})}"
    assert not is_signed_in(ada)
    assert "Microsoft asks you to sign in again." in ada.get(response["Location"]).content.decode()


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_while_entra_is_out_of_order_the_session_waits_and_may_do_nothing(
    ada: Client, entra: Entra, error: str
) -> None:
    age(ada, 61)

    response = refused_by(entra, ada, f"{CHECK}?next=/audit/", error)

    assert response.status_code == 403
    assert is_signed_in(ada)
    assert ada.get("/audit/").status_code == 302


def test_while_entra_cannot_be_reached_the_session_waits_too(ada: Client, entra: Entra, settings) -> None:
    age(ada, 61)
    settings.KVADMIN_OIDC_ISSUER = "http://127.0.0.1:1"

    response = ada.get(f"{CHECK}?next=/audit/")

    assert "Microsoft cannot be reached at the moment." in response.content.decode()
    assert is_signed_in(ada)
    assert ada.get("/audit/").status_code == 302


def test_another_person_at_microsoft_ends_the_session(ada: Client, entra: Entra) -> None:
    entra.person(BOB, name="Bob Byrd", preferred_username="bob@contoso.example")

    go_on(entra, ada, f"{CHECK}?next=/audit/", BOB)

    assert not is_signed_in(ada)
    assert not Person.objects.filter(object_id=BOB).exists()


def test_a_check_makes_no_sign_in_fresh(ada: Client, entra: Entra) -> None:
    session = ada.session
    session["signed_in_at"] = 1000.0
    session.save()

    go_on(entra, ada, f"{CHECK}?next=/audit/")

    assert ada.session["signed_in_at"] == 1000.0


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/"])
def test_a_target_on_another_host_leads_home(ada: Client, entra: Entra, target: str) -> None:
    assert go_on(entra, ada, f"{CHECK}?{urlencode({'next': target})}")["Location"] == "/"


def test_htmx_is_led_there_as_a_whole_page(ada: Client) -> None:
    age(ada, 61)

    response = ada.get("/vaults/?q=pay", headers=HTMX)

    assert response["HX-Redirect"] == f"{CHECK}?{urlencode({'next': '/vaults/?q=pay'})}"
    assert response.content == b""


def test_a_fragment_is_given_until_the_whole_time_is_over(ada: Client) -> None:
    age(ada, 59)

    assert ada.get("/vaults/?q=pay", headers=HTMX).status_code == 200


def test_a_form_that_comes_too_late_does_nothing_and_waits_for_its_sender(ada: Client, entra: Entra) -> None:
    vault = factories.vault("pay-prod")
    factories.secret(vault, "db-password")
    page = "/vaults/pay-prod/secrets/db-password/ask/"
    age(ada, 61)

    led = ada.post(page, {"reason": "INC-9: a long reason"}, headers={"Referer": f"http://testserver{page}"})
    back = go_on(entra, ada, led["Location"])

    assert led["Location"] == f"{CHECK}?{urlencode({'next': page})}"
    assert back["Location"] == page
    assert "INC-9: a long reason" in ada.get(page).content.decode()


def test_what_was_typed_outlives_a_session_that_microsoft_ends(ada: Client, entra: Entra) -> None:
    page = "/vaults/pay-prod/secrets/db-password/ask/"
    factories.secret(factories.vault("pay-prod"), "db-password")
    age(ada, 61)
    led = ada.post(page, {"reason": "INC-9: a long reason"}, headers={"Referer": f"http://testserver{page}"})

    refused_by(entra, ada, led["Location"], "login_required")
    entra.sign_in(ada, target=page)

    assert "INC-9: a long reason" in ada.get(page).content.decode()


def test_signing_out_needs_no_check(ada: Client) -> None:
    age(ada, 600)

    assert ada.post("/sign-out/")["Location"] == "/sign-in/"
    assert not is_signed_in(ada)


def test_while_one_page_asks_others_do_not_unless_they_must(ada: Client) -> None:
    age(ada, 31)
    ada.get(f"{CHECK}?next=/audit/")

    assert ada.get("/audit/").status_code == 200
    age(ada, 61)
    assert ada.get("/audit/").status_code == 302


def test_a_check_that_never_came_back_is_asked_for_again(ada: Client) -> None:
    ada.get(f"{CHECK}?next=/audit/")
    session = ada.session
    session["entra"] = {"at": time.time() - 31 * 60, "asked": time.time() - 61}
    session.save()

    assert ada.get("/audit/").status_code == 302


def test_an_answer_that_comes_twice_leads_on(ada: Client, entra: Entra) -> None:
    """The button "back" of a browser leads to it."""
    answer = entra.silent_answer(ada.get(f"{CHECK}?next=/audit/")["Location"])

    assert [ada.get(answer)["Location"] for _ in range(2)] == ["/audit/", "/"]


@pytest.mark.parametrize("mark", [None, {}, {"at": "now"}, {"at": 9e18}, "forged"])
def test_a_session_of_entra_without_a_usable_mark_is_due(ada: Client, mark: object) -> None:
    session = ada.session
    session["entra"] = mark
    session.save()

    assert ada.get("/audit/").status_code == 302


def test_local_accounts_are_not_asked_anything(client: Client, entra: Entra, auditor: Person) -> None:
    client.force_login(auditor)

    assert client.get("/audit/").status_code == 200
    assert client.get(CHECK).status_code == 404


@pytest.mark.parametrize("path", ["/audit/", "/sign-in/again/", CHECK])
def test_when_entra_is_turned_off_its_sessions_end(ada: Client, settings, path: str) -> None:
    settings.KVADMIN_OIDC_CLIENT_ID = ""

    response = ada.get(path)

    assert response["Location"] == f"/sign-in/?next={path}"
    assert not is_signed_in(ada)


def test_people_of_entra_need_no_second_factor_of_kvadmins(client: Client, entra: Entra, settings) -> None:
    settings.KVADMIN_REQUIRE_SECOND_FACTOR = True
    entra.sign_in(client)

    assert client.get("/help/").status_code == 200
