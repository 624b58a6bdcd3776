"""Rows a second from Log Analytics into the database, and the memory that a back-fill takes.

The floor is what nobody can do without: the SDK's query alone, and a bare bulk insert of the same rows. Both talk to
the same emulator in this process, whose own time is in both figures. For the memory the back-fill is a process of its
own, the command backfill_audit; `python -m tests.bench.bench_ingest 100000 1000000` takes the large sizes.
"""

from __future__ import annotations

import re
import sys
import threading
import uuid
from datetime import datetime, timedelta
from typing import Any

from tests.bench.setting import database, say, seconds

SUBSCRIPTION = "1a6f0000-0000-4000-8000-000000000001"
LOGS = "99999999-0000-4000-8000-000000000001"
VERSION = "6b1f0c0a9d3e4f0f8f3c2b1a09876543"
# Without the debug mode, in which Django keeps the last statements with all their rows.
SETTINGS = {"DJANGO_SETTINGS_MODULE": "kvadmin.settings", "KVADMIN_DEBUG": "false", "KVADMIN_SECRET_KEY": "x" * 50}
BACKFILL = """import django
django.setup()
from django.core.management import call_command
call_command("backfill_audit", days=30)
print(open("/proc/self/status").read())"""
ROWS, FEW, MANY, DAYS = 20_000, 60_000, 180_000, 20  # both sizes fill whole answers


def main(rows: int = ROWS, few: int = FEW, many: int = MANY) -> None:
    with database() as vendor:
        _speed(vendor, rows)
        _memory(vendor, few, many)


# --- Speed -----------------------------------------------------------------------------------------------------------
def _speed(vendor: str, rows: int) -> None:
    from audit import ingest
    from audit.models import AccessEvent, OwnIdentity, Watermark

    _cloud(rows)
    _query()  # warm: the emulator puts its rows into its tables when it is first asked
    query = seconds(_query)
    whole = seconds(lambda: ingest.ingest_audit([LOGS]))
    stored = list(AccessEvent.objects.all())
    assert len(stored) == rows
    for model in (AccessEvent, Watermark, OwnIdentity):
        model.objects.all().delete()
    for event in stored:
        event.pk = None
    insert = seconds(lambda: AccessEvent.objects.bulk_create(stored, batch_size=500))
    AccessEvent.objects.all().delete()
    floor = query + insert
    say(f"\nIngest of {rows:,} rows, {vendor}")
    for name, took in (("SDK's query alone", query), ("bare bulk insert", insert), ("both: the floor", floor)):
        say(f"  {name:24} {rows / took:9,.0f} rows/s")
    say(f"  {'ingest, with its sorting':24} {rows / whole:9,.0f} rows/s  {floor / whole:5.2f}x the floor")


def _query() -> None:
    """As ingest asks for them: the same windows, the same query, the same SDK, and nothing done with the rows."""
    from django.utils import timezone

    from audit.windows import steps
    from kvadmin.gateway import client, logs

    now = timezone.now()
    for window in steps(now - timedelta(days=30), now):
        client.logs_client().query_workspace(LOGS, logs.query(), timespan=(window.start, window.end))


# --- Memory ----------------------------------------------------------------------------------------------------------
def _memory(vendor: str, few: int, many: int) -> None:
    small, large = (_peak(rows) for rows in (few, many))
    say(f"\nPeak memory of a back-fill, {vendor}")
    say(f"  {few:,} rows {small:,} MB; {many:,} rows {large:,} MB: {large / small:.2f}x")


def _peak(rows: int) -> int:
    """Megabytes that the command backfill_audit held at most, as Linux counts them in the process itself.

    Its parent is told of ru_maxrss, in which stands what the parent held when it started the process.
    """
    from audit.models import AccessEvent, Backfill, Watermark
    from kvadmin.emulator import doors
    from tests.factories import vault
    from tests.processes import database_url, environment, python
    from vaults.models import Vault

    for model in (AccessEvent, Watermark, Backfill, Vault):
        model.objects.all().delete()
    vault("pay-prod", log_state="ok", workspace_id=LOGS)
    server = doors.serve(_cloud(rows), 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    door = f"http://127.0.0.1:{server.server_address[1]}"
    env = environment(DATABASE_URL=database_url(), KVADMIN_EMULATOR=door, **SETTINGS)
    process = python("-c", BACKFILL, env=env)
    said = process.stdout.read() if process.stdout else ""
    server.shutdown()
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", said, re.MULTILINE)
    assert (process.wait(), AccessEvent.objects.count()) == (0, rows), said
    assert peak, said
    return int(peak[1]) // 1024


# --- The world -------------------------------------------------------------------------------------------------------
def _cloud(rows: int) -> Any:
    """So many reads by 200 people, evenly over DAYS days."""
    from kvadmin.emulator import doors
    from kvadmin.emulator.identities import AZURE_CLI, Identity
    from kvadmin.emulator.state import AuditRow, Azure
    from kvadmin.gateway import client

    cloud = Azure()
    doors.set_memory("tests", cloud)
    client.reset()
    cloud.add_subscription(SUBSCRIPTION, "Payments")
    workspace = cloud.add_workspace("logs", subscription_id=SUBSCRIPTION, customer_id=LOGS)
    vault = cloud.add_vault("pay-prod", subscription_id=SUBSCRIPTION, workspace=workspace.resource_id)
    people = [
        Identity("person", str(uuid.UUID(int=number)), AZURE_CLI, f"person-{number}@contoso.example")
        for number in range(200)
    ]
    end: datetime = cloud.clock.now() - timedelta(hours=2)
    for number in range(rows):
        secret = f"{vault.uri}secrets/secret-{number % 50:02}"
        row = AuditRow(
            time=end - timedelta(days=DAYS) * number / rows,
            operation="SecretGet",
            status=200,
            vault=vault,
            identity=people[number % 200],
            caller_address="198.51.100.7",
            client_info="AZURECLI/2.79.0 (DEB) azsdk-python-keyvault-secrets/4.11.0 Python/3.12.10",
            request_uri=f"{secret}/?api-version=2026-04-01",
            object_id_url=f"{secret}/{VERSION}",
            correlation_id=str(uuid.UUID(int=number)),
        )
        cloud.record(row)
    return cloud


if __name__ == "__main__":
    main(ROWS, *(int(size) for size in sys.argv[1:3]))
