"""The sweep: what it finds, writes, leaves alone and says, whatever Azure does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from kvadmin.emulator import doors
from kvadmin.emulator.faults import Fault
from kvadmin.gateway import keyvault
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.paging import Patience
from vaults import search, sync
from vaults.models import Health, LogState, Secret, SyncRun, Vault
from vaults.rows import VaultRows

if TYPE_CHECKING:
    from kvadmin.emulator.state import Azure

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000a1"
IMPATIENT = Patience(tries=1)


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    """One subscription with one vault, pay-prod, which holds three secrets."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, tags={"Environment": "Prod"})
    for name in ("db-password", "Api-Key", "token"):
        azure.put_secret("pay-prod", name, "a value")
    return azure


def sweep() -> SyncRun:
    return sync.sync_inventory(patience=IMPATIENT)


def live(vault: str) -> list[str]:
    return [secret.name for secret in Secret.objects.filter(vault__name=vault, vanished_at=None)]


def delete(cloud: Azure, name: str) -> None:
    cloud.vault("pay-prod").secrets.delete(name, cloud.clock.now(), timedelta(0), timedelta(days=90))


# --- What is found ---------------------------------------------------------------------------------------------------
def test_a_sweep_stores_vaults_as_arm_describes_them(cloud: Azure) -> None:
    sweep()
    vault = Vault.objects.select_related("subscription").get()
    assert (vault.name, vault.environment, str(vault.subscription)) == ("pay-prod", "prod", "Payments")
    assert (vault.uri, vault.resource_id) == (
        "https://pay-prod.vault.azure.net/",
        cloud.vault("pay-prod").resource_id.lower(),
    )


def test_a_sweep_stores_what_azure_tells_about_a_secret(cloud: Azure) -> None:
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    tags = {"team": "blue <b>", "note": "50%"}
    cloud.put_secret("pay-prod", "Full-One", "x", content_type="text/plain", tags=tags, enabled=False, expires_on=end)
    sweep()
    secret = Secret.objects.get(key="full-one")
    assert (secret.name, secret.content_type, secret.tags) == ("Full-One", "text/plain", tags)
    assert (secret.enabled, secret.managed, secret.expires_on, secret.not_before) == (False, False, end, None)


def test_a_sweep_reads_no_value(cloud: Azure) -> None:
    sweep()
    assert {row.operation for row in cloud.log} - {"Authentication"} == {"SecretList", "SecretListDeleted"}


def test_what_a_sweep_stored_can_be_searched(cloud: Azure) -> None:
    cloud.put_secret("pay-prod", "tagged", "x", tags={"team": "whale"})
    sweep()
    found = search.find(Secret.objects.all(), search.parse("tag:team=whale"))
    assert [secret.name for secret in found.secrets] == ["tagged"]


def test_a_list_of_many_pages_is_taken_in_whole(cloud: Azure) -> None:
    cloud.add_vault("big", subscription_id=SUBSCRIPTION)
    count = sync.PAGES * 25 * 2 + 7
    for number in range(count):
        cloud.put_secret("big", f"key-{number}", "x")
    run = sweep()
    assert (len(live("big")), Vault.objects.get(name="big").secret_count) == (count, count)
    assert (run.secrets_seen, run.secrets_written) == (count + 3, count + 3)


def test_a_registered_vault_that_arm_does_not_show_is_listed_too(cloud: Azure) -> None:
    cloud.add_vault("hidden", subscription_id=SUBSCRIPTION, visible_in_arm=False)
    cloud.put_secret("hidden", "inside", "x")
    uri = "https://hidden.vault.azure.net/"
    Vault.objects.create(name="hidden", shown_name="hidden", uri=uri, environment="lab", registered=True)
    sweep()
    hidden = Vault.objects.get(name="hidden")
    assert (live("hidden"), hidden.health, hidden.environment) == (["inside"], Health.OK, "lab")
    assert hidden.vanished_at is None


# --- What is written -------------------------------------------------------------------------------------------------
def test_a_second_sweep_writes_nothing(cloud: Azure) -> None:
    first = sweep()
    cloud.clock.advance(timedelta(hours=1))
    second = sweep()
    assert (first.secrets_written, second.secrets_written) == (3, 0)
    assert (second.secrets_seen, second.secrets_vanished, second.state) == (3, 0, SyncRun.State.DONE)


def test_only_what_changed_is_written(cloud: Azure) -> None:
    sweep()
    cloud.put_secret("pay-prod", "token", "x", tags={"team": "green"})
    run = sweep()
    assert run.secrets_written == 1
    assert Secret.objects.get(key="token").tags == {"team": "green"}
    assert search.find(Secret.objects.all(), search.parse("tag:team=green")).total == 1


def test_what_vanished_is_marked_and_what_returned_is_revived(cloud: Azure) -> None:
    sweep()
    delete(cloud, "token")
    assert (sweep().secrets_vanished, live("pay-prod")) == (1, ["Api-Key", "db-password"])
    cloud.vault("pay-prod").secrets.recover("token", cloud.clock.now())
    assert (sweep().secrets_written, live("pay-prod")) == (1, ["Api-Key", "db-password", "token"])


def test_names_that_differ_in_case_only_are_one_secret(cloud: Azure) -> None:
    cloud.put_secret("pay-prod", "TOKEN", "newer")
    sweep()
    assert Secret.objects.filter(key="token").count() == 1


# --- What fails ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fault", "health"),
    [
        ("dns", Health.DNS),
        ("firewall", Health.FIREWALL),
        ("private-link", Health.PRIVATE_LINK),
        ("rbac", Health.RBAC),
        ("access-policy", Health.ACCESS_POLICY),
        ("throttled", Health.THROTTLED),
        ("reset", Health.UNREACHABLE),
        ("server", Health.SERVER),
        ("html", Health.OTHER),
        ("truncated", Health.OTHER),
        ("loop", Health.OTHER),
    ],
)
def test_one_failing_vault_is_told_and_never_fails_the_sweep(cloud: Azure, fault: str, health: Health) -> None:
    cloud.add_vault("bad", subscription_id=SUBSCRIPTION)
    for number in range(30):
        cloud.put_secret("bad", f"key-{number}", "x")
    cloud.faults.set("bad", Fault(fault))
    run = sweep()
    bad = Vault.objects.get(name="bad")
    assert (bad.health, bad.listed_at, Vault.objects.get(name="pay-prod").health) == (health, None, Health.OK)
    assert (run.state, run.vaults_done, run.vaults_failed) == (SyncRun.State.DONE, 1, 1)
    assert bad.health_note.endswith(".")


def test_what_is_kept_of_a_failure_names_no_moment_that_will_have_passed(cloud: Azure) -> None:
    cloud.faults.set("pay-prod", Fault("throttled", retry_after=2))
    sweep()
    said, _, advice = Vault.objects.get().health_note.partition(". ")
    assert said == "Azure is receiving too many calls for this vault; try again in a little while"
    assert advice.startswith("One vault and region takes 4,000 reads")


def test_a_text_that_no_database_takes_fails_no_sweep(cloud: Azure) -> None:
    cloud.add_vault("odd", subscription_id=SUBSCRIPTION, tags={"env": "la\x00b"})
    cloud.put_secret("odd", "key", "x", content_type="a\x00b", tags={"nul": "\x00"})
    run = sweep()
    odd = Secret.objects.select_related("vault").get(key="key")
    assert (run.state, run.vaults_failed, odd.vault.environment) == (SyncRun.State.DONE, 0, "la\ufffdb")
    assert (odd.content_type, odd.tags) == ("a\ufffdb", {"nul": "\ufffd"})


def test_half_a_surrogate_pair_which_json_can_spell_is_stored_as_a_mark(cloud: Azure) -> None:
    sweep()
    vault = Vault.objects.get()
    [page] = keyvault.list_properties_of_secrets(vault.uri)
    odd = page[0]._replace(content_type="\udfff", tags={"half \ud800": "ok \U0001f511"})
    assert VaultRows(vault).write([odd]) == 1
    stored = Secret.objects.get(name=odd.name)
    assert (stored.content_type, stored.tags) == ("\ufffd", {"half \ufffd": "ok \U0001f511"})


def test_a_listing_that_breaks_in_the_middle_marks_nothing_as_vanished(cloud: Azure) -> None:
    for number in range(60):
        cloud.put_secret("pay-prod", f"key-{number}", "x")
    sweep()
    delete(cloud, "token")
    cloud.faults.set("pay-prod", Fault("loop"))
    run = sweep()
    assert (run.secrets_vanished, run.vaults_failed, "token" in live("pay-prod")) == (0, 1, True)


def test_since_when_moves_only_when_the_health_changes(cloud: Azure) -> None:
    cloud.faults.set("pay-prod", Fault("firewall"))
    sweep()
    first = Vault.objects.get()
    sweep()
    second = Vault.objects.get()
    cloud.faults.clear("pay-prod")
    sweep()
    third = Vault.objects.get()
    assert first.health_since == second.health_since != third.health_since
    assert (second.checked_at, third.health_note) > (first.checked_at, "")  # type: ignore[operator]


def test_a_vault_keeps_what_is_known_of_it_while_it_fails(cloud: Azure) -> None:
    sweep()
    cloud.faults.set("pay-prod", Fault("firewall"))
    sweep()
    vault = Vault.objects.get()
    assert (len(live("pay-prod")), vault.secret_count) == (3, 3)
    assert vault.listed_at < vault.checked_at  # type: ignore[operator]


def test_a_vault_that_takes_too_long_is_cut_off(cloud: Azure) -> None:
    vault = Vault.objects.create(name="slow", shown_name="slow", uri="https://slow.vault.azure.net/")
    late = time.monotonic() - 1
    batch = sync._Listing(vault, IMPATIENT, {}, pages=iter([[], []]), deadline=late).fetch()
    assert batch.error is not None
    assert (batch.last, batch.error.sentence) == (True, "Listing took too long and was cut off in the middle.")


def test_a_fault_of_our_own_in_one_vault_is_that_vaults_failure(cloud: Azure) -> None:
    vault = Vault.objects.create(name="odd", shown_name="odd", uri="https://odd.vault.azure.net/")
    broken: Iterator[list[SecretProperties]] = (1 // 0 for _ in "x")  # type: ignore[misc]
    batch = sync._Listing(vault, IMPATIENT, {}, pages=broken, deadline=time.monotonic() + 60).fetch()
    assert (batch.last, batch.error is not None and batch.error.code) == (True, "bad-answer")


@pytest.mark.parametrize("secrets", [1, 3 * sync.PAGES * 25])
def test_what_the_database_refuses_of_one_vault_is_that_vaults_failure(cloud: Azure, secrets: int) -> None:
    """A number that its column does not take; in the longer list the first of four batches already has it."""
    cloud.add_vault("odd", subscription_id=SUBSCRIPTION, visible_in_arm=False, soft_delete_days=-1)
    for number in range(secrets):
        cloud.put_secret("odd", f"key-{number}", "x")
    Vault.objects.create(name="odd", shown_name="odd", uri="https://odd.vault.azure.net/", registered=True)
    run = sweep()
    odd = Vault.objects.get(name="odd")
    assert (run.state, run.vaults_done, run.vaults_failed) == (SyncRun.State.DONE, 1, 1)
    assert (odd.health, odd.listed_at, live("odd"), len(live("pay-prod"))) == (Health.OTHER, None, [], 3)
    assert odd.health_note.startswith("kvadmin could not store what Azure listed for this vault.")


def test_a_database_that_is_away_is_no_vaults_failure(cloud: Azure) -> None:
    def refuse(execute, sql, params, many, context):
        if "vaults_secret" in sql:
            raise OperationalError("connection to 10.0.0.4 refused")
        return execute(sql, params, many, context)

    with pytest.raises(OperationalError), connection.execute_wrapper(refuse):
        sweep()
    assert (SyncRun.objects.get().state, Vault.objects.get().health) == (SyncRun.State.FAILED, Health.UNKNOWN)


def test_while_azure_is_out_of_reach_everything_stays_and_the_sweep_says_so(cloud: Azure) -> None:
    sweep()
    doors.drop_memory("tests")
    run = sweep()
    vault = Vault.objects.get()
    assert run.note.startswith("Azure could not be asked which vaults there are. ")
    assert (vault.vanished_at, vault.health != Health.OK, len(live("pay-prod"))) == (None, True, 3)


# --- What ARM shows --------------------------------------------------------------------------------------------------
def test_a_vault_that_arm_no_longer_shows_is_marked_and_revived_when_it_returns(cloud: Azure) -> None:
    cloud.add_vault("hr", subscription_id=SUBSCRIPTION)
    sweep()
    hr = cloud.vaults.pop("hr")
    sweep()
    assert Vault.objects.get(name="hr").vanished_at is not None
    cloud.vaults["hr"] = hr
    sweep()
    assert Vault.objects.get(name="hr").vanished_at is None


def test_no_vault_is_marked_while_arm_shows_nothing(cloud: Azure) -> None:
    sweep()
    cloud.vault("pay-prod").visible_in_arm = False
    run = sweep()
    assert Vault.objects.get().vanished_at is None
    assert run.note.startswith("Azure showed kvadmin no key vault at all")


def test_where_the_access_log_goes_is_known_per_vault(cloud: Azure) -> None:
    customer = "00000000-0000-0000-0000-0000000000f1"
    workspace = cloud.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=customer)
    cloud.add_vault("seen", subscription_id=SUBSCRIPTION, workspace=workspace.resource_id)
    sweep()
    states = dict(Vault.objects.values_list("name", "log_state"))
    assert states == {"pay-prod": LogState.NO_SETTING, "seen": LogState.OK}
    assert Vault.objects.get(name="seen").workspace_id == customer


# --- Two at once -----------------------------------------------------------------------------------------------------
def test_a_second_sweep_beside_a_running_one_is_skipped_and_says_so(cloud: Azure) -> None:
    SyncRun.objects.create(state=SyncRun.State.RUNNING, progressed_at=timezone.now())
    run = sweep()
    assert (run.state, run.note) == (SyncRun.State.SKIPPED, "Another sweep is already running.")
    assert Vault.objects.count() == 0


def test_the_database_itself_allows_one_running_sweep_only() -> None:
    SyncRun.objects.create(state=SyncRun.State.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        SyncRun.objects.create(state=SyncRun.State.RUNNING)


def test_a_sweep_whose_worker_died_does_not_stand_in_the_way(cloud: Azure) -> None:
    dead = SyncRun.objects.create(state=SyncRun.State.RUNNING, progressed_at=timezone.now() - 2 * sync.SILENT)
    run = sweep()
    dead.refresh_from_db()
    assert (run.state, dead.state, dead.note) == (
        SyncRun.State.DONE,
        SyncRun.State.FAILED,
        "Its worker stopped in the middle.",
    )


def test_a_run_whose_worker_died_is_carried_on_when_the_queue_hands_it_on(cloud: Azure) -> None:
    run = SyncRun.objects.create(
        state=SyncRun.State.RUNNING, progressed_at=timezone.now(), vaults_done=1, secrets_seen=2
    )
    sync.sync_inventory(run, patience=IMPATIENT)
    run.refresh_from_db()
    assert (run.state, run.vaults_done, run.secrets_seen) == (SyncRun.State.DONE, 1, 3)


def test_a_finished_sweep_says_how_far_it_came(cloud: Azure) -> None:
    sweep()
    run = SyncRun.objects.get()
    assert (run.vaults_total, run.vaults_done, run.vaults_failed, run.note) == (1, 1, 0, "")
    assert SyncRun.objects.filter(finished_at__gte=F("started_at")).exists()


def test_the_command_tells_what_a_sweep_did(cloud: Azure, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sync_inventory")
    assert capsys.readouterr().out == ("1 of 1 vaults listed, 0 failed; 3 secrets seen, 3 written, 0 vanished.\n")


def test_the_command_fails_beside_a_running_sweep(cloud: Azure) -> None:
    SyncRun.objects.create(state=SyncRun.State.RUNNING, progressed_at=timezone.now())
    with pytest.raises(CommandError, match=r"^Another sweep is already running.$"):
        call_command("sync_inventory")
