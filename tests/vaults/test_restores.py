"""An archive goes back into a vault: what it held is there again, what was there is left alone, and nothing is kept."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from audit.models import LedgerEntry
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from tests import factories
from tests.test_canary import everything_stored
from tests.vaults import archives
from tests.vaults.archives import IDENTITY, contents, empty, fill, made, place_of, restore, take_in
from vaults import archive_file, backups, batches, restore_run, restores, sealing
from vaults.archive_reading import BadArchive
from vaults.geography import geography_of
from vaults.models import Archive, Batch, BatchItem, DeletedSecret, Person, RoleAssignment, Secret, Upload, Vault

pytestmark = pytest.mark.django_db


@pytest.fixture
def pay_prod(azure: Azure) -> Vault:
    return fill(azure)


@pytest.fixture
def archive(pay_prod: Vault, officer: Person) -> Archive:
    return made(officer, pay_prod)


@pytest.fixture
def pay_dr(azure: Azure, pay_prod: Vault) -> Vault:
    return empty(azure)


def states(batch: Batch) -> dict[str, str]:
    return dict(batch.items.values_list("name", "state"))


# --- Equal to what it was --------------------------------------------------------------------------------------------
def test_an_empty_vault_ends_up_equal_to_the_source_in_values_versions_tags_and_dates(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    batch = restore(officer, pay_dr, archive)

    assert contents(azure, "pay-dr") == contents(azure, "pay-prod")
    assert (batch.state, batch.done, batch.skipped, batch.failed) == ("done", 5, 0, 0)
    assert set(batch.items.values_list("sentence", flat=True)) == {""}  # each was compared, and nothing differed


def test_the_inventory_shows_what_was_restored_at_once(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    restore(officer, pay_dr, archive)

    found = Secret.objects.get(vault=pay_dr, key="secret-0001")
    assert (found.tags, found.content_type, found.vanished_at) == ({"team": "t1", "né": "ü"}, "text/plain", None)


def test_each_secret_is_on_record_with_azures_id_before_and_after(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    restore(officer, pay_dr, archive)

    rows = LedgerEntry.objects.filter(action="secret:restore", vault="pay-dr").exclude(request_id="")
    logged = [row.correlation_id for row in azure.log if row.operation == "SecretRestore"]
    assert sorted(rows.values_list("request_id", flat=True)) == sorted(logged)
    assert set(rows.values_list("phase", "person", "reason")) == {("done", "officer", "CHG-1: after the move")}


def test_nothing_is_read_to_compare_what_came_back(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    restore(officer, pay_dr, archive)

    assert [row.operation for row in azure.log if row.operation == "SecretGet"] == []


# --- Conflicts -------------------------------------------------------------------------------------------------------
def test_taken_names_are_shown_before_and_left_alone(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    azure.put_secret("pay-dr", "secret-0000", "theirs")
    factories.secret(pay_dr, "secret-0000")
    DeletedSecret.objects.create(vault=pay_dr, key="secret-0001", name="Secret-0001", since=timezone.now())
    planned = restores.plan(take_in(officer, pay_dr, archive))
    assert [(one.name, one.state) for one in planned[-2:]] == [("Secret-0000", "exists"), ("Secret-0001", "deleted")]
    assert Counter(one.state for one in planned) == {"free": 3, "exists": 1, "deleted": 1}

    batch = restore(officer, pay_dr, archive)
    assert (batch.done, batch.skipped) == (3, 2)
    assert contents(azure, "pay-dr")["secret-0000"][0]["value"] == "theirs"


def test_a_name_that_was_taken_meanwhile_is_told_and_the_others_go_on(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    azure.put_secret("pay-dr", "secret-0002", "theirs")

    batch = restore(officer, pay_dr, archive)
    item = batch.items.get(key="secret-0002")
    assert (batch.done, item.state, item.code) == (4, "skipped", "conflict")
    assert contents(azure, "pay-dr")["secret-0002"][0]["value"] == "theirs"


def test_another_subscription_is_explained_and_azure_is_not_even_asked(
    azure: Azure, archive: Archive, officer: Person
) -> None:
    elsewhere = empty(azure, "far-away", archives.OTHER_SUBSCRIPTION)
    planned = restores.plan(take_in(officer, elsewhere, archive))

    assert {(one.state, one.why) for one in planned} == {
        ("elsewhere", "Azure restores a backup only in the subscription in which it was made.")
    }
    assert restore(officer, elsewhere, archive).skipped == 5
    assert [row for row in azure.log if row.operation == "SecretRestore"] == []


def test_another_geography_is_a_doubt_and_an_unknown_one_is_not() -> None:
    vault = Vault(location="eastus", subscription=factories.subscription())
    facts = {"subscription": archives.SUBSCRIPTION, "location": "westeurope"}

    assert "made in the geography Europe, and this vault lies in United States" in restores.doubts(vault, facts)[0]
    assert restores.doubts(Vault(location="moonbase", subscription=factories.subscription()), facts) == []
    assert (geography_of("West Europe"), geography_of("moonbase")) == ("Europe", "")


def test_where_the_subscription_is_not_known_azure_decides(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    Vault.objects.filter(pk=pay_dr.pk).update(subscription=None)
    pay_dr.refresh_from_db()

    assert "does not know both subscriptions" in restores.doubts(pay_dr, archive_facts(archive))[0]
    assert restore(officer, pay_dr, archive).done == 5


def archive_facts(archive: Archive) -> dict[str, Any]:
    return next(archives.opened(archive)).summary


def test_a_list_that_lies_about_its_backups_is_found_out(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person, tmp_path: Path
) -> None:
    """Whoever has the public key can write an archive: Azure's answer says what a backup really was."""
    first = [(one.summary, *next(one.parts())[1][0]) for one in archives.opened(archive)]
    summary, facts, blob = first[0]
    folder = archive_file.make_folder(tmp_path / "forged")
    part = archive_file.write_part(folder, 1, [(facts | {"name": "innocent"}, blob)], archive.recipients)
    archive_file.join(folder, [part], summary, archive.recipients)
    with (folder / archive_file.DONE).open("rb") as file:
        upload = restores.take_in(officer, pay_dr, file, IDENTITY)
    batch = restores.ask(upload, restores.plan(upload), factories.actor(officer), reason="CHG-2")

    restore_run.run(batch.pk, batch.turn)
    item = batch.items.get()
    assert (item.state, item.code) == ("failed", "not-as-listed")
    assert item.sentence.startswith("Azure restored another secret, Secret-0000:")


@pytest.mark.parametrize("wrong", [{"versions": 3}, {"versions": []}, {"expires": "soon"}, {"expires": 7}, {"name": 1}])
def test_a_list_that_is_none_is_found_out_before_anything_is_kept(
    archive: Archive, pay_dr: Vault, officer: Person, tmp_path: Path, wrong: dict[str, object]
) -> None:
    summary, facts, blob = next((one.summary, *next(one.parts())[1][0]) for one in archives.opened(archive))
    folder = archive_file.make_folder(tmp_path / "forged")
    part = archive_file.write_part(folder, 1, [(facts, blob)], archive.recipients)
    other = archive_file.digest_of(blob.expose().encode())
    lines = json.dumps(facts | wrong | {"sha256": other}).encode()
    sealed = pyrage.encrypt(lines, archive_file.recipients_of(archive.recipients))
    (folder / f"{part.name}.list.age").write_bytes(sealed)
    part = replace(part, listed=archive_file.digest_of(sealed))
    archive_file.join(folder, [part], summary, archive.recipients)

    with (folder / archive_file.DONE).open("rb") as file, pytest.raises(BadArchive, match="cut off or changed"):
        restores.take_in(officer, pay_dr, file, IDENTITY)
    assert not Upload.objects.exists()


# --- Interrupted -----------------------------------------------------------------------------------------------------
def test_a_secret_that_was_under_way_when_the_worker_died_is_looked_for_and_not_restored_twice(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    restore(officer, pay_dr, archive)
    BatchItem.objects.filter(batch__act="secret:restore", key="secret-0003").update(state="doing")
    upload = take_in(officer, pay_dr, archive)
    batch = Batch.objects.get(act="secret:restore")
    Upload.objects.filter(batch=batch).update(batch=None)
    Upload.objects.filter(pk=upload.pk).update(batch=batch)
    Batch.objects.filter(pk=batch.pk).update(state="running")

    done = restore_run.run(batch.pk, 1)
    assert done is not None
    assert (done.state, done.done, batch.items.get(key="secret-0003").sentence) == (
        "done", 5, "It was there already, with the same versions: an earlier try had restored it.",
    )  # fmt: skip
    assert len([row for row in azure.log if row.operation == "SecretRestore"]) == 5


def test_an_answer_that_was_lost_is_looked_for_in_the_vault(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    azure.faults.set("pay-dr", Fault("lost", operations=frozenset({"SecretRestore"}), times=1))

    batch = restore(officer, pay_dr, archive, archives.quick_clock())
    assert (batch.state, batch.done, len(contents(azure, "pay-dr"))) == ("done", 5, 5)


def test_azures_limit_slows_it_down_and_nothing_is_lost(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    azure.faults.set("pay-dr", Fault("throttled", times=3, operations=frozenset({"SecretRestore"})))

    batch = restore(officer, pay_dr, archive, archives.quick_clock())
    assert (batch.state, batch.done, batch.throttled) == ("done", 5, 3)


def test_a_vault_that_lets_nobody_in_ends_it_and_it_goes_on_later(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    azure.faults.set("pay-dr", Fault("rbac", operations=frozenset({"SecretRestore"})))
    batch = restore(officer, pay_dr, archive)
    assert (batch.state, batch.failed, batch.left) == ("failed", 1, 4)

    azure.faults.clear("pay-dr")
    batches.retry(batch, factories.actor(officer), restores.enqueue)
    done = restore_run.run(batch.pk, 2)
    assert done is not None
    assert (done.state, done.done, contents(azure, "pay-dr") == contents(azure, "pay-prod")) == ("done", 5, True)


def test_whoever_loses_the_role_meanwhile_restores_nothing(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    upload = take_in(officer, pay_dr, archive)
    batch = restores.ask(upload, restores.plan(upload), factories.actor(officer), reason="CHG-1")
    RoleAssignment.objects.update(ended_at=timezone.now())

    done = restore_run.run(batch.pk, 1)
    assert done is not None
    assert (done.state, contents(azure, "pay-dr")) == ("failed", {})
    assert "may not restore into this vault any more" in done.note


# --- What is kept meanwhile ------------------------------------------------------------------------------------------
def sealed(upload: Upload) -> dict[str, bytes]:
    return {place.name: place.read_bytes() for place in backups.folder_of(upload).iterdir()}


def test_what_waits_is_sealed_and_gone_when_it_is_done(
    azure: Azure, archive: Archive, pay_dr: Vault, officer: Person
) -> None:
    blobs = [blob.expose() for one in archives.opened(archive) for _, some in one.parts() for _, blob in some]
    upload = take_in(officer, pay_dr, archive)
    raw = b"".join(sealed(upload).values())
    assert [
        word for word in (b"Secret-0001", b"team", blobs[0][:40].encode(), str(IDENTITY).encode()) if word in raw
    ] == []

    batch = restores.ask(upload, restores.plan(upload), factories.actor(officer), reason="CHG-1")
    restore_run.run(batch.pk, 1)
    assert not backups.folder_of(upload).exists()


def test_no_backup_and_no_key_gets_into_a_table(azure: Azure, archive: Archive, pay_dr: Vault, officer: Person) -> None:
    blobs = [blob.expose() for one in archives.opened(archive) for _, some in one.parts() for _, blob in some]
    restore(officer, pay_dr, archive)

    stored = "".join(rows for _, rows in everything_stored())
    assert [word for word in (*(blob[:60] for blob in blobs), str(IDENTITY)[:30]) if word in stored] == []


def test_what_waits_too_long_is_removed(azure: Azure, archive: Archive, pay_dr: Vault, officer: Person) -> None:
    upload = take_in(officer, pay_dr, archive)
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert (backups.prune(), backups.folder_of(upload).exists()) == (1, False)


def test_sealed_files_do_not_open_under_another_name_or_another_servers_key(settings: Any) -> None:
    closed = sealing.seal(b"what waits", "folder 000001 blobs")
    assert sealing.unseal(closed, "folder 000001 blobs") == b"what waits"

    for wrong in (closed[:-1], closed[:5], b"", bytes([closed[0] ^ 1]) + closed[1:]):
        with pytest.raises(sealing.Broken):
            sealing.unseal(wrong, "folder 000001 blobs")
    with pytest.raises(sealing.Broken):
        sealing.unseal(closed, "folder 000002 blobs")
    settings.SECRET_KEY = "another" * 10
    with pytest.raises(sealing.Broken):
        sealing.unseal(closed, "folder 000001 blobs")


def test_a_wrong_key_leaves_nothing_behind(azure: Azure, archive: Archive, pay_dr: Vault, officer: Person) -> None:
    before = sorted(place_of(archive).parent.parent.iterdir())
    with place_of(archive).open("rb") as file, pytest.raises(BadArchive):
        restores.take_in(officer, pay_dr, file, pyrage.x25519.Identity.generate())

    assert (sorted(place_of(archive).parent.parent.iterdir()), Upload.objects.count()) == (before, 0)


# --- The command -----------------------------------------------------------------------------------------------------
@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    place = tmp_path / "key.txt"
    place.write_text(f"# public key: {archives.RECIPIENT}\n{IDENTITY}\n")
    return place


def command(archive: Archive, **options: Any) -> str:
    said = io.StringIO()
    plain = {"vault": "pay-dr", "reason": "DR test", "stdout": said}
    call_command("restore_vault", str(place_of(archive)), **plain | options)
    return said.getvalue()


def test_the_command_restores_without_an_upload(azure: Azure, archive: Archive, pay_dr: Vault, key_file: Path) -> None:
    azure.put_secret("pay-dr", "secret-0002", "theirs")

    said = command(archive, identity=key_file)
    assert said.splitlines()[1:] == [
        "Secret-0002: The name is taken in the vault, by a live secret or by a deleted one. Nothing was changed.",
        "4 restored, 1 left alone, 0 failed.",
    ]
    assert len(contents(azure, "pay-dr")) == 5
    assert set(LedgerEntry.objects.filter(action="secret:restore").values_list("person", "reason")) == {
        ("kvadmin", "DR test (manage.py restore_vault)")
    }


def test_the_commands_preview_changes_nothing(azure: Azure, archive: Archive, pay_dr: Vault) -> None:
    said = command(archive, preview=True, stdin=io.StringIO(f"{IDENTITY}\n"))

    *secrets, total = said.splitlines()[1:]
    assert sorted(secrets) == [f"Secret-{n:04}: will be restored" for n in range(5)]  # as they came into the archive
    assert total == "5 to restore, 0 left alone, 0 failed."
    assert contents(azure, "pay-dr") == {}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"vault": "unknown"}, "kvadmin knows no vault of this name."),
        ({"reason": ""}, "Say why with --reason"),
        ({"stdin": io.StringIO("AGE-SECRET-KEY-1NONSENSE")}, "This is no private key of age."),
        ({"stdin": io.StringIO(str(pyrage.x25519.Identity.generate()))}, "This private key does not open the archive"),
    ],
)
def test_the_command_says_what_is_wrong(
    azure: Azure, archive: Archive, pay_dr: Vault, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CommandError) as refused:
        command(archive, **{"stdin": io.StringIO(f"{IDENTITY}\n")} | options)
    assert sentence in str(refused.value)
    assert contents(azure, "pay-dr") == {}
