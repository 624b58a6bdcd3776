"""The pages of a restore: an archive and its key go in, a preview comes out, and neither is shown or kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyrage
import pytest
from django.test import Client

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import factories
from tests.test_canary import everything_stored
from tests.vaults.archives import IDENTITY, contents, empty, fill, made, place_of, take_in
from vaults import backups, batches, restores
from vaults.models import Archive, Batch, Person, Upload, Vault

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
RESTORE = "/vaults/pay-dr/restore/"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def archive(azure: Azure, officer: Person) -> Archive:
    return made(officer, fill(azure))


@pytest.fixture
def pay_dr(azure: Azure, archive: Archive) -> Vault:
    return empty(azure)


def sent(archive: Archive, identity: object = IDENTITY) -> dict[str, Any]:
    return {"archive": io.BytesIO(place_of(archive).read_bytes()), "identity": str(identity)}


def test_a_script_sends_the_form_and_is_led_to_the_preview(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    answer = client_of(officer).post(RESTORE, sent(archive), headers=HTMX)

    assert answer.headers["HX-Redirect"] == f"/restores/{Upload.objects.get().pk}/"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"identity": ""}, "Paste the private key that opens the archive."),
        ({"identity": "AGE-SECRET-KEY-1NONSENSE"}, "This is no private key of age."),
        ({"identity": str(pyrage.x25519.Identity.generate())}, "This private key does not open the archive"),
        ({"archive": io.BytesIO(b"no archive at all" * 1000)}, "This file is not an archive that kvadmin made."),
        ({"archive": ""}, "Choose the archive, the file that was downloaded."),
    ],
)
def test_a_mistake_is_one_sentence_and_no_key_comes_back(
    fields: dict[str, Any], sentence: str, archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    answer = client_of(officer).post(RESTORE, sent(archive) | fields, headers=HTMX)

    page = answer.content.decode()
    assert (answer.status_code, page.count('class="notice bad"'), sentence in page) == (422, 1, True)
    assert (str(IDENTITY) in page, "AGE-SECRET-KEY-1NONSENSE" in page, Upload.objects.count()) == (False, False, 0)


def test_without_a_script_the_page_says_so_and_shows_no_key_either(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    answer = client_of(officer).post(RESTORE, sent(archive, pyrage.x25519.Identity.generate()))

    page = answer.content.decode()
    assert (answer.status_code, "<h1>Restore into pay-dr</h1>" in page, "SECRET-KEY-1Q" in page) == (422, True, False)


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        ("secrets-officer", {"environment": "dev"}, 404),
        ("secrets-user", {}, 403),
        ("administrator", {}, 404),
        ("", {}, 404),
    ],
)
def test_nobody_else_restores_or_sees_a_preview(
    role: str, scope: dict[str, str], status: int, archive: Archive, pay_dr: Vault, officer: Person,
    client_of: ClientOf, azure: Azure,
) -> None:  # fmt: skip
    upload = take_in(officer, pay_dr, archive)
    client = client_of(factories.person("eve", role, **scope))
    answers = [client.get(RESTORE), client.post(RESTORE, sent(archive))]
    other = [client.get(f"/restores/{upload.pk}/"), client.post(f"/restores/{upload.pk}/start/", {"reason": "mine"})]

    assert {answer.status_code for answer in answers} == {status}
    assert {answer.status_code for answer in other} == {404}
    assert [answer for answer in (*answers, *other) if b"Secret-0001" in answer.content] == []
    assert (Upload.objects.count(), contents(azure, "pay-dr")) == (1, {})


def test_another_officers_preview_is_not_mine(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    upload = take_in(officer, pay_dr, archive)
    client = client_of(factories.person("other", "secrets-officer"))

    assert client.get(f"/restores/{upload.pk}/").status_code == 404
    assert client.post(f"/restores/{upload.pk}/start/", {"reason": "mine"}).status_code == 404


def test_the_preview_tells_what_would_happen_and_a_reason_is_needed(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    factories.secret(pay_dr, "secret-0000")
    upload = take_in(officer, pay_dr, archive)
    client = client_of(officer)
    page = client.get(f"/restores/{upload.pk}/?state=exists").content.decode()
    assert (page.count('<th scope="row"'), "A secret of this name is there." in page) == (1, True)

    answer = client.post(f"/restores/{upload.pk}/start/", {"reason": ""})
    assert (answer.status_code, Batch.objects.filter(act="secret:restore").count()) == (422, 0)
    assert f'href="/restores/{upload.pk}/?state=exists"' in answer.content.decode()


def test_why_a_name_is_left_alone_is_said_once_and_only_where_there_is_one(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    names = [facts["name"] for _, some in restores.lists(take_in(officer, pay_dr, archive)) for facts in some]
    for name in names[:2]:
        factories.secret(pay_dr, name)
    page = client_of(officer).get(f"/restores/{Upload.objects.get().pk}/").content.decode()

    table = page.split("<tbody>")[1]
    assert (page.count(restores.WHY_NOT["exists"]), page.count(restores.WHY_NOT["deleted"])) == (1, 0)
    assert (table.count("Name is taken"), restores.WHY_NOT["exists"] in table) == (2, False)


def test_it_is_started_once_however_often_the_button_is_pressed(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    upload = take_in(officer, pay_dr, archive)
    for _ in range(2):
        client_of(officer).post(f"/restores/{upload.pk}/start/", {"reason": "CHG-1: after the move"})

    assert Batch.objects.filter(act="secret:restore").count() == 1


def test_two_presses_at_one_moment_start_it_once(archive: Archive, pay_dr: Vault, officer: Person) -> None:
    """Both requests have read the row before either has written it."""
    upload = take_in(officer, pay_dr, archive)
    first, second = Upload.objects.get(pk=upload.pk), Upload.objects.get(pk=upload.pk)
    planned = restores.plan(upload)
    batch = restores.ask(first, planned, factories.actor(officer), reason="CHG-1: after the move")

    with pytest.raises(batches.NotNow):
        restores.ask(second, planned, factories.actor(officer), reason="CHG-1: after the move")
    assert (list(Batch.objects.filter(act="secret:restore")), Upload.objects.get().batch) == ([batch], batch)


def test_what_waited_too_long_or_cannot_be_opened_is_a_sentence(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf, settings: Any
) -> None:
    upload, client = take_in(officer, pay_dr, archive), client_of(officer)
    for place in backups.folder_of(upload).iterdir():
        place.write_bytes(b"x" * 40)
    assert b"can no longer be opened" in client.get(f"/restores/{upload.pk}/").content

    backups.forget(upload)
    assert b"it waited for too long" in client.get(f"/restores/{upload.pk}/").content


def test_of_what_one_person_has_not_started_the_newest_three_are_kept(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    other = take_in(factories.person("other", "secrets-officer"), pay_dr, archive)
    started = take_in(officer, pay_dr, archive)
    restores.ask(started, restores.plan(started), factories.actor(officer), reason="CHG-1")
    mine = [take_in(officer, pay_dr, archive) for _ in range(4)]

    there = [backups.folder_of(upload).exists() for upload in (other, started, *mine)]
    assert there == [True, True, False, True, True, True]
    gone = client_of(officer).get(f"/restores/{mine[0].pk}/")
    assert (gone.status_code, b"you uploaded 3 newer ones" in gone.content) == (404, True)


def test_what_is_started_at_the_same_moment_is_not_removed_and_what_was_removed_is_not_started(
    archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    """Either of the two has read the row before the other has written it."""
    one, other = (take_in(officer, pay_dr, archive) for _ in range(2))
    read = {upload.pk: Upload.objects.get(pk=upload.pk) for upload in (one, other)}
    planned = restores.plan(one)
    restores.ask(one, planned, factories.actor(officer), reason="CHG-1: after the move")
    backups.forget(read[one.pk])
    assert backups.folder_of(one).exists()

    backups.forget(other)
    with pytest.raises(batches.NotNow):
        restores.ask(read[other.pk], planned, factories.actor(officer), reason="CHG-1: after the move")


def test_no_table_and_no_session_holds_the_key(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    client.post(RESTORE, sent(archive))

    key = str(IDENTITY)[:40]
    assert [table for table, rows in everything_stored() if key in rows] == []
    assert key not in repr(dict(client.session.items()))
    assert not [row for row in LedgerEntry.objects.values() if key in repr(row)]


@pytest.mark.parametrize("secrets", [1, 3])
def test_a_preview_takes_as_many_queries_for_three_as_for_one(
    secrets: int, azure: Azure, officer: Person, client_of: ClientOf, django_assert_num_queries: Any
) -> None:
    upload = take_in(officer, empty_beside(azure), made(officer, fill(azure, secrets=secrets)))
    client = client_of(officer)
    client.get("/help/")
    with django_assert_num_queries(7):
        page = client.get(f"/restores/{upload.pk}/").content.decode()
    assert page.count('<th scope="row"') == secrets


def empty_beside(azure: Azure) -> Vault:
    azure.add_subscription("00000000-0000-0000-0000-00000000aaaa", "Payments")
    return empty(azure)


# --- What may be uploaded --------------------------------------------------------------------------------------------
def test_a_file_that_is_too_large_is_refused_before_it_is_kept(
    archive: Archive, pay_dr: Vault, officer: Person, client_of: ClientOf, settings: Any
) -> None:
    settings.KVADMIN_ARCHIVE_MEGABYTES = 1
    answer = client_of(officer).post(RESTORE, {"archive": io.BytesIO(b"x" * 2_000_000), "identity": "x"})

    assert (answer.status_code, Upload.objects.count()) == (413, 0)


def test_a_stranger_uploads_nothing(archive: Archive, pay_dr: Vault) -> None:
    answer = Client().post(RESTORE, sent(archive))

    assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/sign-in/")
