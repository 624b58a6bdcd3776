"""Jobs: thin doors from the queue to the functions that do the work. No argument ever holds a value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from audit import backfill, findings, ingest
from audit.models import Backfill, Watermark
from kvadmin.jobs.api import task
from vaults import backup_run, backups, bulk, membership, requests, restore_run, sync
from vaults.inventory import StoredInventory
from vaults.models import LogState, SyncRun, Vault
from vaults.notices import jobs as notices
from vaults.notices import reminders


@task
def sync_inventory(run_id: int | None = None) -> int:
    """Sweeps the inventory; `run_id` is the sweep that was asked for, and its id is returned.

    None means the clock: it queues a sweep of its own by id, so that a worker that takes the job over from a dead one
    carries that sweep on instead of finding it in its way. Not retried: the clock comes again, and a person sees the
    failed sweep and may ask anew.
    """
    if run_id is None:
        return _queue_sweep()
    return sync.sync_inventory(SyncRun.objects.filter(pk=run_id).first()).pk


@transaction.atomic
def _queue_sweep() -> int:
    run = SyncRun.objects.create()
    sync_inventory.enqueue(run.pk)
    return run.pk


@task(retries=2)
def ingest_audit() -> int:
    """Takes in what Azure's access log has shown since the last time; how many rows were new. Then it is judged."""
    try:
        return ingest.ingest_audit(workspaces(), vaults_alone()).new
    finally:
        judge_findings.enqueue()  # what was taken in before an error is judged, too


@task(retries=2)
def judge_findings() -> int:
    """Lets the rules look at what is fresh in the log, and at how things stand; how many findings they opened."""
    return findings.judge(StoredInventory()).opened.total()


@task(retries=2)
def backfill_audit(run_id: int) -> int:
    """Takes in older rows of the access log, as a row of Backfill asks for; how many were new."""
    run = Backfill.objects.get(pk=run_id)
    try:
        return backfill.backfill_audit(run, workspaces(), vaults_alone()).new
    except backfill.Busy:
        return 0  # its row says so


@task
def run_bulk(batch_id: int, turn: int) -> int:
    """Does what is left of a change of many secrets; how many items are over. Not retried: a person sees why it failed.

    `turn` tells a job that was overtaken: a batch that was stopped and goes on is queued anew.
    """
    batch = bulk.run(batch_id, turn)
    return batch.over if batch else 0


@task
def back_up_vault(batch_id: int, turn: int) -> int:
    """Makes what is left of a whole-vault backup; how many secrets are over. Not retried: a person sees why it failed.

    A worker that takes it over from a dead one goes on where that one was.
    """
    batch = backup_run.run(batch_id, turn)
    return batch.over if batch else 0


@task
def restore_vault(batch_id: int, turn: int) -> int:
    """Restores what is left of an archive that somebody has opened; how many secrets are over. Not retried."""
    batch = restore_run.run(batch_id, turn)
    return batch.over if batch else 0


@task
def prune_archives() -> int:
    """Removes archives that have expired, and what waited too long to be restored; how many there were."""
    return backups.prune()


@task
def settle_requests() -> int:
    """Puts on record which requests time or events have ended, and tells whom it concerns; how many there were."""
    return requests.settle_all()


@task
def send_digest() -> int:
    """Queues the daily digest of expiring secrets for everybody who gets one, and a look at whom to remind of what;
    how many of both there are."""
    return notices.queue_digests() + reminders.queue_reminders()


@task
def forget_absent() -> int:
    """Takes people of Entra out of their groups who have not signed in for KVADMIN_OIDC_FORGET_DAYS; how many."""
    return membership.forget(timezone.now() - timedelta(days=settings.KVADMIN_OIDC_FORGET_DAYS))


def workspaces() -> set[str]:
    """The workspaces to read, by GUID: those of the settings, and those that the known vaults send their logs to."""
    known = Vault.objects.exclude(workspace_id="").values_list("workspace_id", flat=True).distinct().order_by()
    return {*settings.KVADMIN_WORKSPACES, *known}


NOT_ASKED = (LogState.NO_SETTING, LogState.NOT_TO_WORKSPACE)  # there is nothing to ask for
CLOSED = ("denied", "not-found")  # codes of a workspace that cannot be read


def vaults_alone() -> set[str]:
    """The vaults to ask for their own log, by ARM id: no workspace is known for them, or theirs cannot be read."""
    closed = Watermark.objects.filter(code__in=CLOSED).exclude(workspace_id="").values_list("workspace_id", flat=True)
    alone = Q(workspace_id="") | Q(workspace_id__in=_spellings(closed))
    known = Vault.objects.filter(alone, vanished_at=None).exclude(resource_id="").exclude(log_state__in=NOT_ASKED)
    return set(known.values_list("resource_id", flat=True))


def _spellings(workspace_ids: Iterable[str]) -> set[str]:
    """As the vaults have them: Azure tells a workspace's id in either case, and a watermark keeps the lower one."""
    lower = set(workspace_ids)
    known = Vault.objects.exclude(workspace_id="").values_list("workspace_id", flat=True).distinct().order_by()
    return {name for name in known if name.lower() in lower}
