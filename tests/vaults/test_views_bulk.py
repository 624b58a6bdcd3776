"""Changing many secrets from the web: choosing, the preview, confirming what was shown, and watching it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults.bulk_world import asked, company, counts, tags, work
from vaults.models import Batch, BatchItem, Person, RoleAssignment, Secret, Vault

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
BLUE = "/bulk/?change=add-tags&tags=team%3Dblue"
PROGRESS = {"HX-Request": "true", "HX-Target": "work-progress"}


@pytest.fixture
def pay(db: None) -> Vault:
    """Three secrets: one ordinary, one that has the tag already, one of a certificate."""
    vault = factories.vault("pay-prod", health="ok", listed_at=timezone.now())
    factories.secret(vault, "db-password", tags={"app": "pay"})
    factories.secret(vault, "api-key", tags={"team": "blue"})
    factories.secret(vault, "tls", managed=True)
    return vault


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def shown(page: str) -> str:
    found = re.search(r'name="shown" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def confirm(client: Client, path: str = BLUE, **fields: str) -> HttpResponse:
    return client.post(path, {"reason": "CHG-1: owners", "shown": shown(text(client, path)), **fields})


def stats(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<div class="stat[^"]*"><strong>([\d,]+)</strong><span>([^<]+)</span>', page)


# --- The preview -----------------------------------------------------------------------------------------------------
def test_the_preview_says_of_each_secret_what_changes_or_why_not(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    page = text(client_of(officer), BLUE)
    assert stats(page) == [
        ("1", "would be changed"),
        ("1", "belong to a certificate: left alone"),
        ("1", "are so already: left alone"),
    ]
    assert '<ins><span class="hush">added: </span>+ team=blue</ins>' in page
    assert "It belongs to a certificate, which it follows: change the certificate." in page


def test_a_search_says_which_vaults_it_does_not_know_and_ticks_need_no_search(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    factories.vault("hr-prod", health="firewall")
    client = client_of(officer)

    assert "Searched 1 of 2 vaults" in text(client, BLUE)
    assert "Searched" not in text(client, f"{BLUE}&pick={pay.secrets.first().pk}")


def test_what_one_may_see_and_not_change_is_told_and_what_one_may_not_see_is_not(
    pay: Vault, client_of: ClientOf
) -> None:
    factories.secret(factories.vault("hr-test", environment="test"), "salary-key")
    factories.secret(factories.vault("top", environment="hush"), "hidden-key")
    person = factories.person("eve", "secrets-officer", environment="test")
    factories.assign(person, "reader", environment="prod")
    page = text(client_of(person), BLUE)
    assert ("2", "you may not change: left alone") in stats(page)
    assert ("1", "would be changed") in stats(page)
    assert [word in page for word in ("salary-key", "db-password", "hidden-key")] == [True, True, False]


def test_whoever_may_change_nothing_gets_no_preview(
    pay: Vault, reader: Person, nobody: Person, client_of: ClientOf
) -> None:
    for person in (reader, nobody):
        assert "db-password" not in text(client_of(person), BLUE, 403)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=db", ["db-password"]),
        ("q=tag:team", ["api-key"]),
        ("state=managed", ["tls"]),
        ("vault=PAY-prod", ["api-key", "db-password", "tls"]),
        ("vault=pay", []),
        ("q=password+vault:hr", []),
    ],
)
def test_secrets_are_chosen_by_the_words_of_the_search_and_the_lists(
    pay: Vault, officer: Person, client_of: ClientOf, query: str, names: list[str]
) -> None:
    page = client_of(officer).get(f"{BLUE}&{query}").context["page"]
    assert [row.secret.name for row in page] == names


def test_ticked_ones_are_taken_exactly_and_those_that_are_gone_are_said_to_be(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    first, _, third = Secret.objects.order_by("pk")
    Secret.objects.filter(pk=third.pk).update(vanished_at=timezone.now())
    response = client_of(officer).get(f"{BLUE}&pick={first.pk}&pick={third.pk}&q=api")
    assert [row.secret.pk for row in response.context["page"]] == [first.pk]
    assert ("1", "ticked, but not there any more") in stats(response.content.decode())


def test_a_tick_on_a_secret_that_one_may_not_see_tells_nothing_of_it(pay: Vault, client_of: ClientOf) -> None:
    hidden = Secret.objects.get(key="db-password")
    person = factories.person("eve", "secrets-officer", environment="test")
    page = text(client_of(person), f"{BLUE}&pick={hidden.pk}&pick=999999")
    assert ("db-password" in page, ("2", "ticked, but not there any more") in stats(page)) == (False, True)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("change=add-tags", "This change needs it."),
        ("change=add-tags&tags=blue", "“blue” is no tag: write name=value, one in each line."),
        ("change=add-tags&tags=a%3D1%0Aa%3D2", "The tag “a” stands there twice."),
        ("change=expiry&expires=soon", "Give a date such as 2027-01-31 09:00, in UTC."),
        ("change=expiry&expires=51703-01-01T00:00", "Give a date such as 2027-01-31 09:00, in UTC."),
        ("change=expiry&expires=9999-12-31T23:59", "Azure&#x27;s dates end with the year 9999."),
        ("change=remove-tags", "This change needs it."),
        ("change=purge", "Select a valid choice."),
        ("change=enable&q=is:new", "“is:new” is not known"),
        ("change=enable&pick=1%3Bdrop", "At most 500 secrets can be ticked"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence_and_nothing_is_previewed(
    pay: Vault, officer: Person, client_of: ClientOf, query: str, sentence: str
) -> None:
    page = text(client_of(officer), f"/bulk/?{query}", 422)
    assert (sentence in page, "db-password" in page) == (True, False)


@pytest.mark.parametrize("count", [1, 3])
def test_a_preview_takes_as_many_queries_for_three_secrets_in_three_vaults_as_for_one(
    officer: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    for number in range(count):
        factories.secret(factories.vault(f"more-{number}"), "token")
    client = client_of(officer)
    client.get("/help/")  # the first page puts the CSRF token into the session
    with django_assert_num_queries(8):  # type: ignore[attr-defined]
        page = text(client, BLUE)
    assert page.count('<th scope="row">') == count


def test_a_long_preview_comes_in_pages_and_is_bound_as_a_whole(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    for number in range(60):
        factories.secret(pay, f"token-{number:02}")
    client = client_of(officer)
    first, second = text(client, BLUE), text(client, f"{BLUE}&page=2")
    assert (first.count('<th scope="row">'), second.count('<th scope="row">')) == (50, 13)
    assert shown(first) == shown(second)


def test_opening_a_preview_changes_nothing(azure: Azure, officer: Person, client_of: ClientOf) -> None:
    company(azure)
    text(client_of(officer), BLUE)
    assert (Batch.objects.count(), tags(azure, "s-0000")) == (0, {"app": "pay"})


# --- Confirming ------------------------------------------------------------------------------------------------------
def test_what_was_shown_is_done_with_the_reason_and_by_the_worker(
    azure: Azure, officer: Person, client_of: ClientOf, run_jobs: Callable[[], None]
) -> None:
    company(azure)
    answer = confirm(client_of(officer))
    batch = Batch.objects.get()
    assert (answer.headers["Location"], batch.state, batch.asked_by) == (f"/bulk/{batch.pk}/", "queued", officer)
    assert DBTaskResult.objects.get().args_kwargs == {"args": [batch.pk, 1], "kwargs": {}}
    run_jobs()
    batch.refresh_from_db()
    assert (counts(batch), tags(azure, "s-0002")) == ((3, 3, 0, 0), {"app": "pay", "team": "blue"})


def test_without_a_reason_nothing_is_done(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    answer = confirm(client_of(officer), reason="")
    assert (answer.status_code, Batch.objects.count()) == (422, 0)
    assert "Say why, in a few words: the reason is kept in the ledger." in answer.content.decode()


def test_a_preview_that_no_longer_holds_is_shown_anew_and_nothing_is_done(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    before = shown(text(client, BLUE))
    Secret.objects.filter(key="db-password").update(tags={"app": "pay", "owner": "eve"})
    answer = client.post(BLUE, {"reason": "CHG-1: owners", "shown": before})
    page = answer.content.decode()
    assert (answer.status_code, Batch.objects.count(), shown(page) == before) == (409, 0, False)
    assert ("This is how it is now." in page, 'value="CHG-1: owners"' in page) == (True, True)


def test_a_right_that_was_lost_since_the_preview_is_another_preview(
    pay: Vault, officer: Person, client_of: ClientOf
) -> None:
    factories.assign(officer, "secrets-officer", vault=factories.vault("other"))
    factories.assign(officer, "reader")
    client = client_of(officer)
    before = shown(text(client, BLUE))
    RoleAssignment.objects.filter(role="secrets-officer", scope_kind="everything").update(ended_at=timezone.now())
    assert client.post(BLUE, {"reason": "CHG-1: owners", "shown": before}).status_code == 409
    assert Batch.objects.count() == 0


# --- Watching --------------------------------------------------------------------------------------------------------
def test_progress_tells_how_far_it_is_and_asks_again_by_itself(
    azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    company(azure)
    batch = asked(officer)
    client = client_of(officer)
    page = client.get(f"/bulk/{batch.pk}/", headers=PROGRESS).content.decode()
    assert stats(page) == [("0", "done"), ("0", "failed"), ("0", "skipped"), ("3", "to do, of 3")]
    assert 'hx-trigger="every 1s"' in page
    work(batch, azure)
    answer = client.get(f"/bulk/{batch.pk}/", headers=PROGRESS)
    assert stats(answer.content.decode())[0] == ("3", "done")
    assert (answer.headers["HX-Trigger"], "every 1s" in answer.content.decode()) == ('{"work-over": {}}', False)


def test_each_secrets_result_stands_there_with_azures_reason(
    azure: Azure, officer: Person, client_of: ClientOf
) -> None:
    company(azure)
    batch = work(asked(officer), azure)
    BatchItem.objects.filter(key="s-0001").update(state="failed", sentence="<b>Azure refused this</b>.")
    page = text(client_of(officer), f"/bulk/{batch.pk}/?state=failed")
    assert (page.count('<th scope="row">'), "&lt;b&gt;Azure refused this" in page) == (1, True)


def test_a_batch_is_for_whoever_asked_and_for_those_who_audit_or_change_everything(
    azure: Azure, officer: Person, auditor: Person, reader: Person, client_of: ClientOf
) -> None:
    company(azure)
    eve = factories.person("eve", "secrets-officer", environment="prod")
    batch = asked(eve)
    elsewhere = factories.person("bob", "secrets-officer", environment="prod")
    answers = [client_of(person).get(f"/bulk/{batch.pk}/") for person in (eve, officer, auditor, elsewhere, reader)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 404]
    assert ["s-0000" in answer.content.decode() for answer in answers] == [True, True, True, False, False]


@pytest.mark.parametrize("verb", ["stop", "go-on", "retry"])
def test_only_whoever_asked_or_may_change_everything_steers_it(
    azure: Azure, auditor: Person, client_of: ClientOf, verb: str
) -> None:
    company(azure)
    eve = factories.person("eve", "secrets-officer", environment="prod")
    batch = asked(eve)
    elsewhere = factories.person("bob", "secrets-officer", environment="prod")
    answers = [client_of(person).post(f"/bulk/{batch.pk}/{verb}/") for person in (auditor, elsewhere)]
    batch.refresh_from_db()
    assert [answer.status_code for answer in answers] == [403, 404]
    assert (batch.state, batch.turn) == ("queued", 1)


def test_it_is_stopped_and_carried_on_and_both_are_on_record(
    azure: Azure, officer: Person, client_of: ClientOf, run_jobs: Callable[[], None]
) -> None:
    company(azure)
    client = client_of(officer)
    batch = asked(officer)
    client.post(f"/bulk/{batch.pk}/stop/")
    work(batch, azure)
    assert ">Go on</button>" in text(client, f"/bulk/{batch.pk}/")
    client.post(f"/bulk/{batch.pk}/go-on/")
    run_jobs()
    batch.refresh_from_db()
    assert (batch.state, counts(batch)) == ("done", (3, 3, 0, 0))
    notes = LedgerEntry.objects.filter(secret="").order_by("seq").values_list("note", flat=True)
    assert list(notes)[1:] == [f"batch {batch.pk} is to stop", f"batch {batch.pk} goes on"]


def test_stopping_what_is_over_says_so(azure: Azure, officer: Person, client_of: ClientOf) -> None:
    company(azure)
    batch = work(asked(officer), azure)
    page = client_of(officer).post(f"/bulk/{batch.pk}/stop/", follow=True).content.decode()
    assert "It is over, or is being stopped already." in page


@pytest.mark.parametrize("count", [1, 3])
def test_a_batchs_page_takes_as_many_queries_for_three_secrets_as_for_one(
    azure: Azure, officer: Person, client_of: ClientOf, count: int, django_assert_num_queries: Callable[[int], object]
) -> None:
    company(azure, secrets=1, vaults=tuple(f"pay-{number}-prod" for number in range(count)))
    batch = asked(officer)
    client = client_of(officer)
    client.get("/help/")
    with django_assert_num_queries(7):  # type: ignore[attr-defined]
        page = text(client, f"/bulk/{batch.pk}/")
    assert page.count('<th scope="row">') == count


# --- From the lists --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/vaults/pay-prod/?q=db", "/search/?q=db-p"])
def test_lists_offer_ticks_to_whoever_may_change_something_there(
    pay: Vault, officer: Person, reader: Person, client_of: ClientOf, path: str
) -> None:
    pk = Secret.objects.get(key="db-password").pk
    mine, theirs = text(client_of(officer), path), text(client_of(reader), path)
    assert f'<input type="checkbox" name="pick" value="{pk}" form="bulk-pick">' in mine
    assert ('name="pick"' in theirs, "bulk-pick" in theirs) == (False, False)


def test_a_lists_filter_leads_to_the_same_choice(pay: Vault, officer: Person, client_of: ClientOf) -> None:
    page = text(client_of(officer), "/vaults/pay-prod/?q=db&state=endless")
    assert 'href="/bulk/?q=db&amp;state=endless&amp;vault=pay-prod"' in page
