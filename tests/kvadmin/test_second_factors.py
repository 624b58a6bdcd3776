"""Second factors of local accounts: set up, asked for, limited, encrypted; and nobody gets around them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin.second_factors.adapter import MFAAdapter
from vaults import turns
from vaults.models import Person, Session

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
STEP = "/sign-in/second-factor/"
HTMX = {"HX-Request": "true"}


def code_of(secret: str, *, steps: int = 0) -> str:
    """What the app shows now, or so many half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


def password_of(person: Person, client: Client, **extra: str):
    return client.post("/sign-in/", {"login": person.username, "password": "pw", "next": "/help/"}, **extra)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


@pytest.fixture
def secret(admin: Person) -> str:
    """The secret of the app that `admin` has set up."""
    made = generate_totp_secret()
    TOTP.activate(admin, made)
    return made


# --- Signing in ------------------------------------------------------------------------------------------------------
def test_the_password_alone_signs_nobody_in_who_has_a_second_factor(admin: Person, secret: str) -> None:
    client = Client()

    answer = password_of(admin, client)

    assert (answer.status_code, answer["Location"]) == (302, STEP)
    assert not is_signed_in(client)
    assert client.get("/help/").status_code == 302


def test_a_code_can_be_typed_at_once(admin: Person, secret: str) -> None:
    client = Client()
    password_of(admin, client)

    field = client.get(STEP).context["form"]["code"].as_widget()
    assert ("autofocus" in field, 'inputmode="numeric"' in field, "placeholder" in field) == (True, True, False)


def test_the_code_of_the_app_leads_to_where_one_wanted_to_go(admin: Person, secret: str) -> None:
    client = Client()
    password_of(admin, client)

    answer = client.post(STEP, {"code": code_of(secret)})

    assert (answer.status_code, answer["Location"]) == (302, "/help/")
    assert client.session["_auth_user_id"] == str(admin.pk)


@pytest.mark.parametrize("wrong", ["000000", "", "12345678"])
def test_a_wrong_code_signs_nobody_in(admin: Person, secret: str, wrong: str) -> None:
    client = Client()
    password_of(admin, client)

    answer = client.post(STEP, {"code": wrong})

    assert answer.status_code == 422
    assert answer.context["form"].errors["code"]
    assert not is_signed_in(client)


def test_a_code_opens_once(admin: Person, secret: str) -> None:
    first, second = Client(), Client()
    for client in (first, second):
        password_of(admin, client)
        client.post(STEP, {"code": code_of(secret)})

    assert (is_signed_in(first), is_signed_in(second)) == (True, False)


def test_five_wrong_codes_lock_the_second_step_for_five_minutes(admin: Person, secret: str) -> None:
    client = Client()
    password_of(admin, client)
    for number in range(5):
        client.post(STEP, {"code": f"00000{number}"})

    assert client.post(STEP, {"code": code_of(secret)}).status_code == 422
    assert not is_signed_in(client)
    with time_machine.travel(timezone.now() + timedelta(minutes=5, seconds=1)):
        password_of(admin, client)
        client.post(STEP, {"code": code_of(secret)})
        assert is_signed_in(client)


def test_the_second_step_is_nothing_without_the_first(admin: Person, secret: str) -> None:
    client = Client()

    answer = client.post(STEP, {"code": code_of(secret)})

    assert (answer.status_code, answer["Location"]) == (302, "/sign-in/")
    assert not is_signed_in(client)


def test_a_recovery_code_opens_once_in_place_of_the_app(admin: Person, secret: str) -> None:
    code = RecoveryCodes.activate(admin).get_unused_codes()[0]
    first, second = Client(), Client()
    for client in (first, second):
        password_of(admin, client)
        client.post(STEP, {"code": code})

    assert (is_signed_in(first), is_signed_in(second)) == (True, False)


# --- Signing in again ------------------------------------------------------------------------------------------------
def sign_in_again(client: Client, **given: str):
    return client.post("/sign-in/again/", {"password": "pw", "next": "/help/", **given})


def stale(client: Client) -> Client:
    session = client.session
    session["signed_in_at"] = (timezone.now() - timedelta(hours=2)).timestamp()
    session.save()
    return client


@pytest.mark.parametrize("given", [{}, {"code": ""}, {"code": "000000"}, {"credential": "{}"}, {"credential": "x"}])
def test_signing_in_again_asks_for_the_second_factor_too(
    admin: Person, secret: str, client_of: ClientOf, given: dict[str, str]
) -> None:
    client = stale(client_of(admin))
    before = client.session["signed_in_at"]

    answer = sign_in_again(client, **given)

    assert answer.status_code == 422
    assert answer.context["second"].error
    assert client.session["signed_in_at"] == before


def test_with_password_and_code_the_sign_in_is_fresh(admin: Person, secret: str, client_of: ClientOf) -> None:
    client = stale(client_of(admin))
    assert '<label for="id_code">' in client.get("/sign-in/again/").content.decode()

    answer = sign_in_again(client, code=code_of(secret))

    assert (answer.status_code, answer["Location"]) == (302, "/help/")
    assert timezone.now().timestamp() - client.session["signed_in_at"] < 60


def test_the_code_without_the_password_is_nothing(admin: Person, secret: str, client_of: ClientOf) -> None:
    client = stale(client_of(admin))

    assert sign_in_again(client, password="wrong", code=code_of(secret)).status_code == 422


# --- Setting one up --------------------------------------------------------------------------------------------------
def test_an_app_is_set_up_with_its_first_code_and_recovery_codes_are_shown_once(
    admin: Person, client_of: ClientOf
) -> None:
    client = client_of(admin)
    page = client.get("/second-factors/app/")
    secret = page.context["form"].secret
    assert "<svg" in page.content.decode()
    assert " style=" not in page.content.decode()

    answer = client.post("/second-factors/app/", {"code": code_of(secret)})

    assert answer["Location"] == "/second-factors/codes/"
    assert [client.get("/second-factors/codes/").context["waiting"] for _ in range(2)] == [True, True]
    assert len(set(client.post("/second-factors/codes/").context["unused_codes"])) == 10
    assert set(client.post("/second-factors/codes/").context["unused_codes"]) == {"****"}
    assert "Shown once, and not again" in client.get("/second-factors/codes/").content.decode()
    assert client.get("/second-factors/").context["codes_left"] == 10


def test_a_wrong_first_code_sets_nothing_up_and_keeps_the_same_secret(admin: Person, client_of: ClientOf) -> None:
    client = client_of(admin)
    before = client.get("/second-factors/app/").context["form"].secret

    answer = client.post("/second-factors/app/", {"code": "000000"})

    assert (answer.status_code, answer.context["form"].secret) == (422, before)
    assert Authenticator.objects.count() == 0


def test_no_secret_lies_in_clear_neither_while_it_is_set_up_nor_after(admin: Person, client_of: ClientOf) -> None:
    client = client_of(admin)
    secret = client.get("/second-factors/app/").context["form"].secret
    sessions = "".join(Session.objects.values_list("session_data", flat=True))
    client.post("/second-factors/app/", {"code": code_of(secret)})

    stored = [one.data.get("secret") or one.data["seed"] for one in Authenticator.objects.all()]
    assert secret not in sessions
    assert [text[:5] for text in stored] == ["gAAAA", "gAAAA"]
    assert secret not in "".join(stored)


@pytest.mark.parametrize("path", ["app/", "app/remove/", "keys/add/", "codes/", "codes/new/"])
def test_setting_up_and_removing_ask_for_a_fresh_sign_in(
    admin: Person, secret: str, client_of: ClientOf, path: str
) -> None:
    client = client_of(admin)
    session = client.session
    session["signed_in_at"] = (timezone.now() - timedelta(minutes=11)).timestamp()
    session.save()

    answers = [client.get(f"/second-factors/{path}"), client.post(f"/second-factors/{path}")]

    where = f"/sign-in/again/?next=%2Fsecond-factors%2F{path.replace('/', '%2F')}"
    assert [answer["Location"] for answer in answers] == [where, where]
    assert Authenticator.objects.count() == 1


def test_who_signs_in_with_entra_has_their_second_factor_there(admin: Person, client_of: ClientOf) -> None:
    Person.objects.filter(pk=admin.pk).update(tenant_id="t", object_id="o")
    client = client_of(admin)
    session = client.session
    session["entra"] = {"at": timezone.now().timestamp(), "hint": ""}
    session.save()

    statuses = {client.post(f"/second-factors/{path}").status_code for path in ("app/", "keys/add/", "codes/new/")}

    assert statuses <= {404, 302}
    assert Authenticator.objects.count() == 0


def test_a_key_is_called_what_it_is_unless_it_gets_another_name(admin: Person, client_of: ClientOf) -> None:
    form = client_of(admin).get("/second-factors/keys/add/").context["form"]
    assert form["name"].value() == "Security key"

    offered = []
    for name in ("Security key", "mine", "Security key 2"):
        Authenticator.objects.create(user=admin, type="webauthn", data={"name": name, "credential": {}})
        offered.append(MFAAdapter().generate_authenticator_name(admin, Authenticator.Type.WEBAUTHN))
    assert offered == ["Security key 2", "Security key 2", "Security key 3"]


def test_nobody_removes_somebody_elses_key(admin: Person, reader: Person, client_of: ClientOf) -> None:
    key = Authenticator.objects.create(user=admin, type="webauthn", data={"name": "blue", "credential": {}})

    assert client_of(reader).post(f"/second-factors/keys/{key.pk}/remove/").status_code == 404
    assert Authenticator.objects.count() == 1


def test_without_the_last_one_recovery_codes_are_gone_too(admin: Person, secret: str, client_of: ClientOf) -> None:
    RecoveryCodes.activate(admin)

    answer = client_of(admin).post("/second-factors/app/remove/")

    assert answer["Location"] == "/second-factors/"
    assert Authenticator.objects.count() == 0


def test_new_recovery_codes_end_the_old_ones(admin: Person, secret: str, client_of: ClientOf) -> None:
    old = RecoveryCodes.activate(admin).get_unused_codes()
    client = client_of(admin)

    assert client.post("/second-factors/codes/new/")["Location"] == "/second-factors/codes/"
    assert set(client.post("/second-factors/codes/").context["unused_codes"]).isdisjoint(old)


# --- Where they are required -----------------------------------------------------------------------------------------
@pytest.fixture
def required(settings) -> None:
    settings.KVADMIN_REQUIRE_SECOND_FACTOR = True


@pytest.mark.usefixtures("required")
def test_a_local_account_without_one_can_do_nothing_but_set_one_up(admin: Person, client_of: ClientOf) -> None:
    client = client_of(admin)

    assert client.get("/people/")["Location"] == "/second-factors/"
    assert client.post("/sync/", headers=HTMX)["HX-Redirect"] == "/second-factors/"
    assert "Set up a second factor first" in client.get("/second-factors/").content.decode()
    secret = client.get("/second-factors/app/").context["form"].secret
    client.post("/second-factors/app/", {"code": code_of(secret)})
    assert client.get("/people/").status_code == 200


@pytest.mark.usefixtures("required")
def test_whoever_has_one_goes_on_at_the_cost_of_one_question_a_session(
    admin: Person, secret: str, client_of: ClientOf, django_assert_num_queries
) -> None:
    client = client_of(admin)
    client.get("/help/")

    with django_assert_num_queries(3):  # the session, the person, the roles
        assert client.get("/help/").status_code == 200


@pytest.mark.usefixtures("required")
def test_the_only_one_stays(admin: Person, secret: str, client_of: ClientOf) -> None:
    answer = client_of(admin).post("/second-factors/app/remove/")

    assert answer.status_code == 422
    assert "Your only second factor stays" in answer.content.decode()
    assert Authenticator.objects.count() == 1


@pytest.mark.usefixtures("required")
def test_the_only_key_stays(admin: Person, client_of: ClientOf) -> None:
    key = Authenticator.objects.create(user=admin, type="webauthn", data={"name": "blue", "credential": {}})

    assert client_of(admin).post(f"/second-factors/keys/{key.pk}/remove/").status_code == 422
    assert Authenticator.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("required")
def test_of_two_that_are_removed_at_once_one_stays(admin: Person, secret: str, client_of: ClientOf) -> None:
    """The app is asked for while the key is being removed: it waits, and is the last one then."""
    key = Authenticator.objects.create(user=admin, type="webauthn", data={"name": "blue", "credential": {}})
    client, writes, answers = client_of(admin), threading.Event(), list[int]()

    def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql.startswith(("BEGIN", "DELETE")) or "FOR NO KEY UPDATE" in sql:
            writes.set()
        return execute(sql, *rest)

    def remove_the_app() -> None:
        with connection.execute_wrapper(watch):
            answers.append(client.post("/second-factors/app/remove/").status_code)
        writes.set()
        connection.close()

    other = threading.Thread(target=remove_the_app)
    with transaction.atomic():
        turns.of_person(admin.pk)
        other.start()
        writes.wait()
        key.delete()
    other.join()

    assert (answers, Authenticator.objects.count()) == ([422], 1)


# --- Commands --------------------------------------------------------------------------------------------------------
def test_whoever_lost_theirs_is_helped_on_record_and_signed_out(
    admin: Person, secret: str, client_of: ClientOf
) -> None:
    client, said = client_of(admin), StringIO()

    call_command("remove_second_factors", "admin", stdout=said)

    assert said.getvalue() == "admin has no second factor any more; 1 session ended.\n"
    assert (Authenticator.objects.count(), is_signed_in(client)) == (0, False)
    entry = LedgerEntry.objects.get()
    assert (entry.action, entry.person) == ("session:revoke", "kvadmin")
    assert entry.note == "Removed 1 second factor of admin (admin) and ended 1 session, by manage.py."


def test_nobody_of_that_name_is_an_error() -> None:
    with pytest.raises(CommandError, match="Nobody signs in as 'ghost'"):
        call_command("remove_second_factors", "ghost")


def test_after_a_new_key_the_old_one_is_needless(admin: Person, secret: str, settings) -> None:
    RecoveryCodes.activate(admin)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    said = StringIO()

    call_command("renew_encryption", stdout=said)
    settings.SECRET_KEY_FALLBACKS = []

    assert said.getvalue() == "2 secrets of second factors are encrypted with the new key.\n"
    client = Client()
    password_of(admin, client)
    client.post(STEP, {"code": code_of(secret)})
    assert is_signed_in(client)


def test_without_the_old_key_nothing_is_renewed(admin: Person, secret: str, settings) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, []

    with pytest.raises(CommandError, match="Name the old key in KVADMIN_OLD_SECRET_KEYS"):
        call_command("renew_encryption")
