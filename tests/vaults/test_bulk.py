"""A change of many secrets, as the worker does it: what is written, left alone, refused, stopped and carried on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from audit import chains, ledger
from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.state import Azure
from kvadmin.gateway.values import SecretValue
from tests import factories
from tests.vaults.bulk_world import asked, company, counts, item, newest, previewed, tags, updates, work
from vaults import batches, bulk, keeping, turns
from vaults.models import Batch, BatchItem, Person, RoleAssignment, Secret, Turn
from vaults.rules import Refusal
from vaults.wishes import Wish

pytestmark = pytest.mark.django_db


def phases(name: str) -> list[str]:
    return list(LedgerEntry.objects.filter(secret=name).order_by("seq").values_list("phase", flat=True))


# --- What is written -------------------------------------------------------------------------------------------------
def test_each_secret_is_changed_and_is_one_act_in_the_ledger_with_azures_request_id(
    azure: Azure, officer: Person
) -> None:
    company(azure)
    batch = work(asked(officer), azure)
    assert (batch.state, counts(batch)) == ("done", (3, 3, 0, 0))
    assert tags(azure, "s-0001") == {"app": "pay", "team": "blue"}
    entry = LedgerEntry.objects.get(secret="s-0001", phase="done")
    assert (entry.action, entry.person, entry.reason) == ("secret:update", "officer", "CHG-1: owners")
    assert entry.request_id in {row.correlation_id for row in azure.log if row.operation == "SecretUpdate"}
    assert phases("s-0001") == ["intent", "done"]


def test_the_inventory_shows_the_change_at_once(azure: Azure, officer: Person) -> None:
    company(azure)
    work(asked(officer), azure)
    assert Secret.objects.get(key="s-0000").tags == {"app": "pay", "team": "blue"}
    assert Secret.objects.filter(haystack__contains="team=blue").count() == 3


@pytest.mark.parametrize(
    ("words", "after"),
    [
        ({"change": "add-tags", "tags": "app=new\nteam=a=b"}, {"app": "new", "team": "a=b"}),
        ({"change": "replace-tags", "tags": "team=blue"}, {"team": "blue"}),
        ({"change": "replace-tags", "tags": ""}, {}),
        ({"change": "remove-tags", "names": "app\nnot-there"}, {}),
    ],
)
def test_tags_are_added_replaced_and_removed(
    azure: Azure, officer: Person, words: dict[str, str], after: dict[str, str]
) -> None:
    company(azure, secrets=1)
    work(asked(officer, **words), azure)
    assert tags(azure, "s-0000") == after


def test_an_expiry_is_set_to_the_very_second_and_nothing_else_is_touched(azure: Azure, officer: Person) -> None:
    """Saving an expiry in one time zone and reading it in another has moved it by a day elsewhere."""
    company(azure, secrets=1)
    work(asked(officer, change="expiry", expires="2031-03-30T02:30"), azure)
    version = newest(azure, "s-0000")
    assert version.expires_on == int(datetime(2031, 3, 30, 2, 30, tzinfo=UTC).timestamp())
    assert (version.tags, version.enabled, version.value) == ({"app": "pay"}, True, "x")


def test_secrets_are_disabled_and_enabled_without_a_new_version(azure: Azure, officer: Person) -> None:
    company(azure, secrets=1)
    work(asked(officer, change="disable"), azure)
    assert newest(azure, "s-0000").enabled is False
    work(asked(officer, change="enable"), azure)
    secret = azure.vault("pay-prod").secrets.get("s-0000")
    assert secret is not None
    assert (secret.latest.enabled, len(secret.versions)) == (True, 1)


def test_nothing_is_read(azure: Azure, officer: Person) -> None:
    company(azure)
    work(asked(officer), azure)
    assert [row.operation for row in azure.log if row.operation in {"SecretGet", "SecretBackup"}] == []


def test_several_vaults_are_worked_on_together(azure: Azure, officer: Person) -> None:
    company(azure, vaults=("pay-prod", "pay-test", "hr-prod"))
    batch = work(asked(officer), azure)
    assert counts(batch) == (9, 9, 0, 0)
    assert tags(azure, "s-0002", "hr-prod") == {"app": "pay", "team": "blue"}


def test_every_page_of_a_vault_is_looked_at(azure: Azure, officer: Person) -> None:
    company(azure, secrets=60)
    azure.vault("pay-prod").empty_pages = True
    assert counts(work(asked(officer), azure)) == (60, 60, 0, 0)


# --- What is left alone ----------------------------------------------------------------------------------------------
def test_a_secret_that_got_a_new_version_after_the_preview_is_left_alone(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    azure.clock.advance(timedelta(seconds=5))
    azure.put_secret("pay-prod", "s-0000", "y", tags={"owner": "eve"})
    assert counts(work(batch, azure)) == (3, 2, 0, 1)
    assert (item(batch).state, item(batch).code, tags(azure, "s-0000")) == ("skipped", "changed", {"owner": "eve"})


def test_a_tag_that_somebody_else_set_after_the_preview_is_not_lost(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    newest(azure, "s-0000").tags = {"app": "pay", "owner": "eve"}
    azure.vault("pay-prod").secrets.get("s-0000").item = None  # type: ignore[union-attr] # the emulator's own cache
    work(batch, azure)
    assert (item(batch).code, tags(azure, "s-0000")) == ("changed", {"app": "pay", "owner": "eve"})


def test_a_secret_that_is_gone_from_azure_is_said_to_be_gone(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    azure.vault("pay-prod").secrets.delete("s-0001", azure.clock.now(), timedelta(0), timedelta(days=90))
    assert counts(work(batch, azure)) == (3, 2, 0, 1)
    assert item(batch, "s-0001").sentence == "Azure does not list it any more."


def test_a_right_that_ended_meanwhile_ends_the_rest(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    RoleAssignment.objects.update(ended_at=azure.clock.now())
    assert counts(work(batch, azure)) == (3, 0, 0, 3)
    assert (item(batch).code, phases("s-0000"), updates(azure)) == ("no-right", ["refused"], 0)


def test_a_person_who_was_locked_out_meanwhile_changes_nothing_more(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    Person.objects.update(is_active=False)
    work(batch, azure)
    assert updates(azure) == 0


# --- What fails ------------------------------------------------------------------------------------------------------
def test_a_vault_that_refuses_once_is_not_asked_for_each_of_its_secrets(azure: Azure, officer: Person) -> None:
    company(azure, secrets=30, vaults=("pay-prod", "hr-prod"))
    batch = asked(officer)
    azure.faults.set("pay-prod", Fault("rbac", operations=frozenset({"SecretUpdate"})))
    work(batch, azure)
    assert (batch.state, counts(batch)) == ("done", (60, 30, 30, 0))
    tried = LedgerEntry.objects.filter(phase="failed", vault="pay-prod").count()
    assert tried <= bulk.AT_ONCE
    failed = BatchItem.objects.filter(batch=batch, state="failed")
    assert set(failed.values_list("code", flat=True)) == {"rbac"}
    assert failed.filter(sentence__startswith=bulk.NOT_TRIED).count() == 30 - tried


def test_a_vault_that_cannot_be_listed_fails_alone_and_with_azures_reason(azure: Azure, officer: Person) -> None:
    company(azure, vaults=("pay-prod", "hr-prod"))
    batch = asked(officer)
    azure.faults.set("pay-prod", Fault("firewall"))
    assert counts(work(batch, azure)) == (6, 3, 3, 0)
    assert BatchItem.objects.get(batch=batch, vault__name="pay-prod", key="s-0000").sentence.endswith(
        "The vault's firewall does not let kvadmin in."
    )


def test_a_lost_answer_is_told_as_one_and_a_retry_finds_that_it_was_done(azure: Azure, officer: Person) -> None:
    company(azure, secrets=1)
    batch = asked(officer)
    azure.faults.set("pay-prod", Fault("lost", times=1, operations=frozenset({"SecretUpdate"})))
    work(batch, azure)
    assert (item(batch).state, item(batch).sentence.endswith(bulk.UNSURE)) == ("failed", True)
    batches.retry(batch, factories.actor(officer), lambda batch: None)
    work(batch, azure)
    assert (item(batch).state, item(batch).sentence, updates(azure)) == ("done", bulk.REACHED, 1)


def test_failed_ones_are_tried_again_and_the_others_are_not(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    azure.faults.set("pay-prod", Fault("server", status=500, times=1, operations=frozenset({"SecretUpdate"})))
    assert counts(work(batch, azure)) == (3, 2, 1, 0)
    batches.retry(batch, factories.actor(officer), lambda batch: None)
    assert counts(work(batch, azure)) == (3, 3, 0, 0)
    assert (updates(azure), LedgerEntry.objects.filter(note=f"batch {batch.pk} tries 1 failed again").count()) == (3, 1)


# --- Throttling ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("says_when", [True, False])
def test_what_azure_allows_is_used_and_nothing_fails_for_being_too_fast(
    azure: Azure, officer: Person, *, says_when: bool
) -> None:
    """120 changes, and a vault that takes 30 calls in ten seconds: with its five pages of the list, 40 s at best."""
    company(azure, secrets=120)
    azure.clock.stop()
    azure.vault("pay-prod").limit, azure.vault("pay-prod").limit_says_when = (30, 10.0), says_when
    batch, begun = asked(officer), azure.clock.now()
    assert counts(work(batch, azure)) == (120, 120, 0, 0)
    took = (azure.clock.now() - begun).total_seconds()
    assert 120 / took >= 0.8 * 3
    assert (updates(azure), batch.throttled > 0) == (120, True)


def test_a_vault_that_lets_nothing_through_is_given_up_in_the_end(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    azure.faults.set("pay-prod", Fault("throttled", operations=frozenset({"SecretUpdate"})))
    assert counts(work(batch, azure)) == (3, 0, 3, 0)
    assert item(batch).code == "throttled"
    assert LedgerEntry.objects.filter(phase="intent").count() == LedgerEntry.objects.filter(phase="failed").count()


# --- Stopping and going on -------------------------------------------------------------------------------------------
def test_a_batch_that_is_stopped_before_its_worker_comes_does_nothing_and_goes_on_later(
    azure: Azure, officer: Person
) -> None:
    company(azure)
    batch = asked(officer)
    batches.stop(batch, factories.actor(officer))
    assert (work(batch, azure).state, updates(azure)) == ("stopped", 0)
    batches.go_on(batch, factories.actor(officer), lambda batch: None)
    assert (work(batch, azure).state, updates(azure)) == ("done", 3)


def test_a_job_that_was_overtaken_does_nothing(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    assert bulk.run(batch.pk, batch.turn + 1) is None
    work(batch, azure)
    assert bulk.run(batch.pk, batch.turn) is None
    assert updates(azure) == 3


def test_a_batch_goes_on_only_when_nobody_is_at_it(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    for verb in (batches.go_on, batches.retry):
        with pytest.raises(batches.NotNow):
            verb(batch, factories.actor(officer), lambda batch: None)
    Batch.objects.update(state="running", progressed_at=azure.clock.now() - 2 * batches.SILENT)
    batches.go_on(batch, factories.actor(officer), lambda batch: None)
    assert (batch.state, batch.turn) == ("queued", 2)


# --- A worker that died ----------------------------------------------------------------------------------------------
def die(batch: Batch, officer: Person, name: str = "s-0000") -> BatchItem:
    """What is left of an item whose worker died between its intent and its outcome."""
    found = item(batch, name)
    target, reason = ledger.Target("pay-prod", name), batch.reason
    act = ledger.begin(a.SECRET_UPDATE, factories.actor(officer), target, reason=reason, move=ledger.NO_MOVE)
    found.ledger_act, found.state = act.id, "doing"
    found.save()
    return found


def test_what_a_dead_worker_had_sent_is_found_in_azure_and_not_done_twice(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    found = die(batch, officer)
    newest(azure, "s-0000").tags = found.after["tags"]
    azure.vault("pay-prod").secrets.get("s-0000").item = None  # type: ignore[union-attr] # the emulator's own cache
    work(batch, azure)
    assert (item(batch).state, item(batch).sentence, updates(azure)) == ("done", bulk.SETTLED, 2)
    assert phases("s-0000") == ["intent", "done"]
    assert Secret.objects.get(key="s-0000").tags == {"app": "pay", "team": "blue"}


def test_what_a_dead_worker_had_not_sent_is_done_as_an_act_of_its_own(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    die(batch, officer)
    work(batch, azure)
    assert (item(batch).state, updates(azure)) == ("done", 3)
    assert phases("s-0000") == ["intent", "failed", "intent", "done"]
    assert chains.verify().intact


def test_the_preview_and_the_batch_have_the_same_hash_in_the_ledger(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    row = LedgerEntry.objects.get(secret="", action="secret:update")
    assert row.shown_hash == batch.shown_hash != previewed(officer, tags="team=red").hash
    assert row.note == f"batch {batch.pk} asked for: Set the tags team=blue: 3 secrets"


# --- Together with those who change one secret -----------------------------------------------------------------------
def somebody_writes(name: str, minutes: int = 1) -> None:
    """Somebody else of kvadmin's holds the turn of this secret."""
    vault, until = Secret.objects.get(key=name).vault, timezone.now() + timedelta(minutes=minutes)
    Turn.objects.create(vault=vault, key=name, until=until, holder="bob")


def green(secret: Secret, by: Person, azure: Azure) -> None:
    """A new version of one secret, written through kvadmin."""
    wish, mark = Wish("", {"app": "pay", "team": "green"}), newest(azure, secret.name).id
    keeping.set_secret(
        factories.actor(by), secret.vault, secret.name, SecretValue("newer"), wish, mark=mark, reason="INC-7"
    )


def test_each_change_has_its_secrets_turn_for_as_long_as_it_is_under_way(azure: Azure, officer: Person) -> None:
    company(azure)
    seen = set[tuple[str, str]]()
    batch = work(asked(officer), azure, meanwhile=lambda: seen.update(Turn.objects.values_list("key", "holder")))

    assert seen == {(f"s-000{number}", f"officer (batch {batch.pk})") for number in range(3)}
    assert Turn.objects.count() == 0


def test_who_writes_one_secret_while_its_change_is_under_way_is_told_by_whom(azure: Azure, officer: Person) -> None:
    company(azure, secrets=1)
    batch, secret, told = asked(officer), Secret.objects.get(), list[str]()

    def write() -> None:
        if Turn.objects.exists() and not told:
            with pytest.raises(Refusal) as caught, turns.turn(secret.vault, secret.key, "bob"):
                pass
            told.append(caught.value.sentence)

    assert counts(work(batch, azure, meanwhile=write)) == (1, 1, 0, 0)
    assert told[0].startswith(f"officer (batch {batch.pk}) is changing this secret at this moment.")


def test_what_somebody_else_is_changing_fails_alone_and_can_be_tried_again(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    somebody_writes("s-0001")
    assert counts(work(batch, azure)) == (3, 2, 1, 0)
    assert (item(batch, "s-0001").code, phases("s-0001"), updates(azure)) == ("busy", [], 2)
    assert item(batch, "s-0001").sentence.startswith("bob is changing this secret at this moment.")

    Turn.objects.all().delete()
    batches.retry(batch, factories.actor(officer), lambda batch: None)
    assert counts(work(batch, azure)) == (3, 3, 0, 0)


def test_what_was_being_changed_is_looked_at_again_before_it_fails(azure: Azure, officer: Person) -> None:
    company(azure)
    batch = asked(officer)
    somebody_writes("s-0001")

    def is_through() -> None:
        if updates(azure) == 2:
            Turn.objects.filter(holder="bob").delete()

    assert counts(work(batch, azure, meanwhile=is_through)) == (3, 3, 0, 0)


@pytest.mark.parametrize("minutes", [-1, 1])
def test_the_turns_of_dead_processes_hold_nothing_up(minutes: int, azure: Azure, officer: Person) -> None:
    """One that is long over; and those of the batch's own worker that died."""
    company(azure)
    batch = asked(officer)
    somebody_writes("s-0001", minutes)
    if minutes > 0:
        Turn.objects.update(holder=f"officer (batch {batch.pk})")
    assert counts(work(batch, azure)) == (3, 3, 0, 0)
    assert Turn.objects.count() == 0


def test_what_was_written_through_kvadmin_between_the_look_and_the_change_is_not_written_over(
    azure: Azure, officer: Person
) -> None:
    company(azure, secrets=1)
    batch, secret, written = asked(officer), Secret.objects.get(), list[str]()

    def write() -> None:
        """When the worker has just got the list."""
        if written or not any(row.operation == "SecretList" for row in azure.log):
            return
        written.append("")  # it looks at the clock as well
        azure.clock.advance(timedelta(seconds=5))
        green(secret, officer, azure)

    azure.log.clear()
    assert counts(work(batch, azure, meanwhile=write)) == (1, 0, 0, 1)
    assert (item(batch).code, tags(azure, "s-0000")) == ("changed", {"app": "pay", "team": "green"})
    assert (newest(azure, "s-0000").value, updates(azure)) == ("newer", 0)


def test_while_azure_wants_a_rest_nobody_is_kept_from_writing(azure: Azure, officer: Person) -> None:
    """The change that was refused for being too fast gives its turn back; what was written meanwhile stays."""
    company(azure, secrets=1)
    batch, secret, written = asked(officer), Secret.objects.get(), list[int]()
    azure.faults.set("pay-prod", Fault("throttled", times=1, operations=frozenset({"SecretUpdate"})))

    def write() -> None:
        if not written:
            written.append(Turn.objects.count())
            azure.clock.advance(timedelta(seconds=5))
            green(secret, officer, azure)

    assert counts(work(batch, azure, resting=write)) == (1, 0, 0, 1)
    assert (written, item(batch).code, tags(azure, "s-0000")) == ([0], "changed", {"app": "pay", "team": "green"})
    assert phases("s-0000") == ["intent", "intent", "done", "failed"]
