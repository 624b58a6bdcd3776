"""Events are kept for as long as the settings say, and the ledger for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from audit import ingest, retention, tasks
from audit.models import AccessEvent, LedgerEntry, Watermark
from tests import factories
from tests.audit.rows import event, revealed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _days(settings) -> None:
    settings.KVADMIN_AUDIT_DAYS = 90


def test_what_is_older_is_deleted_and_the_ledger_never() -> None:
    revealed(request_id="r1")
    for days in (1, 89, 91, 400):
        event(correlation_id=str(days), at=timezone.now() - timedelta(days=days))

    assert tasks.prune_events.call() == 2
    assert set(AccessEvent.objects.values_list("correlation_id", flat=True)) == {"1", "89"}
    assert LedgerEntry.objects.count() == 2


def test_many_are_deleted_in_bounded_batches() -> None:
    old = timezone.now() - timedelta(days=100)
    rows = [AccessEvent(fingerprint=str(n), at=old, vault="v", operation="SecretGet", raw={}) for n in range(4500)]
    AccessEvent.objects.bulk_create(rows, batch_size=500)

    assert retention.BATCH == 2000
    assert retention.prune_events() == 4500
    assert retention.prune_events() == 0


def test_no_log_is_called_complete_for_what_was_deleted() -> None:
    now = timezone.now()
    before, after = now - timedelta(days=100), now - timedelta(days=10)
    gaps = [[moment.isoformat(), (moment + timedelta(seconds=10)).isoformat()] for moment in (before, after)]
    Watermark.objects.create(workspace_id="w", complete_from=now - timedelta(days=200), complete_up_to=now, gaps=gaps)
    retention.prune_events()

    mark = Watermark.objects.get()
    assert abs(now - timedelta(days=90) - mark.complete_from) < timedelta(minutes=1)
    assert mark.gaps == gaps[1:]


def test_no_look_at_a_log_goes_back_further_than_kvadmin_or_the_workspace_keeps_rows() -> None:
    now, mark = timezone.now(), Watermark(workspace_id="w")

    assert ingest.first_moment(now, 30, mark) == now - timedelta(days=30)
    assert ingest.first_moment(now, 400, mark) == now - timedelta(days=90)
    mark.retention_days = 14
    assert ingest.first_moment(now, 400, mark) == now - timedelta(days=14)


def test_the_pages_say_from_when_on_events_are_kept(client: Client) -> None:
    client.force_login(factories.person("auditor", "auditor"))
    kept = f"{timezone.now() - timedelta(days=90):%Y-%m-%d}"

    for path in ("/audit/", "/audit/coverage/"):
        assert f"{kept}</time>" in client.get(path).content.decode()
