"""Events are kept for KVADMIN_AUDIT_DAYS. The ledger is kept for ever, and nothing here touches it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from audit.coverage import kept_from
from audit.models import AccessEvent, Watermark

BATCH = 2000


def prune_events() -> int:
    """Delete the events that are older than they are kept, in batches of BATCH; how many they were.

    Each batch is a transaction of its own, so that nobody waits long; killed in the middle, the next run goes on. The
    watermarks are moved first: no page calls complete what is being deleted.
    """
    before = kept_from()
    _forget(before)
    deleted = 0
    while some := _oldest(before):
        with transaction.atomic():
            AccessEvent.objects.filter(pk__in=some).delete()
        deleted += len(some)
    return deleted


def _oldest(before: datetime) -> list[int]:
    return list(AccessEvent.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:BATCH])


@transaction.atomic
def _forget(before: datetime) -> None:
    """What a log is complete for begins no earlier than events are kept, and gaps before that are no longer told."""
    for mark in Watermark.objects.select_for_update().filter(complete_from__lt=before):
        mark.complete_from = before
        mark.gaps = [pair for pair in mark.gaps if datetime.fromisoformat(pair[1]) > before]
        mark.save(update_fields=["complete_from", "gaps"])
