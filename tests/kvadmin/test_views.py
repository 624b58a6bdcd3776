"""Sign-in, help, health, navigation, and what is shown when something goes wrong."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from django.utils import timezone

from audit.ledger import LedgerUnavailable
from audit.models import LedgerEntry
from kvadmin.accounts import FAILED
from kvadmin.sign_in import DEMO_ACCOUNTS
from kvadmin.urls import handler400, handler403, handler404, handler500
from kvadmin.urls import urlpatterns as real_urls
from tests import factories
from vaults.models import Person

__all__ = ["handler400", "handler403", "handler404", "handler500"]  # read by Django, as of any URL file
HTMX = {"HX-Request": "true"}


def _refuse(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("The policy on pay-prod forbids showing values.")


def _hide(request: HttpRequest) -> HttpResponse:
    raise Http404("pay-prod/db-password")


def _crash(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the value is hunter2")


def _lose_the_database(request: HttpRequest) -> HttpResponse:
    raise OperationalError("connection to 10.0.0.4 refused")


def _lose_the_ledger(request: HttpRequest) -> HttpResponse:
    raise LedgerUnavailable


urlpatterns = [
    path("lose-the-ledger/", _lose_the_ledger),
    path("refuse/", _refuse),
    path("hide/", _hide),
    path("crash/", _crash),
    path("lose-the-database/", _lose_the_database),
    *real_urls,
]
broken_pages = pytest.mark.urls(__name__)


def sign_in(client: Client, name: str = "reader", password: str = "pw", target: str = "/help/", **extra: str):  # noqa: S107
    return client.post("/sign-in/", {"login": name, "password": password, "next": target}, **extra)


def is_signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


# --- Sign-in and sign-out --------------------------------------------------------------------------------------------


def test_name_and_password_lead_to_the_page_that_was_asked_for(client: Client, reader: Person) -> None:
    response = sign_in(client)

    assert (response.status_code, response["Location"]) == (302, "/help/")
    assert client.session["_auth_user_id"] == str(reader.pk)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", ""])
def test_a_target_on_another_host_leads_home(client: Client, reader: Person, target: str) -> None:
    assert sign_in(client, target=target)["Location"] == "/"


@pytest.mark.parametrize("name", ["reader", "nobody-of-this-name", "closed"])
def test_a_wrong_password_an_unknown_name_and_a_closed_account_get_the_same_sentence(
    client: Client, reader: Person, name: str
) -> None:
    Person.objects.create_user("closed", password="hunter2-wrong", is_active=False)

    response = sign_in(client, name, "hunter2-wrong")

    assert response.context["form"].non_field_errors() == [FAILED]
    assert b"hunter2-wrong" not in response.content
    assert not is_signed_in(client)


def test_five_bad_tries_lock_the_name_from_that_address_for_five_minutes(client: Client, reader: Person) -> None:
    for _ in range(5):
        sign_in(client, password="wrong")

    locked = sign_in(client)
    assert locked.context["form"].non_field_errors() == [FAILED]
    assert not is_signed_in(client)
    assert sign_in(Client(), REMOTE_ADDR="203.0.113.9").status_code == 302
    with time_machine.travel(timezone.now() + timedelta(minutes=5, seconds=1)):
        assert sign_in(client).status_code == 302


def test_four_bad_tries_lock_nobody(client: Client, reader: Person) -> None:
    for _ in range(4):
        sign_in(client, password="wrong")

    assert sign_in(client).status_code == 302


def test_the_lock_is_one_for_all_spellings_of_a_name(client: Client, reader: Person) -> None:
    for name in ("reader", "Reader", "READER", "rEADER", "readeR"):
        sign_in(client, name, "wrong")

    assert sign_in(client).status_code == 200
    assert not is_signed_in(client)


def test_all_addresses_of_one_ipv6_network_have_five_tries_together(client: Client, reader: Person) -> None:
    for number in range(5):
        sign_in(client, password="wrong", REMOTE_ADDR=f"2001:db8:1:2::{number + 1}")

    assert sign_in(client, REMOTE_ADDR="2001:db8:1:2::99").status_code == 200
    assert sign_in(Client(), REMOTE_ADDR="2001:db8:1:3::1").status_code == 302


def test_letters_that_postgresql_takes_for_the_same_get_no_tries_of_their_own(client: Client, db: None) -> None:
    factories.person("sid")
    for name in ("sid", "s\u0131d", "\u017fid", "\u017f\u0131d", "SID"):
        sign_in(client, name, "wrong")

    assert sign_in(client, "sid").status_code == 200
    assert not is_signed_in(client)


def test_somebody_who_is_signed_in_is_not_asked_again(client: Client, reader: Person) -> None:
    client.force_login(reader)

    assert client.get("/sign-in/?next=/help/")["Location"] == "/help/"


def test_signing_out_is_a_post(client: Client, reader: Person) -> None:
    client.force_login(reader)

    assert client.get("/sign-out/").status_code == 405
    assert is_signed_in(client)
    assert client.post("/sign-out/")["Location"] == "/sign-in/"
    assert not is_signed_in(client)


# --- The demo --------------------------------------------------------------------------------------------------------


@pytest.fixture
def demo(settings) -> None:
    settings.KVADMIN_DEMO = True


@pytest.mark.usefixtures("demo")
def test_a_demo_offers_a_button_and_the_password_for_each_account(client: Client, db: None) -> None:
    page = client.get("/sign-in/").content.decode()

    names = ["reader", "secrets-user", "approver", "approver-2", "officer", "oncall", "auditor", "admin"]
    assert [account.name for account in DEMO_ACCOUNTS] == names
    assert all(f'name="name" value="{name}"' in page for name in names)
    assert all(f"<code>demo-{name}-kvadmin</code>" in page for name in names)


def test_without_a_demo_no_account_is_offered(client: Client, db: None) -> None:
    page = client.get("/sign-in/")

    assert page.context["accounts"] == ()
    assert b"demo-" not in page.content


@pytest.mark.usefixtures("demo")
def test_a_demo_button_signs_in(client: Client, reader: Person) -> None:
    response = client.post("/sign-in/demo/", {"name": "reader", "next": "/help/"})

    assert (response.status_code, response["Location"]) == (302, "/help/")
    assert client.session["_auth_user_id"] == str(reader.pk)


@pytest.mark.usefixtures("demo")
def test_a_demo_button_leads_to_no_other_host(client: Client, reader: Person) -> None:
    assert client.post("/sign-in/demo/", {"name": "reader", "next": "//evil.example/"})["Location"] == "/"


@pytest.mark.parametrize("off", ["KVADMIN_DEMO", "KVADMIN_EMULATOR"])
@pytest.mark.usefixtures("demo")
def test_outside_a_demo_or_with_a_real_azure_no_button_works(
    client: Client, reader: Person, settings, off: str
) -> None:
    setattr(settings, off, "")

    assert client.post("/sign-in/demo/", {"name": "reader"}).status_code == 404
    assert not is_signed_in(client)


@pytest.mark.parametrize("name", ["root", "approver", "closed"])
@pytest.mark.usefixtures("demo")
def test_a_demo_button_opens_only_the_demos_own_open_accounts(client: Client, db: None, name: str) -> None:
    factories.person("root", "administrator")
    Person.objects.create_user("oncall", is_active=False)

    assert client.post("/sign-in/demo/", {"name": name}).status_code == 404
    assert client.post("/sign-in/demo/", {"name": "oncall"}).status_code == 404
    assert not is_signed_in(client)


@pytest.mark.usefixtures("demo")
def test_a_demo_button_needs_the_csrf_token(reader: Person) -> None:
    client = Client(enforce_csrf_checks=True)

    response = client.post("/sign-in/demo/", {"name": "reader"})

    assert response.status_code == 403
    assert "This page was open for too long. Reload it, and try again." in response.content.decode()
    assert not is_signed_in(client)


# --- Navigation and help ---------------------------------------------------------------------------------------------

EVERYBODY = ["Home", "Vaults", "Search", "Requests"]


def pages_of(client: Client, person: Person) -> list[str]:
    client.force_login(person)
    return [entry.label for entry in client.get("/help/").context["pages"]]


LISTING = [*EVERYBODY, "Rotation", "Compare", "Deleted", "Warnings"]  # for whoever may see secrets


def test_a_reader_is_shown_what_everybody_may_open(client: Client, reader: Person) -> None:
    assert pages_of(client, reader) == LISTING


def test_an_administrator_is_shown_sweeps_people_roles_and_policies(client: Client, admin: Person) -> None:
    assert pages_of(client, admin) == [*EVERYBODY, "Sweeps", "Log coverage", "People", "Roles", "Policies"]


def test_an_auditor_is_shown_audit_and_ledger(client: Client, auditor: Person) -> None:
    assert pages_of(client, auditor) == [*LISTING, "Log coverage", "Audit", "Findings", "Ledger"]


def test_each_part_of_the_navigation_has_its_heading_once(client: Client, auditor: Person, nobody: Person) -> None:
    """A heading does not hang on a page that only some may open."""
    headings = {}
    for person in (auditor, nobody):
        client.force_login(person)
        headings[person] = re.findall('<p class="part">([^<]*)</p>', client.get("/help/").content.decode())

    assert headings == {auditor: ["Secrets", "Azure", "Evidence"], nobody: []}


def test_the_navigation_costs_one_query_however_many_roles_there_are(
    client: Client, admin: Person, django_assert_num_queries
) -> None:
    client.force_login(admin)
    client.get("/help/")  # puts the CSRF token into the session
    for number in range(3):
        factories.assign(admin, "auditor", environment=f"env-{number}")

    with django_assert_num_queries(3):  # the session, the person, the roles
        client.get("/help/")


@pytest.mark.parametrize(
    ("where", "current"),
    [("/people/", "people"), ("/people/{pk}/", "people"), ("/roles/assign/", "roles"), ("/help/", "")],
)
def test_the_page_that_is_open_is_marked(client: Client, admin: Person, where: str, current: str) -> None:
    client.force_login(admin)

    page = client.get(where.format(pk=admin.pk))

    assert page.context["current_page"] == current
    assert page.content.decode().count('aria-current="page"') == (1 if current else 0)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/vaults/", "/vaults/pay-prod/", "/vaults/pay-prod/secrets/db-password/", "/search/", "/sync/",
        "/register-vault/", "/people/", "/roles/", "/roles/assign/", "/policies/", "/audit/", "/audit/ledger/",
        "/help/",
    ],
)  # fmt: skip
def test_a_page_answers_head_as_it_answers_get_without_a_body(client: Client, admin: Person, path: str) -> None:
    factories.secret(factories.vault("pay-prod"))
    factories.assign(admin, "auditor")
    client.force_login(admin)

    head, get = client.head(path), client.get(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head["Content-Type"] == get["Content-Type"]


def test_help_says_what_each_role_may_do(client: Client, nobody: Person) -> None:
    client.force_login(nobody)

    roles = dict(client.get("/help/").context["roles"])

    assert [action.word for action in roles["reader"]] == ["vault:list", "secret:list", "secret:request"]
    assert "secret:reveal" not in {action.word for action in roles["administrator"]}


def test_a_page_holds_no_inline_script_style_or_handler(client: Client, admin: Person) -> None:
    client.force_login(admin)

    page = client.get("/help/").content.decode()

    assert "<script>" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert " onclick=" not in page


# --- When something goes wrong ---------------------------------------------------------------------------------------


@broken_pages
def test_a_refusal_shows_its_reason(client: Client, reader: Person) -> None:
    client.force_login(reader)

    response = client.get("/refuse/")

    assert response.status_code == 403
    assert "The policy on pay-prod forbids showing values." in response.content.decode()
    assert "on record" not in response.content.decode()


def test_a_refusal_says_that_it_is_on_record_only_where_it_is(client: Client, reader: Person) -> None:
    client.force_login(reader)

    assert "This refusal is on record." in client.get("/roles/").content.decode()
    assert LedgerEntry.objects.get().phase == "refused"


@broken_pages
def test_what_is_not_there_says_nothing_about_existence(client: Client, reader: Person) -> None:
    client.force_login(reader)

    hidden, absent = client.get("/hide/"), client.get("/no-such-page/")

    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert hidden.context["sentence"] == absent.context["sentence"] == "There is nothing here that you may see."
    assert b"db-password" not in hidden.content


def test_somebody_who_is_signed_out_gets_the_same_404(client: Client, db: None) -> None:
    response = client.get("/no-such-page/")

    assert response.status_code == 404
    assert "There is nothing here that you may see." in response.content.decode()


@broken_pages
@pytest.mark.parametrize(
    ("where", "status", "sentence"),
    [
        ("/crash/", 500, "Something in kvadmin broke, and nothing was changed by this page. Try again."),
        (
            "/lose-the-database/",
            503,
            "database does not answer, so nothing was done. Try again shortly.",
        ),
    ],
)
def test_a_crash_gives_nothing_away(reader: Person, where: str, status: int, sentence: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(reader)

    response = client.get(where)

    page = response.content.decode()
    assert response.status_code == status
    assert sentence in page
    assert "hunter2" not in page
    assert "10.0.0.4" not in page


@broken_pages
def test_the_crash_page_names_the_request_by_which_its_lines_are_found(reader: Person) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(reader)

    response = client.get("/crash/")

    assert f"There this request is <code>{response['X-Request-ID']}</code>." in response.content.decode()


@broken_pages
def test_the_crash_page_asks_the_database_for_nothing(reader: Person, django_assert_num_queries) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(reader)

    with django_assert_num_queries(2):  # the session and the person, before the crash
        response = client.get("/crash/")

    assert b"kvadmin.css" in response.content


def test_a_wrong_host_is_a_bad_request(client: Client) -> None:
    response = client.get("/help/", headers={"Host": "evil.example"})

    assert response.status_code == 400
    assert "kvadmin could not make sense of this request." in response.content.decode()
    assert b"evil.example" not in response.content


@broken_pages
@pytest.mark.parametrize(
    ("where", "status", "sentence"),
    [
        ("/refuse/", 403, "The policy on pay-prod forbids showing values."),
        ("/hide/", 404, "There is nothing here that you may see."),
        ("/crash/", 500, "Something in kvadmin broke, and nothing was changed by this page. Try again."),
    ],
)
def test_htmx_gets_the_sentence_alone(reader: Person, where: str, status: int, sentence: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(reader)

    response = client.get(where, headers=HTMX)

    assert (response.status_code, response.content.decode(), response["Content-Type"]) == (
        status,
        sentence,
        "text/plain",
    )
