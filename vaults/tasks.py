"""Jobs: thin doors from the queue to the functions that do the work. No argument ever holds a value."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from audit import ingest
from kvadmin.jobs.api import task
from vaults import requests, sync
from vaults.models import SyncRun, Vault
from vaults.notices import jobs as notices


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
    """Takes in what Azure's access log has shown since the last time; how many rows were new."""
    return ingest.ingest_audit(workspaces()).new


@task
def settle_requests() -> int:
    """Puts on record which requests time or events have ended, and tells whom it concerns; how many there were."""
    return requests.settle_all()


@task
def send_digest() -> int:
    """Queues the daily digest of expiring secrets for everybody who gets one; how many those are."""
    return notices.queue_digests()


def workspaces() -> set[str]:
    """The workspaces to read, by GUID: those of the settings, and those that the known vaults send their logs to."""
    known = Vault.objects.exclude(workspace_id="").values_list("workspace_id", flat=True).distinct().order_by()
    return {*settings.KVADMIN_WORKSPACES, *known}
