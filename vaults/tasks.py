"""Jobs: thin doors from the queue to the functions that do the work. No argument ever holds a value."""

from __future__ import annotations

from kvadmin.jobs.api import task
from vaults import sync
from vaults.models import SyncRun


@task
def sync_inventory(run_id: int | None = None) -> int:
    """Sweeps the inventory; `run_id` is the sweep that somebody asked for, None means the clock did.

    Not retried: the clock comes again, and a person sees the failed sweep and may ask anew.
    """
    run = SyncRun.objects.filter(pk=run_id).first() if run_id is not None else None
    return sync.sync_inventory(run).pk
