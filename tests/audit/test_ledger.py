"""The ledger remembers what was done, in order, and cannot be made to forget."""

from __future__ import annotations

import threading

import pytest
from django.core.management.sql import emit_post_migrate_signal
from django.db import DatabaseError, connection, transaction

from audit import chains, ledger, triggers
from audit.models import LedgerEntry, LedgerHead
from kvadmin import actions as a
from kvadmin.gateway.errors import Denied

pytestmark = pytest.mark.django_db

ADA = ledger.Actor("7", "Ada Example", "192.0.2.1")
DB_PASSWORD = ledger.Target("Pay-Prod", "DB-Password")


def phases() -> list[str]:
    return list(LedgerEntry.objects.order_by("seq").values_list("phase", flat=True))


def test_an_attempt_commits_its_intent_before_the_body_and_its_outcome_after() -> None:
    with ledger.attempt(a.SECRET_REVEAL, ADA, DB_PASSWORD, reason="INC-1") as act:
        assert phases() == ["intent"]
        act.revealed(version="v1", request_id="req-1", region="westeurope")

    assert phases() == ["intent", "revealed"]
    outcome = LedgerEntry.objects.get(seq=2)
    assert (outcome.act, outcome.version, outcome.request_id, outcome.region) == (act.id, "v1", "req-1", "westeurope")
    assert (outcome.person, outcome.vault, outcome.secret, outcome.reason) == (
        "Ada Example",
        "pay-prod",
        "db-password",
        "INC-1",
    )


def test_an_attempt_that_azure_refuses_is_recorded_with_the_refusals_code() -> None:
    refusal = Denied("rbac", request_id="req-9")
    with pytest.raises(Denied), ledger.attempt(a.SECRET_REVEAL, ADA, DB_PASSWORD):
        raise refusal

    outcome = LedgerEntry.objects.get(phase="failed")
    assert (outcome.code, outcome.request_id) == ("rbac", "req-9")


def test_an_attempt_that_crashes_is_recorded_without_the_crashs_text() -> None:
    with pytest.raises(RuntimeError), ledger.attempt(a.SECRET_REVEAL, ADA, DB_PASSWORD):
        raise RuntimeError("hunter2")

    outcome = LedgerEntry.objects.get(phase="failed")
    assert outcome.code == "crashed"
    assert "hunter2" not in str(LedgerEntry.objects.values())


def test_an_attempt_without_an_outcome_counts_as_failed() -> None:
    with ledger.attempt(a.SECRET_REVEAL, ADA, DB_PASSWORD):
        pass

    assert phases() == ["intent", "failed"]


def test_a_crash_after_the_outcome_keeps_that_outcome() -> None:
    with pytest.raises(RuntimeError), ledger.attempt(a.SECRET_REVEAL, ADA, DB_PASSWORD) as act:
        act.revealed(version="v1", request_id="r", region="")
        raise RuntimeError

    assert phases() == ["intent", "revealed"]


def test_without_a_ledger_nothing_happens() -> None:
    refuse_inserts()
    reached = False

    with pytest.raises(ledger.LedgerUnavailable), ledger.attempt(a.SECRET_REVEAL, ADA, DB_PASSWORD):
        reached = True

    assert reached is False


def refuse_inserts() -> None:
    """Make the database refuse new ledger rows, as a full disk would."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(
                "CREATE TRIGGER no_more BEFORE INSERT ON audit_ledgerentry BEGIN SELECT RAISE(ABORT, 'disk full'); END"
            )
        else:
            cursor.execute(
                "CREATE TRIGGER no_more BEFORE INSERT ON audit_ledgerentry "
                "FOR EACH ROW EXECUTE FUNCTION ledger_refuse()"
            )


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_database_refuses_to_change_history(change: str) -> None:
    ledger.record(a.VAULT_SYNC, ADA)
    rows = LedgerEntry.objects.filter(seq=1)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows.update(person="Nobody") if change == "update" else rows._raw_delete("default")

    assert LedgerEntry.objects.get().person == "Ada Example"


def test_the_chain_of_honest_rows_is_intact() -> None:
    for _ in range(3):
        ledger.record(a.VAULT_SYNC, ADA, reason="tägliche Prüfung \U0001f511")

    assert chains.verify() == chains.Chain(3)


@pytest.mark.parametrize(
    ("sql", "first_bad", "why"),
    [
        ("UPDATE audit_ledgerentry SET person='Bob' WHERE seq=2", 2, "its content was changed"),
        ("DELETE FROM audit_ledgerentry WHERE seq=2", 2, "row 2 is missing"),
        ("DELETE FROM audit_ledgerentry WHERE seq=1", 1, "row 1 is missing"),
        ("DELETE FROM audit_ledgerentry WHERE seq=3", 3, "rows are missing at the end"),
        ("DELETE FROM audit_ledgerhead", 4, "the chain's head does not fit its last rows"),
        ("UPDATE audit_ledgerhead SET seq=2", 4, "the chain's head does not fit its last rows"),
        ("UPDATE audit_ledgerhead SET hash='0'", 4, "the chain's head does not fit its last rows"),
    ],
)
def test_verifying_names_the_first_row_that_does_not_hold(sql: str, first_bad: int, why: str) -> None:
    for _ in range(3):
        ledger.record(a.VAULT_SYNC, ADA)
    triggers.remove(connection)
    with connection.cursor() as cursor:
        cursor.execute(sql)
    triggers.install(connection)

    chain = chains.verify()

    assert (chain.first_bad, chain.why) == (first_bad, why)


def test_rows_that_come_while_the_chain_is_walked_are_no_break_of_it() -> None:
    ledger.record(a.VAULT_SYNC, ADA)
    writing = False

    def somebody_writes(execute, sql, *rest):
        """Another row is committed just before each look at the head."""
        nonlocal writing
        if not writing and sql.startswith("SELECT") and "audit_ledgerhead" in sql:
            writing = True
            ledger.record(a.VAULT_SYNC, ADA)
            writing = False
        return execute(sql, *rest)

    with connection.execute_wrapper(somebody_writes):
        chain = chains.verify()

    assert (chain.intact, LedgerHead.objects.get().seq) == (True, 3)


def test_a_recorded_act_vanishes_with_the_transaction_it_belongs_to() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        ledger.record(a.ROLE_ASSIGN, ADA)
        raise RuntimeError

    assert phases() == []
    assert chains.verify().intact


def test_texts_longer_than_their_columns_and_nul_are_cut_not_refused() -> None:
    entry = ledger.record(a.VAULT_SYNC, ADA, reason="a\x00b" * 400)

    assert LedgerEntry.objects.get().reason == entry.reason
    assert len(entry.reason) == 500
    assert chains.verify().intact


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_sixteen_writers_at_once_never_fork_the_chain() -> None:
    barrier = threading.Barrier(16)

    def write() -> None:
        barrier.wait()
        for _ in range(25):
            ledger.record(a.VAULT_SYNC, ADA)
        connection.close()

    writers = [threading.Thread(target=write) for _ in range(16)]
    [writer.start() for writer in writers]
    [writer.join() for writer in writers]

    assert chains.verify() == chains.Chain(400)
    assert LedgerHead.objects.get().seq == 400


def test_a_migration_that_rebuilds_the_table_leaves_it_guarded() -> None:
    ledger.record(a.VAULT_SYNC, ADA)
    triggers.remove(connection)

    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        LedgerEntry.objects.update(person="Nobody")
