"""Jobs of the evidence itself: thin doors from the queue to the functions that do the work."""

from __future__ import annotations

from django.conf import settings

from audit import checkpoints, retention
from kvadmin.jobs.api import task


@task(retries=2)
def prune_events() -> int:
    """Deletes the events that are older than they are kept; how many they were. The ledger is never touched."""
    return retention.prune_events()


@task
def checkpoint_ledger() -> int:
    """Signs the ledger's end into KVADMIN_CHECKPOINT_FILE; the number of the row, or 0 when there was nothing to do.

    Not retried: the clock comes again.
    """
    if not (settings.KVADMIN_CHECKPOINT_KEY and settings.KVADMIN_CHECKPOINT_FILE and checkpoints.is_due()):
        return 0
    return checkpoints.append(settings.KVADMIN_CHECKPOINT_FILE).seq
