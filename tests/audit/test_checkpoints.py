"""A ledger that was cut, or written anew from its beginning, no longer agrees with its signed checkpoints."""

from __future__ import annotations

import base64
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client, override_settings

from audit import chains, checkpoints, ledger, tasks, triggers
from audit.models import LedgerEntry, LedgerHead
from kvadmin import actions as a
from tests import factories
from tests.audit.rows import ADA

pytestmark = pytest.mark.django_db

KEY, OTHER_KEY = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


@pytest.fixture(autouse=True)
def _key(settings) -> None:
    settings.KVADMIN_CHECKPOINT_KEY = KEY


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.jsonl")


def write(rows: int, reason: str = "INC-1") -> None:
    for _ in range(rows):
        ledger.record(a.ROLE_ASSIGN, ADA, reason=reason)


def checkpoint(file: str) -> None:
    call_command("checkpoint_ledger", out=file, stdout=StringIO())


def verify(file: str, *options: str) -> str:
    out = StringIO()
    call_command("verify_ledger", "--checkpoint", file, *options, stdout=out)
    return out.getvalue()


def lose(*, after: int) -> None:
    """What somebody with the database's keys can do: take the last rows out, and set the head back."""
    triggers.remove(connection)
    LedgerEntry.objects.filter(seq__gt=after).delete()
    last = LedgerEntry.objects.order_by("-seq").first()
    LedgerHead.objects.update(seq=last.seq if last else 0, hash=last.hash if last else ledger.GENESIS)
    triggers.install(connection)


# --- What is found ---------------------------------------------------------------------------------------------------
def test_a_ledger_that_only_grew_agrees_with_every_checkpoint(file: str) -> None:
    for _ in range(3):
        write(2)
        checkpoint(file)

    said = verify(file).splitlines()[0]
    assert said == "The chain holds: 9 rows, none changed, none missing. It agrees with 3 checkpoints."


def test_a_ledger_that_was_cut_holds_and_yet_is_found(file: str) -> None:
    write(2)
    checkpoint(file)
    write(2)
    checkpoint(file)
    lose(after=3)

    assert chains.verify().intact
    with pytest.raises(CommandError, match=r"The checkpoint of row 5, made at \S+, no longer matches: the row is gone"):
        verify(file)


def test_a_ledger_that_was_written_anew_holds_and_the_first_checkpoint_that_differs_is_named(file: str) -> None:
    write(2)
    checkpoint(file)
    write(2)
    checkpoint(file)
    lose(after=0)
    write(9, reason="never happened")

    assert chains.verify().intact
    with pytest.raises(CommandError, match=r"The checkpoint of row 2, .* the row is another one"):
        verify(file)


def test_the_empty_ledgers_checkpoint_agrees_with_what_comes_after_it(file: str) -> None:
    checkpoint(file)
    write(1)

    assert "It agrees with 1 checkpoint." in verify(file)


# --- Who signed it ---------------------------------------------------------------------------------------------------
def test_whoever_verifies_needs_the_public_key_alone(file: str) -> None:
    write(1)
    checkpoint(file)
    key = checkpoints.public_key()

    with override_settings(KVADMIN_CHECKPOINT_KEY=""):
        assert "It agrees with 1 checkpoint." in verify(file, "--key", key)
        with pytest.raises(CommandError, match="KVADMIN_CHECKPOINT_KEY is not set"):
            verify(file)


@pytest.mark.parametrize("field", ["seq", "hash", "at"])
def test_a_checkpoint_that_was_changed_is_no_longer_signed(file: str, field: str) -> None:
    write(1)
    checkpoint(file)
    facts = json.loads(Path(file).read_text())
    facts[field] = 1000 if field == "seq" else facts[field][:-1] + ("0" if facts[field][-1] != "0" else "1")
    Path(file).write_text(json.dumps(facts))

    with pytest.raises(CommandError, match=r"Line 1 of \S+ is not signed with a key that is trusted here\."):
        verify(file)


def test_a_checkpoint_of_another_key_is_not_trusted_until_that_key_is_named(file: str) -> None:
    write(1)
    with override_settings(KVADMIN_CHECKPOINT_KEY=OTHER_KEY):
        checkpoint(file)
        other = checkpoints.public_key()
    checkpoint(file)

    with pytest.raises(CommandError, match="Line 1 of"):
        verify(file)
    assert "It agrees with 2 checkpoints." in verify(file, "--key", checkpoints.public_key(), other)


@pytest.mark.parametrize("line", ["not json", "[]", "{}", '{"seq":"1","hash":"x","at":"y","signature":"AAAA"}', "null"])
def test_a_line_that_is_no_checkpoint_is_named(file: str, line: str) -> None:
    Path(file).write_text(f"\n{line}\n")

    with pytest.raises(CommandError, match=r"Line 2 of \S+ is no checkpoint\."):
        verify(file)


def test_a_file_without_a_checkpoint_or_that_is_not_there_verifies_nothing(file: str, tmp_path: Path) -> None:
    Path(file).write_text("\n")

    with pytest.raises(CommandError, match="There is no checkpoint in these files"):
        verify(file)
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        verify(str(tmp_path / "missing"))
    with pytest.raises(CommandError, match="is no public key of a checkpoint"):
        verify(file, "--key", "AAAA")


# --- The clock, the page, the setting --------------------------------------------------------------------------------
def test_the_job_signs_only_when_the_ledger_has_grown(file: str, settings) -> None:
    settings.KVADMIN_CHECKPOINT_FILE = file
    write(1)

    assert [tasks.checkpoint_ledger.call() for _ in range(3)] == [1, 0, 0]
    write(1)
    assert tasks.checkpoint_ledger.call() == 3
    assert len(Path(file).read_text().splitlines()) == 2


def test_the_job_does_nothing_without_a_key_or_a_file(settings) -> None:
    write(1)
    assert tasks.checkpoint_ledger.call() == 0

    settings.KVADMIN_CHECKPOINT_KEY = ""
    settings.KVADMIN_CHECKPOINT_FILE = "/nowhere/at/all"
    assert tasks.checkpoint_ledger.call() == 0
    assert LedgerEntry.objects.count() == 1


def test_a_file_that_cannot_be_written_is_told_and_leaves_no_row_that_says_it_was(tmp_path: Path) -> None:
    write(1)

    with pytest.raises(CommandError, match="cannot be written: No such file"):
        checkpoint(str(tmp_path / "missing" / "ledger.jsonl"))
    assert LedgerEntry.objects.count() == 1


def test_the_ledgers_page_tells_of_the_last_checkpoint_and_of_the_last_verification_apart(
    client: Client, file: str
) -> None:
    client.force_login(factories.person("auditor", "auditor"))
    client.post("/audit/ledger/verify/")
    checkpoint(file)

    body = client.get("/audit/ledger/").content.decode()
    assert "Checkpoint of row 1: " in body
    assert "The chain holds: 0 rows, none changed, none missing." in body
    assert "The chain did not hold" not in body


def test_a_key_of_the_wrong_size_stops_the_start() -> None:
    from tests.processes import manage

    process = manage("check", KVADMIN_CHECKPOINT_KEY="short")
    said = process.communicate()[0]
    assert "KVADMIN_CHECKPOINT_KEY: must be 32 random bytes as base64" in said
