"""A whole vault in one file that only its recipients open: complete, honest about what is missing, and resumable."""

from __future__ import annotations

import tarfile
from datetime import timedelta
from typing import Any

import pyrage
import pytest
from django.utils import timezone

from audit.ingest import ingest_rows
from audit.models import AccessEvent, LedgerEntry
from kvadmin import actions as a
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from tests.vaults import archives
from tests.vaults.archives import IDENTITY, RECIPIENT, fill, made, names_in, opened, place_of, reads, run
from vaults import archive_file, backup_run, backups, batches
from vaults.archive_reading import Archive as Opened
from vaults.archive_reading import BadArchive, identity_of
from vaults.models import Archive, Batch, BatchItem, Person, RoleAssignment, Vault

pytestmark = pytest.mark.django_db


@pytest.fixture
def pay_prod(azure: Azure) -> Vault:
    return fill(azure)


# --- What is in it ---------------------------------------------------------------------------------------------------
def test_every_secret_is_in_it_with_all_that_azure_tells_of_each_version(
    azure: Azure, pay_prod: Vault, officer: Person
) -> None:
    archive = made(officer, pay_prod)

    listed = {facts["name"]: facts for one in opened(archive) for _, some in one.lists() for facts in some}
    theirs = archives.contents(azure, "pay-prod")
    assert {name: {v["id"] for v in facts["versions"]} for name, facts in listed.items()} == {
        name: {version["id"] for version in versions} for name, versions in theirs.items()
    }
    assert listed["Secret-0001"]["tags"] == {"team": "t1", "né": "ü"}
    assert (archive.batch.total, archive.batch.done) == (5, 5)


def test_only_its_recipients_open_it_and_kvadmin_is_none(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    archive = made(officer, pay_prod)

    with place_of(archive).open("rb") as file, pytest.raises(BadArchive) as refused:
        Opened(file, pyrage.x25519.Identity.generate())
    assert refused.value.code == "wrong-key"
    assert next(opened(archive)).summary["secrets"] == 5


def test_what_can_be_read_without_a_key_names_no_secret_and_no_tag(
    azure: Azure, pay_prod: Vault, officer: Person
) -> None:
    archive = made(officer, pay_prod)

    raw = place_of(archive).read_bytes()
    assert raw.count(b"pay-prod") == 1  # whose backup this is
    assert [word for word in (b"Secret-0001", b"secret-0001", b"team", b"first\r\n") if word in raw] == []
    with tarfile.open(place_of(archive)) as tar:
        assert {(member.uname, member.uid) for member in tar} == {("", 0)}


def test_recipients_of_the_settings_open_it_too(azure: Azure, pay_prod: Vault, officer: Person, settings: Any) -> None:
    ours = pyrage.x25519.Identity.generate()
    settings.KVADMIN_BACKUP_RECIPIENTS = [str(ours.to_public())]

    archive = made(officer, pay_prod)
    assert archive.recipients == [str(ours.to_public()), RECIPIENT]
    with place_of(archive).open("rb") as file:
        assert Opened(file, ours).summary["vault"] == "pay-prod"


def test_the_file_is_the_one_whose_digest_is_on_record(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    archive = made(officer, pay_prod)

    raw = place_of(archive).read_bytes()
    assert (len(raw), archive_file.digest_of(raw)) == (archive.size, archive.digest)
    assert LedgerEntry.objects.filter(note__contains=archive.digest).count() == 1
    assert [place.name for place in backups.folder_of(archive).iterdir()] == ["archive.tar"]
    assert place_of(archive).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", ["list.age", "blobs.age", "summary.age"])
def test_a_file_that_was_cut_off_or_changed_is_not_believed(
    azure: Azure, pay_prod: Vault, officer: Person, kind: str
) -> None:
    archive = made(officer, pay_prod)
    place = place_of(archive)
    raw = bytearray(place.read_bytes())
    with tarfile.open(place) as tar:
        middle = next(member.offset_data + member.size // 2 for member in tar if member.name.endswith(kind))

    place.write_bytes(raw[:middle])
    with pytest.raises(BadArchive):
        everything_in(archive)
    raw[middle] ^= 1
    place.write_bytes(raw)
    with pytest.raises(BadArchive):
        everything_in(archive)


def everything_in(archive: Archive) -> list[str]:
    return [facts["name"] for one in opened(archive) for _, some in one.parts() for facts, _ in some]


def test_a_part_that_is_left_out_is_missed(azure: Azure, pay_prod: Vault, officer: Person, tmp_path: Any) -> None:
    archive = made(officer, pay_prod)
    fewer = tmp_path / "fewer.tar"
    with tarfile.open(place_of(archive)) as tar, tarfile.open(fewer, "w") as other:
        for member in tar:
            if not member.name.endswith("blobs.age"):
                other.addfile(member, tar.extractfile(member))

    with fewer.open("rb") as file, pytest.raises(BadArchive) as refused:
        list(Opened(file, IDENTITY).parts())
    assert refused.value.code == "damaged"


def test_a_key_file_with_its_comments_is_read_and_a_wrong_one_is_not_repeated() -> None:
    text = f"# created: 2026-12-01\n# public key: {RECIPIENT}\n{IDENTITY}\n"
    assert str(identity_of(text).to_public()) == RECIPIENT
    for wrong in ("", RECIPIENT, f"{IDENTITY}X", f"{IDENTITY}\n{IDENTITY}", "AGE-SECRET-KEY-1"):
        with pytest.raises(BadArchive) as refused:
            identity_of(wrong)
        assert (refused.value.code, refused.value.__context__) == ("no-key", None)


# --- What is not in it -----------------------------------------------------------------------------------------------
def test_what_azure_does_not_back_up_is_left_out_and_said(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    azure.put_secret("pay-prod", "tls", "key", managed=True)
    for number in range(501):
        azure.put_secret("pay-prod", "churning", str(number))

    archive = made(officer, pay_prod)
    left_out = next(opened(archive)).summary["left_out"]
    assert {(one["name"], one["state"], one["code"]) for one in left_out} == {
        ("tls", "skipped", "managed"), ("churning", "skipped", "too-many-versions"),
    }  # fmt: skip
    assert "more than 500 versions" in BatchItem.objects.get(name="churning").sentence
    assert sorted(set(reads(azure))) == [f"Secret-{number:04}" for number in range(5)]
    assert (archive.batch.done, archive.batch.skipped, archive.batch.failed) == (5, 2, 0)


def test_one_disabled_secret_spoils_no_backup_and_is_in_it_as_disabled(
    azure: Azure, pay_prod: Vault, officer: Person
) -> None:
    archive = made(officer, pay_prod)

    listed = {facts["name"]: facts["enabled"] for one in opened(archive) for _, some in one.lists() for facts in some}
    assert (listed["Secret-0000"], listed["Secret-0001"]) == (False, True)


def test_one_secret_that_azure_fails_on_fails_no_other(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    azure.faults.set("pay-prod", Fault("server", operations=frozenset({"SecretBackup"}), times=3))

    archive = made(officer, pay_prod)
    assert (archive.batch.done + archive.batch.failed, archive.batch.failed <= 1) == (5, True)


def test_a_vault_that_lets_nobody_in_ends_it_with_one_sentence(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    azure.faults.set("pay-prod", Fault("rbac", operations=frozenset({"SecretBackup"})))

    archive = archives.ask(officer, pay_prod)
    batch = run(archive)
    assert (batch.state, batch.note) == (
        "failed", "Azure refused this: kvadmin's identity has no role on this vault that allows it.",
    )  # fmt: skip
    archive.refresh_from_db()
    assert (archive.is_there, batch.items.filter(state="done").count()) == (False, 0)
    intents = LedgerEntry.objects.filter(phase="intent").count()
    assert LedgerEntry.objects.filter(phase="failed", code="rbac").count() == intents


def test_an_empty_vault_makes_no_archive(azure: Azure, officer: Person) -> None:
    batch = run(archives.ask(officer, fill(azure, secrets=0)))

    assert (batch.state, batch.note) == ("failed", "There is no secret in this vault: there is nothing to back up.")


# --- On record -------------------------------------------------------------------------------------------------------
def test_each_secrets_backup_is_a_read_on_record_with_azures_own_id(
    azure: Azure, pay_prod: Vault, officer: Person
) -> None:
    made(officer, pay_prod)

    rows = LedgerEntry.objects.filter(action="secret:backup", phase="read")
    logged = [row.correlation_id for row in azure.log if row.operation == "SecretBackup"]
    assert sorted(rows.values_list("request_id", flat=True)) == sorted(logged)
    assert set(rows.values_list("person", "reason", "vault")) == {("officer", "CHG-1: before the move", "pay-prod")}
    assert sorted(rows.values_list("secret", flat=True)) == [f"secret-{number:04}" for number in range(5)]


def test_no_alarm_rings_for_a_backup(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    made(officer, pay_prod)
    ingest_rows([as_logged(row) for row in azure.log])

    found = AccessEvent.objects.filter(is_read=True).values_list("operation", "match", "action", "person").distinct()
    assert list(found.order_by()) == [("SecretBackup", "explained", "secret:backup", "officer")]


def as_logged(row: Any) -> dict[str, Any]:
    from tests.audit.rows import OURS
    from tests.audit.rows import row as plain

    return plain(
        row.vault.name, OperationName=row.operation, Status=row.status, ObjectUrl=row.object_id_url,
        RequestUri=row.request_uri, ClientInfo=row.client_info, CorrelationId=row.correlation_id,
        TimeGenerated=row.time, claims=OURS if row.identity else {},
    )  # fmt: skip


# --- Too fast, stopped, killed ---------------------------------------------------------------------------------------
def test_azures_limit_slows_it_down_and_nothing_is_lost(azure: Azure, officer: Person) -> None:
    vault = fill(azure, secrets=12)
    azure.faults.set("pay-prod", Fault("throttled", retry_after=0, times=6, operations=frozenset({"SecretBackup"})))

    archive = archives.ask(officer, vault)
    batch = run(archive, archives.quick_clock())
    assert (batch.state, batch.throttled, len(names_in(archive))) == ("done", 6, 12)
    assert len(reads(azure)) == 12


def test_a_part_that_is_on_disk_is_never_read_again(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    """The rows of a part were lost with the worker: the file came first, and it counts."""
    archive = archives.ask(officer, pay_prod)
    folder = archive_file.make_folder(backups.folder_of(archive))
    claimed = batches.claim(archive.batch_id, 1)
    assert claimed is not None
    worker = backup_run._Run(claimed, backup_run.REAL)
    worker._list()
    worker._read_all()
    BatchItem.objects.update(state="doing", after={})
    before = reads(azure)

    run(archive)
    assert reads(azure) == before
    assert len(names_in(archive)) == 5
    assert [place.name for place in folder.iterdir()] == ["archive.tar"]


def test_what_was_under_way_when_the_worker_died_is_asked_for_anew_and_its_act_is_closed(
    azure: Azure, pay_prod: Vault, officer: Person
) -> None:
    archive = archives.ask(officer, pay_prod)
    claimed = batches.claim(archive.batch_id, 1)
    assert claimed is not None
    worker = backup_run._Run(claimed, backup_run.REAL)
    worker._list()
    item = claimed.items.first()
    act = worker.intend(item, a.SECRET_BACKUP)

    run(archive)
    assert len(names_in(archive)) == 5
    assert list(LedgerEntry.objects.filter(act=act.id).order_by("seq").values_list("phase", "code")) == [
        ("intent", ""), ("failed", "halted"),
    ]  # fmt: skip


def test_a_backup_that_was_stopped_goes_on_where_it_was(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    archive = archives.ask(officer, pay_prod)
    batches.stop(archive.batch, factories.actor(officer))
    assert (run(archive).state, reads(azure)) == ("stopped", [])

    archive.batch.refresh_from_db()
    batches.go_on(archive.batch, factories.actor(officer), backups.enqueue)
    assert (run(archive).state, len(reads(azure))) == ("done", 5)


def test_whoever_loses_the_role_meanwhile_gets_no_archive(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    archive = archives.ask(officer, pay_prod)
    RoleAssignment.objects.update(ended_at=timezone.now())

    batch = run(archive)
    assert (batch.state, reads(azure)) == ("failed", [])
    assert "may not back this vault up any more" in batch.note
    assert LedgerEntry.objects.get(phase="refused").action == "secret:backup"


def test_a_job_that_was_overtaken_does_nothing(azure: Azure, pay_prod: Vault, officer: Person) -> None:
    archive = archives.ask(officer, pay_prod)
    Batch.objects.update(turn=2)

    assert backup_run.run(archive.batch_id, 1) is None
    assert reads(azure) == []


# --- Removed again ---------------------------------------------------------------------------------------------------
def test_an_archive_is_removed_when_its_time_has_come_and_its_row_stays(
    azure: Azure, pay_prod: Vault, officer: Person
) -> None:
    old, young = made(officer, pay_prod), made(officer, pay_prod)
    Archive.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert (backups.prune(), backups.prune()) == (1, 0)
    assert (backups.folder_of(old).exists(), place_of(young).exists()) == (False, True)
    old.refresh_from_db()
    assert (old.is_there, old.removed_by, bool(old.removed_at)) == (False, "kvadmin", True)


def test_a_disk_that_is_full_ends_it_with_a_sentence(
    azure: Azure, pay_prod: Vault, officer: Person, settings: Any, tmp_path: Any
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    settings.KVADMIN_ARCHIVE_DIR = blocked

    batch = run(archives.ask(officer, pay_prod))
    assert (batch.state, batch.note) == ("failed", backup_run.NO_ROOM)
