"""The pages of whole-vault backups: who may ask, watch, download and remove, and what a mistake costs."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pyrage
import pytest
from django.test import Client
from django_tasks_db.models import DBTaskResult

from audit.models import LedgerEntry
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults.archives import IDENTITY, RECIPIENT, ask, empty, fill, made, place_of
from vaults import archive_file, backups, batches
from vaults.models import Archive, Batch, Person, Secret, Vault
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
ASK = {"recipients": RECIPIENT, "reason": "CHG-1: before the move"}


@pytest.fixture
def pay_prod(azure: Azure) -> Vault:
    vault = fill(azure)
    sync_inventory()
    vault.refresh_from_db()
    return vault


@pytest.fixture
def archive(pay_prod: Vault, officer: Person) -> Archive:
    return made(officer, pay_prod)


# --- Asking ----------------------------------------------------------------------------------------------------------
def test_an_officer_asks_and_the_worker_makes_it(
    pay_prod: Vault, officer: Person, client_of: ClientOf, run_jobs: Callable[[], None]
) -> None:
    client = client_of(officer)
    assert "Back up 5 secrets" in client.get("/vaults/pay-prod/backup/").content.decode()

    answer = client.post("/vaults/pay-prod/backup/", ASK)
    archive = Archive.objects.get()
    assert (answer.headers["Location"], archive.recipients) == (f"/archives/{archive.pk}/", [RECIPIENT])
    assert "Waiting for a worker." in client.get(f"/archives/{archive.pk}/").content.decode()
    run_jobs()
    page = client.get(f"/archives/{archive.pk}/").content.decode()
    archive.refresh_from_db()
    assert (archive.digest in page, "Nothing was left out" in page, ">Download<" in page) == (True, True, True)


@pytest.mark.parametrize(
    ("role", "scope", "status"),
    [
        ("secrets-officer", {"environment": "dev"}, 404),
        ("secrets-user", {}, 403),
        ("auditor", {}, 403),
        ("administrator", {}, 404),
        ("", {}, 404),
    ],
)
def test_nobody_else_asks_or_learns_of_an_archive(
    role: str, scope: dict[str, str], status: int, archive: Archive, client_of: ClientOf, azure: Azure
) -> None:
    reads = len(azure.log)
    client = client_of(factories.person("eve", role, **scope))
    one = f"/archives/{archive.pk}/"
    answers = [client.get("/vaults/pay-prod/backup/"), client.post("/vaults/pay-prod/backup/", ASK), client.get(one)]
    answers += [client.post(f"{one}download/"), client.post(f"{one}remove/"), client.post(f"{one}stop/")]

    assert {answer.status_code for answer in answers} == {status}
    assert [answer for answer in answers if archive.digest in answer.content.decode()] == []
    assert (Archive.objects.count(), place_of(archive).exists(), len(azure.log)) == (1, True, reads)


def test_a_part_of_the_vault_is_not_enough_to_take_all_of_it(archive: Archive, client_of: ClientOf) -> None:
    client = client_of(factories.person("eve", "secrets-officer", vault=archive.vault, prefix="secret-000"))

    assert [client.get("/vaults/pay-prod/backup/").status_code, client.get(f"/archives/{archive.pk}/").status_code] == [
        403, 403,
    ]  # fmt: skip
    assert "pay-prod" not in client.get("/archives/").content.decode()


def test_an_officer_of_elsewhere_sees_only_their_own_vaults_archives(archive: Archive, client_of: ClientOf) -> None:
    client = client_of(factories.person("eve", "secrets-officer", environment="dev"))

    assert "No archive yet" in client.get("/archives/").content.decode()


@pytest.mark.parametrize(
    ("recipients", "sentence"),
    [
        ("", "Name at least one public key."),
        ("age1nonsense", "Key 1 is no public key of age"),
        (f"{RECIPIENT} ssh-ed25519", "Key 2 is no public key of age"),
        (" ".join(str(pyrage.x25519.Identity.generate().to_public()) for _ in range(11)), "more than 10 keys"),
    ],
    ids=["none", "nonsense", "the second", "too many"],  # keys are made anew in each process
)
def test_a_wrong_key_is_told_at_its_field_and_nothing_typed_is_lost(
    recipients: str, sentence: str, pay_prod: Vault, officer: Person, client_of: ClientOf
) -> None:
    answer = client_of(officer).post("/vaults/pay-prod/backup/", {"recipients": recipients, "reason": "CHG-1 and on"})

    page = answer.content.decode()
    assert (answer.status_code, sentence in page, 'value="CHG-1 and on"' in page) == (422, True, True)
    assert Archive.objects.count() == 0


def test_a_private_key_that_was_pasted_by_mistake_is_not_shown_again(
    pay_prod: Vault, officer: Person, client_of: ClientOf
) -> None:
    answer = client_of(officer).post("/vaults/pay-prod/backup/", ASK | {"recipients": f"{RECIPIENT}\n{IDENTITY}"})

    page = answer.content.decode()
    assert (answer.status_code, "This is a private key." in page, str(IDENTITY) in page) == (422, True, False)


def test_with_recipients_in_the_settings_none_has_to_be_typed(
    pay_prod: Vault, officer: Person, client_of: ClientOf, settings: Any
) -> None:
    settings.KVADMIN_BACKUP_RECIPIENTS = [RECIPIENT]
    client = client_of(officer)
    assert RECIPIENT in client.get("/vaults/pay-prod/backup/").content.decode()

    client.post("/vaults/pay-prod/backup/", ASK | {"recipients": ""})
    assert Archive.objects.get().recipients == [RECIPIENT]


def test_a_second_backup_of_a_vault_waits_for_the_first(pay_prod: Vault, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    client.post("/vaults/pay-prod/backup/", ASK)
    page = client.post("/vaults/pay-prod/backup/", ASK, follow=True).content.decode()

    assert (Archive.objects.count(), DBTaskResult.objects.count()) == (1, 1)
    assert "A backup of this vault is under way already" in page


def test_of_two_who_ask_at_once_one_gets_a_backup(pay_prod: Vault, officer: Person) -> None:
    """Both have seen that none is under way; the second one's turn comes when the first has one."""
    first = ask(officer, pay_prod)

    with pytest.raises(batches.NotNow, match="under way already"):
        ask(factories.person("other", "secrets-officer"), pay_prod)
    assert (list(Archive.objects.all()), Batch.objects.count()) == ([first], 1)


def test_a_page_of_a_backup_reads_nothing(archive: Archive, officer: Person, client_of: ClientOf, azure: Azure) -> None:
    before = len(azure.log)
    for path in ("/archives/", f"/archives/{archive.pk}/", "/vaults/pay-prod/backup/", "/vaults/pay-prod/restore/"):
        assert client_of(officer).get(path).status_code == 200

    assert len(azure.log) == before


# --- Watching --------------------------------------------------------------------------------------------------------
def test_progress_is_honest_and_ends_by_telling_the_page(pay_prod: Vault, officer: Person, client_of: ClientOf) -> None:
    client = client_of(officer)
    client.post("/vaults/pay-prod/backup/", ASK)
    archive, headers = Archive.objects.get(), {"HX-Request": "true", "HX-Target": "work-progress"}
    Batch.objects.update(state="running", total=2000, done=300, skipped=2, failed=1, throttled=4)
    page = client.get(f"/archives/{archive.pk}/", headers=headers).content.decode()
    assert '<progress max="2000" value="303"' in page
    assert "Azure said 4 times that this was too fast" in page

    Batch.objects.update(state="done")
    answer = client.get(f"/archives/{archive.pk}/", headers=headers)
    assert answer.headers["HX-Trigger"] == '{"work-over": {}}'
    assert "hx-trigger" not in answer.content.decode()


def test_stop_and_go_on(pay_prod: Vault, officer: Person, client_of: ClientOf, run_jobs: Callable[[], None]) -> None:
    client = client_of(officer)
    client.post("/vaults/pay-prod/backup/", ASK)
    one = f"/archives/{Archive.objects.get().pk}/"
    client.post(f"{one}stop/")
    run_jobs()
    assert Batch.objects.get().state == "stopped"
    client.post(f"{one}go-on/")
    run_jobs()
    assert (Batch.objects.get().state, Archive.objects.get().is_there) == ("done", True)


def test_another_officer_may_look_and_not_steer(pay_prod: Vault, officer: Person, client_of: ClientOf) -> None:
    client_of(officer).post("/vaults/pay-prod/backup/", ASK)
    one = f"/archives/{Archive.objects.get().pk}/"
    other = client_of(factories.person("other", "secrets-officer", environment="prod"))
    assert ">Stop<" not in other.get(one).content.decode()
    other.post(f"{one}stop/")

    assert Batch.objects.get().state == "queued"


@pytest.mark.parametrize("count", [1, 3])
def test_lists_take_as_many_queries_for_three_as_for_one(
    count: int, pay_prod: Vault, officer: Person, client_of: ClientOf, django_assert_num_queries: Any
) -> None:
    for _ in range(count):
        archive = made(officer, pay_prod)
    archive.batch.items.update(state="skipped", sentence="why")
    Secret.objects.all().delete()
    client = client_of(officer)
    client.get("/help/")
    with django_assert_num_queries(6):
        page = client.get("/archives/").content.decode()
    assert page.count('<th scope="row">') == count


# --- The file --------------------------------------------------------------------------------------------------------
def test_whoever_asked_downloads_the_file_once_more_on_record_and_nothing_stores_it(
    archive: Archive, officer: Person, client_of: ClientOf
) -> None:
    answer = client_of(officer).post(f"/archives/{archive.pk}/download/")
    raw = answer.getvalue()

    assert (len(raw), archive_file.digest_of(raw)) == (archive.size, archive.digest)
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="pay-prod-')
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert tar.getnames()[0] == "kvadmin-backup.json"
    rows = LedgerEntry.objects.filter(act=LedgerEntry.objects.first().act).order_by("seq")
    assert [(row.phase, row.person, row.vault) for row in rows] == [
        ("intent", "officer", "pay-prod"), ("done", "officer", "pay-prod"),
    ]  # fmt: skip
    assert [row.note for row in rows][1] == f"{archive.size:,} bytes sent"


def test_a_download_that_breaks_off_is_on_record_as_such(archive: Archive, officer: Person) -> None:
    chunks = backups.hand_out(archive, factories.actor(officer))
    assert next(chunks).startswith(b"kvadmin-backup.json")
    chunks.close()

    last = LedgerEntry.objects.all()[0]
    assert (last.phase, last.code, last.note) == ("failed", "cut-off", "0 bytes sent")


def test_an_archive_of_somebody_else_is_not_handed_out(archive: Archive, client_of: ClientOf) -> None:
    other = client_of(factories.person("other", "secrets-officer"))

    answer = other.post(f"/archives/{archive.pk}/download/")
    assert (answer.status_code, b"handed to whoever asked for it" in answer.content) == (404, True)
    assert ">Download<" not in other.get(f"/archives/{archive.pk}/").content.decode()


def test_a_get_downloads_nothing(archive: Archive, officer: Person, client_of: ClientOf) -> None:
    assert client_of(officer).get(f"/archives/{archive.pk}/download/").status_code == 405


def test_removing_takes_the_file_away_and_leaves_the_row(
    archive: Archive, officer: Person, client_of: ClientOf
) -> None:
    client = client_of(officer)
    client.post(f"/archives/{archive.pk}/remove/")

    assert backups.folder_of(archive).exists() is False
    assert "by officer" in client.get(f"/archives/{archive.pk}/").content.decode()
    assert client.post(f"/archives/{archive.pk}/download/").status_code == 404
    assert LedgerEntry.objects.first().note == f"archive {archive.pk} removed"


def test_a_file_that_is_missing_is_a_sentence(archive: Archive, officer: Person, client_of: ClientOf) -> None:
    place_of(archive).unlink()

    answer = client_of(officer).post(f"/archives/{archive.pk}/download/")
    assert (answer.status_code, b"Do web and worker share KVADMIN_ARCHIVE_DIR?" in answer.content) == (404, True)


# --- Batches of many secrets -----------------------------------------------------------------------------------------
def test_a_backup_is_no_change_of_many_secrets(archive: Archive, officer: Person, client_of: ClientOf) -> None:
    """Going on with it there would make another kind of work of it."""
    client = client_of(officer)

    assert client.get(f"/bulk/{archive.batch_id}/").status_code == 404
    assert client.post(f"/bulk/{archive.batch_id}/go-on/").status_code == 404


def test_what_is_free_is_restored_by_the_worker_as_the_preview_said(
    azure: Azure, archive: Archive, officer: Person, client_of: ClientOf, run_jobs: Callable[[], None]
) -> None:
    empty(azure)
    client = client_of(officer)
    sent = {"archive": io.BytesIO(place_of(archive).read_bytes()), "identity": str(IDENTITY)}
    where = client.post("/vaults/pay-dr/restore/", sent).headers["Location"]
    assert "Restore 5 secrets" in client.get(where).content.decode()

    client.post(f"{where}start/", {"reason": "CHG-1: after the move"})
    run_jobs()
    batch = Batch.objects.get(act="secret:restore")
    assert (batch.title in client.get(where).content.decode(), batch.state, batch.done) == (True, "done", 5)
    assert Secret.objects.filter(vault__name="pay-dr").count() == 5
