"""A whole vault backed up and restored into an empty one: equal in everything, at which speed, and with flat memory.

The worker runs in a process of its own, so that its memory is not mixed with the emulated Azure's. A backup that held
everything would need ten times as much for ten times the secrets. The speeds are those while memory is measured, which
costs about half.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from tests.bench.setting import database, say, seconds

VALUE = 5_000  # characters of each newest value, so that the backups themselves weigh something
FEW, MANY = 200, 2_000


def main(few: int = FEW, many: int = MANY) -> None:
    with database() as vendor, tempfile.TemporaryDirectory(prefix="kvadmin-bench-") as folder:
        from django.conf import settings

        settings.KVADMIN_ARCHIVE_DIR = Path(folder)
        peaks = {secrets: _whole_way(vendor, secrets) for secrets in (few, many)}
        for word in ("backup", "restore"):
            small, large = peaks[few][word], peaks[many][word]
            say(f"  {word}: {large / small:.2f}x the memory for {many // few}x the secrets")
            assert large < 2 * small, word


def _whole_way(vendor: str, secrets: int) -> dict[str, int]:
    """Backup and restore of one vault: the peaks in bytes. What came back must equal what was there."""
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure
    from kvadmin.gateway import client
    from tests import factories
    from tests.vaults import archives
    from vaults import restores

    azure, name = Azure(), str(secrets)
    doors.set_memory("tests", azure)
    client.reset()
    server = doors.serve(azure, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    door = f"http://127.0.0.1:{server.server_address[1]}"
    officer = factories.person(f"officer-{name}", "secrets-officer")
    source = archives.fill(azure, f"from-{name}", secrets=secrets)
    for number in range(secrets):
        azure.put_secret(source.name, f"Secret-{number:04}", f"{number}".ljust(VALUE, "."))
    archive = archives.ask(officer, source)
    say(f"\n{secrets:,} secrets, some of four versions, {vendor}")
    found = {"backup": _work("backup", archive.batch_id, door, secrets)}
    archive.refresh_from_db()
    upload = archives.take_in(officer, archives.empty(azure, f"into-{name}"), archive)
    batch = restores.ask(upload, restores.plan(upload), factories.actor(officer), reason="bench")
    found["restore"] = _work("restore", batch.pk, door, secrets)
    batch.refresh_from_db()
    assert (batch.state, batch.done, batch.failed) == ("done", secrets, 0), batch.note
    assert archives.contents(azure, f"into-{name}") == archives.contents(azure, f"from-{name}")
    say("  what came back equals what was there: values, versions, tags, dates and states")
    server.shutdown()
    return found


def _work(work: str, batch_id: int, door: str, secrets: int) -> int:
    from django.conf import settings

    from tests.processes import database_url, environment, python

    own = {"KVADMIN_ARCHIVE_DIR": str(settings.KVADMIN_ARCHIVE_DIR), "KVADMIN_SECRET_KEY": settings.SECRET_KEY}
    env = environment(DATABASE_URL=database_url(), KVADMIN_EMULATOR=door, **own | {"KVADMIN_DEBUG": "false"})
    said: list[str] = []

    def run() -> None:
        process = python("-m", "tests.bench.archive_worker", work, str(batch_id), env=env)
        said.append(process.communicate()[0])

    took = seconds(run)
    peak = int(said[0].strip().splitlines()[-1])
    say(f"  {work}: {secrets / took:,.0f} secrets/s, {peak / 1e6:.1f} MB at most")
    return peak


if __name__ == "__main__":
    main()
