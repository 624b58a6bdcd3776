"""A form that is sent when the session is gone is not lost: it waits for its sender, and never with a value in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit.models import LedgerEntry
from tests import factories
from vaults import drafts
from vaults.models import Person, RevealRequest, Secret, Session

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
PAGE = "/vaults/pay-prod/secrets/db-password/ask/"
WHY = "INC-7: the nightly job fails since 02:10, and its log says that the password is refused"
OURS = {"Origin": "http://testserver", "Referer": f"http://testserver{PAGE}"}
HTMX = OURS | {"HX-Request": "true", "HX-Current-URL": f"http://testserver{PAGE}"}
FORM = {"reason": WHY, "minutes": "30", "value": "canary-draft", "password": "canary-draft", "tags": "canary-draft"}
SIGN_IN = "/sign-in/?next=%2Fvaults%2Fpay-prod%2Fsecrets%2Fdb-password%2Fask%2F"


@pytest.fixture
def secret(db: None) -> Secret:
    factories.policy("approval")
    return factories.secret(factories.vault("pay-prod"), "db-password")


@pytest.fixture
def lost(reader: Person) -> Client:
    """A browser that checks CSRF as it really is, and whose session is gone."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(reader)
    client.get("/help/")
    Session.objects.update(expire_date=timezone.now() - timedelta(minutes=1))
    return client


def come_back(client: Client, name: str = "reader", page: str = PAGE) -> str:
    """Sign in where one was led to, and look at the page that one is led back to."""
    client.handler.enforce_csrf_checks = False
    answer = client.post("/sign-in/", {"login": name, "password": "pw", "next": page})
    assert answer["Location"] == page
    return client.get(page).content.decode()


def kept_in_sessions() -> str:
    return "".join(str(row.get_decoded()) for row in Session.objects.all())


def test_a_stranger_fills_no_table_with_text(secret: Secret) -> None:
    """Whoever was never here gets a session for each request: a long text of theirs is not kept, a short one is."""
    long = dict.fromkeys(drafts.KEPT, "canary-long" * 900)
    for form in (long, {"reason": "canary-short"}):
        Client(enforce_csrf_checks=True).post(PAGE, form, headers=OURS)

    assert (kept_in_sessions().count("canary-long"), kept_in_sessions().count("canary-short")) == (0, 1)
    assert max(len(row.session_data) for row in Session.objects.all()) < 1000


def test_who_was_here_keeps_long_texts(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, {"reason": "x" * 9000, "comment": "y" * 9000}, headers=OURS)

    assert kept_in_sessions().count("y" * 9000) == 1


@pytest.mark.parametrize(("headers", "header", "status"), [(OURS, "Location", 302), (HTMX, "HX-Redirect", 200)])
def test_it_leads_to_the_sign_in_and_what_was_typed_is_there_afterwards(
    lost: Client, secret: Secret, headers: dict[str, str], header: str, status: int
) -> None:
    answer = lost.post(PAGE, FORM, headers=headers)

    assert (answer.status_code, answer[header]) == (status, SIGN_IN)
    assert "What you had typed is there again after you sign in" in lost.get(SIGN_IN).content.decode()
    page = come_back(lost)
    assert f'<dd data-draft-field="reason" class="typed">{WHY}</dd>' in page
    assert '<dd data-draft-field="minutes" class="typed">30</dd>' in page
    assert (RevealRequest.objects.count(), LedgerEntry.objects.count()) == (0, 0)


def test_a_value_is_kept_nowhere_and_the_page_says_so(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, FORM, headers=OURS)

    assert "canary-draft" not in kept_in_sessions()
    page = come_back(lost)
    assert "a value never is, nor a file: give those again." in page
    assert "canary-draft" not in page


def test_no_field_that_is_kept_could_hold_a_value() -> None:
    told = ("value", "password", "secret", "token", "code", "credential", "key", "file", "content", "tags")

    assert [name for name in drafts.KEPT if any(word in name for word in told)] == []


def test_where_all_was_kept_nothing_is_said_of_values(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, {"reason": WHY}, headers=OURS)

    assert "nor a file" not in come_back(lost)


def test_another_site_puts_no_text_into_anybodys_form(lost: Client, secret: Secret) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {}):
        lost.post(PAGE, FORM, headers=headers)

    assert WHY not in kept_in_sessions()


def test_whoever_signs_in_instead_does_not_see_it(lost: Client, secret: Secret, secrets_user: Person) -> None:
    lost.post(PAGE, FORM, headers=OURS)

    assert WHY not in come_back(lost, "secrets-user")


def test_it_is_kept_for_ten_minutes(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, FORM, headers=OURS)

    session = lost.session
    session["draft"] |= {"at": session["draft"]["at"] - 601}
    session.save()

    assert WHY not in come_back(lost)


def test_once_it_is_taken_it_is_forgotten(lost: Client, secret: Secret, approver: Person) -> None:
    lost.post(PAGE, FORM, headers=OURS)
    come_back(lost)

    lost.post(PAGE, {"reason": WHY, "minutes": "30", "use": "once"}, headers=OURS)

    assert RevealRequest.objects.count() == 1
    assert WHY not in kept_in_sessions()


def test_a_page_that_was_open_for_too_long_keeps_it_as_well(reader: Person, secret: Secret) -> None:
    """Somebody signed in anew in another tab: the token in this one is stale."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(reader)

    answer = client.post(PAGE, FORM, headers=OURS)

    assert answer.status_code == 403
    assert f'<a class="button primary" href="{PAGE}">' in answer.content.decode()
    assert f'<dd data-draft-field="reason" class="typed">{WHY}</dd>' in client.get(PAGE).content.decode()


def test_markup_stays_text(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, {"reason": "<script>alert(1)</script>"}, headers=OURS)

    assert "<script>alert(1)" not in come_back(lost)


@pytest.mark.parametrize(
    "referrer", ["https://evil.example/ask/", "http://testserver//evil.example/", "http://[::1", ""]
)
def test_a_page_of_another_host_leads_home(lost: Client, secret: Secret, referrer: str) -> None:
    answer = lost.post(PAGE, FORM, headers=OURS | {"Referer": referrer})

    assert answer["Location"] == "/sign-in/?next=%2F"


def test_a_sign_in_page_that_was_open_for_too_long_is_told_so(reader: Person) -> None:
    client = Client(enforce_csrf_checks=True)

    answer = client.post("/sign-in/", {"login": "reader", "password": "pw"}, headers=OURS)

    assert answer.status_code == 403
    assert "This page was open for too long." in answer.content.decode()


UPDATE = {"reason": WHY, "expires_on": "2027-01-31T09:00:00", "tag_value": "canary-draft"}
ROTATE = {"reason": WHY, "lines": "the nightly job\nada"}


@pytest.mark.parametrize(("verb", "form"), [("update", UPDATE), ("rotate", ROTATE)])
def test_texts_of_forms_that_keep_secrets_are_kept_and_tags_are_not(
    lost: Client, secret: Secret, verb: str, form: dict[str, str]
) -> None:
    page = f"/vaults/pay-prod/secrets/db-password/{verb}/"
    lost.post(page, form, headers=OURS | {"Referer": f"http://testserver{page}"})

    (row,) = Session.objects.filter(person=None)
    assert row.get_decoded()["draft"]["fields"] == {name: text for name, text in form.items() if name != "tag_value"}


def test_of_a_text_that_is_too_long_no_half_is_kept_and_that_is_said(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, {"reason": "x" * 10_001, "minutes": "30"}, headers=OURS)

    page = come_back(lost)
    assert "Only texts such as a reason are kept" in page
    assert "xxxx" not in page


def test_of_what_a_script_sent_as_json_nobody_says_that_it_is_kept(lost: Client, secret: Secret) -> None:
    lost.post(PAGE, '{"value": "canary-draft"}', content_type="application/json", headers=HTMX)

    page = come_back(lost)
    assert "canary-draft" not in page
    assert "a value never is, nor a file: give those again." in page
