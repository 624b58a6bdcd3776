"""Each rule finds what it is for, and keeps still otherwise; judging twice tells nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from audit import chains, ledger, triggers
from audit.finding_models import Evidence, Finding, ReaderHeard, VaultHeard
from audit.findings import acknowledge, judge
from audit.ledger import Actor
from audit.models import AccessEvent, LedgerEntry, LedgerHead, Watermark
from audit.readers import READER, reader_of
from kvadmin import actions as a
from tests.audit.inventories import WORKSPACE, FakeInventory, FakeVault, facts
from tests.audit.rows import event, revealed

pytestmark = pytest.mark.django_db

AUDREY = Actor("9", "Audrey Thorne")
ROBOT = {"who": "app-login", "who_kind": "managed-identity", "object_id": "0d5e0000-0000-4000-8000-00000000000a"}


@pytest.fixture(autouse=True)
def _noon() -> Iterator[None]:
    """Rules speak of hours of the day, so a day begins long before now, and ends long after."""
    with time_machine.travel(datetime(2026, 12, 1, 12, 30, tzinfo=UTC), tick=False):
        yield


def ago(**length: float) -> datetime:
    return timezone.now() - timedelta(**length)


def found(*rules: str) -> list[tuple[str, str, str, int]]:
    """What there is to be found, by rule, vault, secret and rows of evidence."""
    some = Finding.objects.filter(rule__in=rules) if rules else Finding.objects.all()
    return sorted(some.values_list("rule", "vault", "secret", "count"))


def heard(vault: str = "pay-prod", days: int = 40) -> None:
    """The vault's log reaches so far back, by another reader of another secret."""
    event(at=ago(days=days), vault=vault, name="other", who="someone@contoso.example")


def habit(days: int = 30, hour: int = 12, **fields: Any) -> None:
    """A read each day, at the same hour, until yesterday."""
    for n in range(1, days + 1):
        event(at=ago(days=n).replace(hour=hour, minute=5), **fields)


# --- Unexplained -----------------------------------------------------------------------------------------------------
def test_an_unexplained_read_is_an_alarm_with_its_event_as_evidence() -> None:
    read = event(match="unexplained")
    judge(FakeInventory())

    alarm = Finding.objects.get(rule="unexplained")
    assert (alarm.severity, alarm.vault, alarm.secret, alarm.since) == ("alarm", "pay-prod", "db-password", read.at)
    assert list(alarm.evidence.values_list("event", flat=True)) == [read.pk]


def test_a_read_that_turns_out_unexplained_after_it_was_judged_still_rings() -> None:
    read = event(match="around")
    judge(FakeInventory())
    assert found("unexplained") == []

    AccessEvent.objects.filter(pk=read.pk).update(match="unexplained")
    judge(FakeInventory())
    assert found("unexplained") == [("unexplained", "pay-prod", "db-password", 1)]


def test_an_alarm_that_the_ledger_came_to_explain_says_that_it_is_over() -> None:
    event()  # so that the finding and its event do not share one number by chance
    read = event(match="unexplained")
    judge(FakeInventory())
    AccessEvent.objects.filter(pk=read.pk).update(match="explained")
    judge(FakeInventory())

    alarm = Finding.objects.get(rule="unexplained")
    assert (alarm.over_at, alarm.is_open) == (timezone.now(), True)


def test_reads_of_one_secret_are_one_finding_and_judging_again_doubles_nothing() -> None:
    for secret in ("db-password", "db-password", "api-key"):
        event(match="unexplained", name=secret)
    for _ in range(3):
        judge(FakeInventory())

    assert found("unexplained") == [
        ("unexplained", "pay-prod", "api-key", 1), ("unexplained", "pay-prod", "db-password", 2),
    ]  # fmt: skip
    assert Evidence.objects.filter(rule="unexplained").count() == 3


def test_what_happens_after_somebody_took_note_is_a_new_finding() -> None:
    event(match="unexplained")
    judge(FakeInventory())
    assert acknowledge(AUDREY, Finding.objects.all(), "INC-9: the credential was changed") == 1
    judge(FakeInventory())
    assert found() == [("unexplained", "pay-prod", "db-password", 1)]

    event(match="unexplained")
    judge(FakeInventory())
    assert [f.is_open for f in Finding.objects.order_by("pk")] == [False, True]


# --- First-time reader -----------------------------------------------------------------------------------------------
def test_a_first_time_reader_is_told_once_the_vault_has_been_heard_of_for_long() -> None:
    heard()
    habit(days=3)
    event(who="mallory@contoso.example", at=ago(minutes=3))
    event(who="mallory@contoso.example", at=ago(minutes=2))
    judge(FakeInventory())

    new = Finding.objects.filter(rule="first", since__gte=ago(days=1))
    assert [(f.who, f.secret, f.count) for f in new] == [("mallory@contoso.example", "db-password", 1)]


@pytest.mark.parametrize(
    ("days", "fields"),
    [
        (5, {}),  # the log is too young
        (40, {"match": "explained", "person": "Ada", "person_id": "7"}),  # kvadmin was asked, and has decided
        (40, {"is_read": False, "outcome": "denied", "match": "other"}),  # no value left
    ],
)
def test_a_first_time_reader_is_not_told(days: int, fields: dict[str, Any]) -> None:
    heard(days=days)
    event(**fields)
    judge(FakeInventory())

    assert found("first") == []


# --- Unusual hour ----------------------------------------------------------------------------------------------------
def test_an_hour_at_which_somebody_never_read_before_is_told() -> None:
    habit(days=30, hour=12)
    event(at=ago(hours=9))
    event(at=ago(hours=9, minutes=-5))
    event(at=ago(minutes=1))
    judge(FakeInventory())

    night = Finding.objects.get(rule="hour")
    assert (night.what, night.count) == ("Read at 03h UTC, when the log never saw them read before.", 2)


@pytest.mark.parametrize(("usual", "hours_ago"), [(12, 0), (11, 0), (13, 0), (0, 11.5), (23, 12.4)])
def test_an_hour_beside_the_usual_one_is_usual_also_around_midnight(usual: int, hours_ago: float) -> None:
    habit(days=30, hour=usual)
    event(at=ago(hours=hours_ago, minutes=1))
    judge(FakeInventory())

    assert found("hour") == []


@pytest.mark.parametrize("days", [19, 13])
def test_who_has_no_habit_yet_has_no_unusual_hour(days: int) -> None:
    habit(days=days, hour=12)
    event(at=ago(hours=9))
    judge(FakeInventory())

    assert found("hour") == []


def test_a_person_has_their_own_hours_through_kvadmin_too() -> None:
    ada = {"who": "kvadmin", "who_kind": "managed-identity", "match": "explained", "person": "Ada", "person_id": "7"}
    habit(days=30, hour=12, **ada)
    event(at=ago(hours=9), **ada)
    event(at=ago(hours=9), **ada | {"person": "Bob", "person_id": "8"})
    judge(FakeInventory())

    assert [(f.who, f.reader) for f in Finding.objects.filter(rule="hour")] == [("Ada", "kvadmin:7")]


# --- Burst -----------------------------------------------------------------------------------------------------------
def test_many_secrets_within_an_hour_are_a_burst_and_one_finding() -> None:
    for n in range(20):
        event(name=f"secret-{n}", at=ago(minutes=20 - n))
    event(name="elsewhere", vault="hr-prod")
    judge(FakeInventory())
    event(name="one-more", at=ago(minutes=1))
    judge(FakeInventory())

    assert found("burst") == [("burst", "pay-prod", "", 21)]
    assert Finding.objects.get(rule="burst").what.startswith(
        "Read at least 20 secrets in the hour from 2026-12-01 12:00Z"
    )


@pytest.mark.parametrize(
    "rows",
    [
        [{"name": f"secret-{n}"} for n in range(19)],
        [{"name": "the-same"} for _ in range(30)],
        [{"name": f"secret-{n}", "who": f"person-{n}@contoso.example"} for n in range(30)],
        [{"name": f"secret-{n}", "is_read": False, "match": "other"} for n in range(30)],
    ],
)
def test_no_burst_is_told_of_few_secrets_of_one_secret_or_of_many_people(rows: list[dict[str, Any]]) -> None:
    for fields in rows:
        event(**fields)
    judge(FakeInventory())

    assert found("burst") == []


def test_a_program_that_reads_as_many_every_day_makes_no_burst() -> None:
    for day in (0, 1):
        for n in range(25):
            event(name=f"secret-{n}", at=ago(days=day, minutes=1), **ROBOT)
    judge(FakeInventory())

    first = Finding.objects.get(rule="burst")
    assert (first.since, first.count) == (ago(days=1, minutes=1), 25)


# --- Denied ----------------------------------------------------------------------------------------------------------
DENIED = {"is_read": False, "match": "other", "outcome": "denied", "status": 403}


def test_ten_refusals_within_an_hour_are_a_streak() -> None:
    for n in range(10):
        event(at=ago(minutes=20 - n), **DENIED)
    for n in range(9):
        event(vault="hr-prod", at=ago(minutes=20 - n), **DENIED)
    judge(FakeInventory())

    assert found("denied") == [("denied", "pay-prod", "", 10)]


def test_whoever_knocks_without_a_name_is_known_by_their_address() -> None:
    for n in range(20):
        event(
            who="", operation="Authentication", name="", address=f"198.51.100.{n % 2}", at=ago(minutes=20 - n), **DENIED
        )
    judge(FakeInventory())

    streaks = Finding.objects.filter(rule="denied").order_by("who")
    assert [(f.who, f.count, f.reader) for f in streaks] == [
        ("from 198.51.100.0", 10, ""),
        ("from 198.51.100.1", 10, ""),
    ]


# --- New address -----------------------------------------------------------------------------------------------------
def test_a_managed_identity_at_a_new_address_is_told() -> None:
    habit(days=30, address="20.50.0.31", **ROBOT)
    event(address="198.51.100.99", **ROBOT)
    event(address="20.50.0.31", **ROBOT)
    judge(FakeInventory())

    moved = Finding.objects.get(rule="address")
    assert (moved.who, moved.what) == (
        "app-login", "Called from 198.51.100.99, an address from which the log never saw this identity call before.",
    )  # fmt: skip


def test_an_identity_with_many_addresses_a_person_and_a_namesake_move_in_silence() -> None:
    for n in range(30):
        event(at=ago(days=n + 1), address=f"20.50.0.{n % 6}", **ROBOT)
    habit(days=30, address="203.0.113.1")
    event(address="198.51.100.99", **ROBOT)
    event(address="198.51.100.99")
    event(address="198.51.100.99", **ROBOT | {"object_id": "0d5e0000-0000-4000-8000-00000000000b"})
    judge(FakeInventory())

    assert found("address") == []


# --- Disabled, expired, stale ----------------------------------------------------------------------------------------
def test_a_try_at_a_disabled_secret_and_a_read_of_an_expired_one_are_told() -> None:
    event(name="disabled", **DENIED)
    event(name="expired")
    event(name="fine")
    event(name="before", at=ago(days=3))
    inventory = FakeInventory(
        known_secrets=[
            facts("disabled", enabled=False),
            facts("expired", expires_on=ago(days=2)),
            facts("before", expires_on=ago(days=2)),
            facts("fine"),
        ]
    )
    judge(inventory)

    assert found("useless") == [("useless", "pay-prod", "disabled", 1), ("useless", "pay-prod", "expired", 1)]


def covered(days: int = 100, **fields: Any) -> None:
    plain = {"complete_from": ago(days=days), "complete_up_to": ago(minutes=20), "columns": {"AZKVAuditLogs": []}}
    Watermark.objects.create(workspace_id=WORKSPACE, **plain | fields)


def test_a_secret_that_nobody_read_for_long_is_told_until_somebody_reads_it() -> None:
    covered()
    heard(days=100)
    inventory = FakeInventory([FakeVault()], [facts("forgotten"), facts("young", created_on=ago(days=5), id=2)])
    judge(inventory)
    judge(inventory)
    assert found("stale") == [("stale", "pay-prod", "forgotten", 0)]

    event(name="forgotten")
    judge(inventory)
    assert Finding.objects.get(rule="stale").over_at == timezone.now()


@pytest.mark.parametrize(
    "fields", [{"days": 80}, {"gaps": [["2026-11-01T00:00:00+00:00", "2026-11-02T00:00:00+00:00"]]}]
)
def test_where_the_log_is_blind_no_secret_is_called_unread(fields: dict[str, Any]) -> None:
    covered(**fields)
    heard(days=100)
    judge(FakeInventory([FakeVault()], [facts("forgotten")]))

    assert found("stale") == []


def test_a_secret_that_only_the_ledger_has_seen_read_is_not_called_unread() -> None:
    covered()
    heard(days=100)
    revealed("pay-prod", "needed", request_id="that-azure-never-showed")
    judge(FakeInventory([FakeVault()], [facts("needed")]))

    assert found("stale") == []


def test_a_vault_that_was_blind_for_a_while_has_no_secret_that_is_called_unread() -> None:
    covered()
    heard(days=100)
    judge(FakeInventory([FakeVault(log_state="no-setting")]))
    judge(FakeInventory([FakeVault()], [facts("forgotten")]))
    assert found("stale", "blind") == [("blind", "pay-prod", "", 0)]

    Finding.objects.update(over_at=ago(days=91))
    judge(FakeInventory([FakeVault()], [facts("forgotten")]))
    stale = Finding.objects.get(rule="stale")
    assert "in the 90 days up to 2026-12-01 12:10Z, for which the log is complete" in stale.what


# --- Blind -----------------------------------------------------------------------------------------------------------
def test_a_vault_that_loses_its_log_is_told_and_taking_note_does_not_tell_it_again() -> None:
    covered()
    event()
    judge(FakeInventory([FakeVault()]))
    assert found("blind") == []

    inventory = FakeInventory([FakeVault(log_state="no-setting")])
    judge(inventory)
    acknowledge(AUDREY, Finding.objects.filter(rule="blind"), "being moved")
    judge(inventory)
    assert found("blind") == [("blind", "pay-prod", "", 0)]

    judge(FakeInventory([FakeVault()]))
    judge(inventory)
    assert [f.is_open for f in Finding.objects.filter(rule="blind").order_by("pk")] == [False, True]


def test_a_log_that_stands_still_makes_its_vaults_blind_and_one_never_heard_of_is_not_gone() -> None:
    covered(complete_up_to=ago(hours=7))
    event()
    judge(FakeInventory([FakeVault(), FakeVault("new-one", log_state="no-setting", workspace_id="")]))

    blind = Finding.objects.get(rule="blind")
    assert (blind.vault, blind.since) == ("pay-prod", ago(hours=7))
    assert "complete only up to 2026-12-01 05:30Z" in blind.what


def test_reads_that_are_not_sorted_yet_are_judged_once_they_are() -> None:
    heard()
    judge(FakeInventory())
    read = event(match="other")
    judge(FakeInventory())
    assert found("first") == []

    AccessEvent.objects.filter(pk=read.pk).update(match="around")
    judge(FakeInventory())
    judge(FakeInventory())
    assert found("first") == [("first", "pay-prod", "db-password", 1)]


# --- The chain -------------------------------------------------------------------------------------------------------
def written(rows: int) -> None:
    for n in range(rows):
        ledger.record(a.VAULT_SYNC, AUDREY, note=str(n))


def test_a_chain_that_holds_is_no_finding_and_a_changed_row_is_an_alarm() -> None:
    written(3)
    judge(FakeInventory())
    assert found("chain") == []

    triggers.remove(connection)
    LedgerEntry.objects.filter(seq=2).update(note="nothing happened")
    judge(FakeInventory())
    judge(FakeInventory())
    alarm = Finding.objects.get(rule="chain")
    assert (alarm.severity, alarm.evidence.get().ledger_seq) == ("alarm", 2)
    assert "broken at row 2: its content was changed" in alarm.what


def test_the_chain_is_walked_in_pieces_as_surely_as_at_once() -> None:
    written(5)
    first = chains.verify_some(0, "", 2)
    second = chains.verify_some(first.chain.rows, first.hash, 2)
    last = chains.verify_some(second.chain.rows, second.hash, 2)
    assert [(walked.chain.rows, walked.chain.intact, walked.at_end) for walked in (first, second, last)] == [
        (2, True, False), (4, True, False), (5, True, True),
    ]  # fmt: skip

    triggers.remove(connection)
    LedgerEntry.objects.filter(seq__gt=3).delete()
    assert chains.verify_some(4, second.hash, 2).chain.why == "rows are missing at the end"
    kept = LedgerEntry.objects.get(seq=3)
    LedgerHead.objects.update(seq=3, hash=kept.hash)
    assert chains.verify_some(4, second.hash, 2).chain.first_bad == 4


# --- All of them -----------------------------------------------------------------------------------------------------
def test_old_events_that_a_back_fill_brings_are_told_only_if_they_are_unexplained() -> None:
    heard(days=300)
    for n in range(25):
        event(at=ago(days=100), name=f"secret-{n}", who="mallory@contoso.example")
    event(at=ago(days=100), match="unexplained")
    judge(FakeInventory())

    assert [row[0] for row in found()] == ["unexplained"]


@pytest.mark.parametrize("rows", [1, 3])
def test_the_number_of_queries_does_not_grow_with_the_rows(rows: int, django_assert_max_num_queries: Any) -> None:
    heard()
    habit(days=25)
    judge(FakeInventory())
    for n in range(rows):
        event(who=f"new-{n}@contoso.example", at=ago(hours=9))
        event(match="unexplained", name=f"secret-{n}")
        for _ in range(10):
            event(vault=f"vault-{n}", **DENIED)
    with django_assert_max_num_queries(140) as asked:
        judge(FakeInventory([FakeVault()], [facts()]))
    assert len(found("unexplained")) == rows
    assert len(asked.captured_queries) == QUERIES


QUERIES = 132


# --- What kvadmin reads for an act -----------------------------------------------------------------------------------
BY_ADA = {"match": "explained", "person": "Ada", "person_id": "7"}
BACKUP = {"operation": "SecretBackup", "action": "secret:backup", **BY_ADA}


def test_a_backup_is_told_as_one_and_neither_as_a_burst_nor_as_a_new_hour() -> None:
    heard()
    habit(hour=9, **BY_ADA)
    for n in range(25):
        event(name=f"secret-{n}", **BACKUP)
    judge(FakeInventory())

    assert found("backup", "burst", "hour") == [("backup", "pay-prod", "", 25)]
    assert Finding.objects.get().what.startswith(
        "Backed up at least 25 secrets of this vault through kvadmin in the hour from "
    )


def test_a_backup_of_a_few_secrets_is_not_worth_a_word() -> None:
    for n in range(19):
        event(name=f"secret-{n}", **BACKUP)
    judge(FakeInventory())

    assert found() == []


def test_a_nightly_backup_does_not_hide_that_nobody_needs_a_secret() -> None:
    for word in ("secret:backup", "secret:compare"):
        event(**BACKUP | {"action": word, "at": ago(days=1)})
    covered()
    heard(days=100)
    judge(FakeInventory([FakeVault()], [facts()]))

    assert [rule for rule, *_ in found("stale")] == ["stale"]


def test_a_disabled_secret_in_a_backup_is_nothing_that_still_depends_on_it() -> None:
    event(**BACKUP)
    judge(FakeInventory([FakeVault()], [facts(enabled=False, updated_on=ago(days=2))]))

    assert found("useless") == []


def test_what_was_heard_is_kept_of_vaults_and_of_identities() -> None:
    first = event(at=ago(days=3))
    last = event(**ROBOT)
    judge(FakeInventory())
    older = event(at=ago(days=9))
    judge(FakeInventory())

    told = VaultHeard.objects.get()
    assert (told.vault, told.first_at, told.last_at) == ("pay-prod", older.at, last.at)
    assert sorted(ReaderHeard.objects.values_list("who", "object_id")) == [
        ("app-login", ROBOT["object_id"]), (first.who, ""),
    ]  # fmt: skip


def test_the_address_of_a_reader_is_the_same_in_the_database_and_in_python() -> None:
    event()
    event(**ROBOT)
    event(**ROBOT | {"object_id": ""})
    event(who="", who_kind="unknown")
    event(who="kvadmin", who_kind="managed-identity", object_id="x", person="Ada", person_id="7", match="explained")

    rows = AccessEvent.objects.annotate(reader=READER).order_by("pk")
    assert [row.reader for row in rows] == [reader_of(row) for row in rows]


def test_a_rule_that_fails_stops_no_other() -> None:
    class Broken(FakeInventory):
        def secrets(self, keys: Any) -> Any:
            raise ZeroDivisionError

    event(match="unexplained")
    with pytest.raises(ZeroDivisionError):
        judge(Broken())

    assert found("unexplained") == [("unexplained", "pay-prod", "db-password", 1)]
    judge(FakeInventory(known_secrets=[facts(expires_on=ago(days=1))]))
    assert found("useless") == [("useless", "pay-prod", "db-password", 1)]
