"""The audit page over a long history against the same page over a week's: the 95th percentile of whole requests.

Every week has 50,000 events, so that a longer history is more weeks. The large size, a hundred of them, is
`python -m tests.bench.bench_timeline 50000 5000000`.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from django.test import Client

from tests.bench.setting import database, p95, say

PER_WEEK = 50_000
SIZES = (50_000, 500_000)
PAGES = {
    "the last 7 days": "",
    "one secret": "?vault=pay-1&secret=secret-07",
    "one person": "?person=person-17",
    "unexplained": "?match=unexplained",
    "the last 24 hours": "?range=24h",
}


def main(sizes: tuple[int, int] = SIZES) -> None:
    with database() as vendor:
        client = _auditor()
        few, many = ({name: _measure(client, query) for name, query in PAGES.items()} for size in sizes if _grow(size))
        say(f"\nTimeline, {vendor}: p95 of a page request in ms, {sizes[0]:,} and {sizes[1]:,} events")
        for name in PAGES:
            say(f"  {name:20} {few[name]:8.1f} {many[name]:8.1f}   {many[name] / few[name]:5.2f}x")
        worst = max(many.values()) / max(few.values())
        say(f"  {'the slowest':20} {max(few.values()):8.1f} {max(many.values()):8.1f}   {worst:5.2f}x")


def _auditor() -> Client:
    from tests import factories

    for number in range(8):
        factories.vault(f"pay-{number}", log_state="ok")
    client = Client()
    client.force_login(factories.person("auditor", "auditor"))
    client.get("/audit/")
    return client


def _measure(client: Client, query: str) -> float:
    return p95(lambda: client.get(f"/audit/{query}"), times=20)


def _grow(size: int) -> bool:
    """Bring the history to this many events: the first week row by row, each further one as a copy of it."""
    from django.db import connection

    from audit.models import AccessEvent

    if not AccessEvent.objects.exists():
        AccessEvent.objects.bulk_create(_week(), batch_size=500)
    for week in range(AccessEvent.objects.count() // PER_WEEK, size // PER_WEEK):
        with connection.cursor() as cursor:
            cursor.execute(_copy(week))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return AccessEvent.objects.count() == size


def _week() -> list[object]:
    from django.utils import timezone

    from audit.models import AccessEvent

    now = timezone.now()
    return [
        AccessEvent(
            fingerprint=f"{number:032}",
            at=now - timedelta(days=7) * number / PER_WEEK,
            vault=f"pay-{number % 8}",
            operation="SecretGet" if number % 3 else "SecretList",
            object_kind="secrets",
            name=f"secret-{number % 50:02}",
            outcome="ok" if number % 10 else "denied",
            status=200 if number % 10 else 403,
            who=f"person-{number % 200}@contoso.example",
            who_kind="person",
            is_read=number % 3 != 0 and number % 10 != 0,
            match=("explained", "around", "around", "unexplained" if number % 5000 == 1 else "around")[number % 4],
            source="AZKVAuditLogs",
            raw={"OperationName": "SecretGet"},
        )
        for number in range(PER_WEEK)
    ]


def _copy(week: int) -> str:
    """The first week's rows once more, so many weeks earlier."""
    from django.db import connection

    from audit.models import AccessEvent

    columns = [field.column for field in AccessEvent._meta.concrete_fields if field.column not in {"id"}]
    days = 7 * week
    earlier = f"at - interval '{days} days'"
    if connection.vendor == "sqlite":
        earlier = f"strftime('%Y-%m-%d %H:%M:%f', at, '-{days} days')"
    changed = {"at": earlier, "fingerprint": f"'{week}-' || substr(fingerprint, 9)"}
    picked = ", ".join(changed.get(column, f'"{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    table = AccessEvent._meta.db_table
    return f"INSERT INTO {table} ({names}) SELECT {picked} FROM {table} WHERE fingerprint NOT LIKE '%-%'"  # noqa: S608


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:3]) or SIZES)  # type: ignore[arg-type]
