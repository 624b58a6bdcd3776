"""The leaver's list: what somebody read, and whether it was rotated since. Nothing is ticked off that is not known."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from audit import leavers, match
from audit.ledger import Actor
from audit.models import AccessEvent, LedgerEntry
from audit.readers import reader
from kvadmin.actions import SECRET_BACKUP, SECRET_COMPARE, SECRET_SET
from kvadmin.emulator.state import Azure
from tests import factories
from tests.audit.inventories import FakeInventory, facts
from tests.audit.pages import MARKUP, is_harmless, text
from tests.audit.rows import EVE, VERSION, event, revealed, unseen
from vaults.models import Person, Secret
from vaults.sync import sync_inventory

pytestmark = pytest.mark.django_db
ClientOf = Callable[[Person], Client]
OLD, OLDER = "0" * 32, "1" * 32
READ = timedelta(days=3)


def ago(**length: float) -> datetime:
    return timezone.now() - timedelta(**length)


def lines(*known: Any, who: str = EVE) -> list[tuple[str, str, str]]:
    """Secret, first signs of the version, and state of each line."""
    found = leavers.lines(
        reader(who), AccessEvent.objects.all(), LedgerEntry.objects.all(), FakeInventory([], [*known])
    )
    return [(line.secret, line.version[:4], line.state) for line in found]


# --- Rotated, or not -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"created_on": ago(days=200)}, "rotate"),
        ({"created_on": ago(days=1)}, "rotated"),
        ({"created_on": ago(days=200), "updated_on": ago(days=1)}, "rotate"),  # a tag was changed
        ({"created_on": None}, "unknown"),
        ({"created_on": ago(days=1), "vanished_at": ago(hours=1)}, "gone"),
        ({"name": "another"}, "unknown"),  # the inventory does not know this one
    ],
)
def test_a_line_ticks_itself_off_only_when_the_current_version_is_newer_than_the_read(
    fields: dict[str, Any], state: str
) -> None:
    event(at=ago(days=3))

    assert lines(facts(**{"name": "db-password"} | fields)) == [("db-password", VERSION[:4], state)]


def test_a_version_made_in_the_very_moment_of_the_read_does_not_tick_it_off() -> None:
    moment = ago(days=3)
    event(at=moment)

    assert lines(facts(created_on=moment)) == [("db-password", VERSION[:4], "rotate")]


def test_a_backup_through_kvadmin_is_in_their_hands_and_a_comparison_is_not() -> None:
    ada = {"person_id": "7", "person": "Ada Example", "match": "explained", "at": ago(days=3)}
    event(**ada, operation="SecretBackup", version="", action="secret:backup")
    event(**ada, name="api-key", action="secret:compare")
    event(**ada, name="token", action="secret:copy")

    found = leavers.lines(reader("kvadmin:7"), AccessEvent.objects.all(), LedgerEntry.objects.all(), FakeInventory())
    assert [(line.secret, line.backed_up, line.through) for line in found] == [("db-password", True, 1)]


def test_a_backup_is_on_the_list_before_azures_log_shows_it() -> None:
    unseen(SECRET_BACKUP, request_id="r-1")
    unseen(SECRET_COMPARE, request_id="r-2")

    found = leavers.lines(reader("kvadmin:7"), AccessEvent.objects.all(), LedgerEntry.objects.all(), FakeInventory())
    assert [(line.secret, line.version, line.backed_up, line.through) for line in found] == [
        ("db-password", "", True, 1)
    ]


def test_each_version_is_a_line_judged_by_its_own_last_read() -> None:
    event(at=ago(days=9), version=OLDER)
    event(at=ago(days=7), version=OLD)
    event(at=ago(days=2), version=OLD)
    event(at=ago(days=1), name="api-key", operation="SecretBackup", version="")

    assert lines(facts(created_on=ago(days=5)), facts("api-key", id=2)) == [
        ("api-key", "", "rotate"), ("db-password", "0000", "rotate"), ("db-password", "1111", "rotated"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("read", "back", "made", "state"),
    [
        (OLD, OLD, timedelta(), "rotate"),
        ("", OLD, timedelta(), "rotate"),  # a backup holds every version
        (OLDER, OLD, timedelta(), "rotated"),
        (OLD, OLD, timedelta(days=1), "rotated"),  # a version that was made after the roll-back
        (OLD, OLD, timedelta(hours=-1), "rotated"),  # one from before it: Azure did not take the roll-back
    ],
)
def test_a_roll_back_to_what_was_read_ticks_nothing_off(read: str, back: str, made: timedelta, state: str) -> None:
    event(at=ago(days=3), version=read, operation="SecretGet" if read else "SecretBackup")
    unseen(SECRET_SET, version=back, request_id=str(uuid.uuid4()))

    assert [found for _, _, found in lines(facts(created_on=timezone.now() + made))] == [state]


def test_reads_through_kvadmin_and_around_it_are_counted_once_each() -> None:
    request = str(uuid.uuid4())
    revealed(who=Actor("7", "Eve"), request_id=request)
    event(who="kvadmin", who_kind="managed-identity", correlation_id=request, match="other")
    revealed(secret="api-key", who=Actor("7", "Eve"), request_id=str(uuid.uuid4()))
    match.rematch(ago(hours=1))
    found = leavers.lines(
        reader("kvadmin:7"), AccessEvent.objects.all(), LedgerEntry.objects.all(), FakeInventory([], [facts()])
    )
    assert [(line.secret, line.through, line.around) for line in found] == [("db-password", 1, 0), ("api-key", 1, 0)]


def test_what_kvadmin_withheld_was_not_read() -> None:
    request = str(uuid.uuid4())
    act = revealed(who=Actor("7", "Eve"))
    act.closed = False
    act.withheld(code="ended", note="the grant had ended", request_id=request)
    event(who="kvadmin", who_kind="managed-identity", correlation_id=request, match="other")
    match.rematch(ago(hours=1))
    assert AccessEvent.objects.get().person_id == "7"

    assert lines(facts(), who="kvadmin:7") == []


def test_refused_tries_and_other_peoples_reads_are_not_on_the_list() -> None:
    event(is_read=False, outcome="denied", match="other")
    event(who="someone-else@contoso.example")

    assert lines(facts()) == []


# --- The page --------------------------------------------------------------------------------------------------------
@pytest.fixture
def db_password() -> Secret:
    return factories.secret(factories.vault("pay-prod"), "db-password", created_on=ago(days=200))


def test_a_newer_version_in_azure_ticks_the_line_off_after_the_next_sweep(
    azure: Azure, auditor: Person, client_of: ClientOf
) -> None:
    subscription = "00000000-0000-0000-0000-00000000aaaa"
    azure.add_subscription(subscription, "Payments")
    azure.add_vault("pay-prod", subscription_id=subscription)
    azure.put_secret("pay-prod", "db-password", "first", at=ago(days=9))
    sync_inventory()
    event(at=ago(days=3))
    client = client_of(auditor)
    assert "1 To be rotated 0 Not known 0 Gone from Azure 0 Rotated" in text(client, "/audit/leavers/", person=EVE)

    azure.put_secret("pay-prod", "db-password", "second")
    sync_inventory()
    assert "0 To be rotated 0 Not known 0 Gone from Azure 1 Rotated" in text(client, "/audit/leavers/", person=EVE)


def test_an_auditor_sees_the_list_and_an_administrator_what_is_held(
    auditor: Person, admin: Person, db_password: Secret, client_of: ClientOf
) -> None:
    eve = factories.person("eve", "reader")
    Person.objects.filter(pk=eve.pk).update(email=EVE)
    event()
    read = text(client_of(auditor), "/audit/leavers/", person="eve")
    assert ("pay-prod / db-password" in read, "Reader on everything" in read) == (True, False)
    assert "Duties are separate" in read

    held = text(client_of(admin), "/audit/leavers/", person="eve")
    assert ("db-password" in held, "Reader on everything" in held) == (False, True)
    assert (
        f'href="/people/{eve.pk}/end-access/"'
        in client_of(admin).get("/audit/leavers/", {"person": "eve"}).content.decode()
    )


def test_a_small_auditor_sees_what_is_in_reach_and_no_name_of_whom_they_may_not_know(
    db_password: Secret, client_of: ClientOf
) -> None:
    eve = factories.person("eve", "reader")
    Person.objects.filter(pk=eve.pk).update(first_name="Evelyn", email=EVE)
    event()
    event(vault="hr-prod", name="payroll")
    of_pay = factories.person("of-pay", "auditor", vault=db_password.vault)
    of_test = factories.person("of-test", "auditor", vault=factories.vault("pay-test"))

    page = text(client_of(of_pay), "/audit/leavers/", person=EVE)
    assert ("db-password" in page, "payroll" in page) == (True, False)
    page = text(client_of(of_test), "/audit/leavers/", person=f"kvadmin:{eve.pk}")
    assert ("db-password" in page, "Evelyn" in page, "No read seen" in page) == (False, False, True)


@pytest.mark.parametrize("role", ["", "reader", "approver"])
def test_others_see_neither(db_password: Secret, client_of: ClientOf, role: str) -> None:
    event()
    client = client_of(factories.person("bob", role))

    answers = [client.get("/audit/leavers/", {"person": EVE}), client.post(f"/audit/leavers/export/?person={EVE}")]
    assert [(answer.status_code, b"db-password" in answer.content) for answer in answers] == [(403, False)] * 2


def test_looking_at_the_list_is_on_record(auditor: Person, client_of: ClientOf) -> None:
    text(client_of(auditor), "/audit/leavers/", person=EVE)

    assert LedgerEntry.objects.get().note == f"leavers: person {EVE}"


def test_the_list_is_exported_on_record_and_safe_against_formulas(
    auditor: Person, db_password: Secret, client_of: ClientOf
) -> None:
    event(at=ago(days=3))
    event(vault="=cmd|'/c calc'!a1", name="-2+3", at=ago(days=1))
    answer = client_of(auditor).post(f"/audit/leavers/export/?person={EVE}")
    assert isinstance(answer, StreamingHttpResponse)

    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))  # type: ignore[arg-type]
    assert [(row["vault"], row["secret"], row["state"]) for row in rows] == [
        ("pay-prod", "db-password", "To be rotated"), ("'=cmd|'/c calc'!a1", "'-2+3", "Not known"),
    ]  # fmt: skip
    phases = LedgerEntry.objects.filter(action="audit:export").order_by("seq").values_list("phase", "note")
    assert list(phases) == [("intent", f"leaver's list as csv: {EVE}"), ("done", "2 rows.")]


def test_a_list_that_is_cut_says_so_on_each_page_and_is_not_exported(auditor: Person, client_of: ClientOf) -> None:
    plain = {"at": ago(days=2), "vault": "pay-prod", "operation": "SecretGet", "outcome": "ok", "is_read": True}
    plain |= {"who": EVE, "who_kind": "person", "match": "around", "source": "AZKVAuditLogs", "raw": {}}
    some = [AccessEvent(fingerprint=str(n), name=f"secret-{n}", version=VERSION, **plain) for n in range(leavers.MOST)]
    some[0].version = some[0].version.upper()  # two rows of the log that are one line of the list
    some[1].name, some[1].at = some[0].name, ago(days=1)
    AccessEvent.objects.bulk_create(some)
    client = client_of(auditor)
    assert "This list is cut" not in text(client, f"/audit/leavers/?person={EVE}")

    event(name="one-more")
    for page in (f"/audit/leavers/?person={EVE}", f"/audit/people/{EVE}/"):
        assert "This list is cut" in text(client, page)
    answer = client.post(f"/audit/leavers/export/?person={EVE}", follow=True)
    assert "The list is cut, so it is not exported" in answer.content.decode()
    assert not LedgerEntry.objects.filter(action="audit:export").exists()


def test_nobody_typed_and_nobody_known_are_designed_pages(auditor: Person, admin: Person, client_of: ClientOf) -> None:
    assert "Who leaves?" in text(client_of(auditor), "/audit/leavers/")
    assert "No read seen" in text(client_of(auditor), "/audit/leavers/", person="nobody@contoso.example")
    assert "Nobody of this name has an account" in text(client_of(admin), "/audit/leavers/", person="nobody")


@pytest.mark.parametrize("rows", [1, 3])
def test_the_list_costs_the_same_for_one_line_and_for_three(
    auditor: Person, client_of: ClientOf, rows: int, django_assert_num_queries: Any
) -> None:
    for n in range(rows):
        factories.secret(factories.vault(f"vault-{n}"), "db-password")
        event(vault=f"vault-{n}")
    client = client_of(auditor)
    client.get("/audit/leavers/", {"person": EVE})
    with django_assert_num_queries(QUERIES):
        client.get("/audit/leavers/", {"person": EVE})


QUERIES = 15


def test_markup_is_text(auditor: Person, admin: Person, client_of: ClientOf) -> None:
    event(who=MARKUP, vault=MARKUP[:100], name=MARKUP[:100], version=MARKUP[:32])

    for somebody in (auditor, admin):
        body = client_of(somebody).get("/audit/leavers/", {"person": MARKUP}).content.decode()
        assert "alert(1)" in body
        assert is_harmless(body)
