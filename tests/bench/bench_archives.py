"""A whole vault backed up and restored into an empty one: equal in everything, at which speed, and with flat memory.

Memory is measured beside the emulated Azure, which holds all secrets in this process: what counts is the peak above
what lay there before, at 200 and at 2,000 secrets. A backup that held everything would need ten times as much.
"""

from __future__ import annotations

import gc
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

from tests.bench.setting import database, say, seconds

VALUE = 5_000  # characters of each version's value, so that the backups themselves weigh something
FEW, MANY = 200, 2_000


def main(few: int = FEW, many: int = MANY) -> None:
    with database() as vendor, tempfile.TemporaryDirectory(prefix="kvadmin-bench-") as folder:
        from django.conf import settings

        settings.KVADMIN_ARCHIVE_DIR = Path(folder)
        peaks = {secrets: _measure(vendor, secrets) for secrets in (few, many)}
        for word in ("backup", "restore"):
            small, large = peaks[few][word], peaks[many][word]
            say(f"  {word}: {large / small:.2f}x the memory for {many // few}x the secrets")
            assert large < 2 * small, word


def _measure(vendor: str, secrets: int) -> dict[str, int]:
    """The peaks in bytes; once without the measuring, which slows everything, for the speed and the equality."""
    from django.db import reset_queries

    took = _whole_way(secrets, f"fast-{secrets}", lambda word, work: seconds(work))
    say(f"\n{secrets:,} secrets, some of three versions, {vendor}")
    say(f"  backup {secrets / took['backup']:,.0f} secrets/s, restore {secrets / took['restore']:,.0f} secrets/s")

    def peak(word: str, work: Callable[[], object]) -> int:
        reset_queries()
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        work()
        found = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
        return found

    found = _whole_way(secrets, f"slow-{secrets}", peak)
    for word, size in found.items():
        say(f"  {word}: {size / 1e6:.1f} MB above what was there")
    return {word: int(size) for word, size in found.items()}


def _whole_way(secrets: int, name: str, measure: Callable[[str, Callable[[], object]], float]) -> dict[str, float]:
    """Backup and restore of one vault, measured; what came back must equal what was there."""
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure
    from kvadmin.gateway import client
    from tests import factories
    from tests.vaults import archives
    from vaults import restore_run, restores

    azure = Azure()
    doors.set_memory("tests", azure)
    client.reset()
    officer = factories.person(f"officer-{name}", "secrets-officer")
    source = archives.fill(azure, f"from-{name}", secrets=secrets)
    for number in range(secrets):
        azure.put_secret(source.name, f"Secret-{number:04}", f"{number}".ljust(VALUE, "."))
    archive = archives.ask(officer, source)
    found = {"backup": measure("backup", lambda: archives.run(archive))}
    archive.refresh_from_db()
    upload = archives.take_in(officer, archives.empty(azure, f"into-{name}"), archive)
    batch = restores.ask(upload, restores.plan(upload), factories.actor(officer), reason="bench")
    azure.log.clear()
    found["restore"] = measure("restore", lambda: restore_run.run(batch.pk, batch.turn))
    batch.refresh_from_db()
    assert (batch.state, batch.done, batch.failed) == ("done", secrets, 0), batch.note
    assert archives.contents(azure, f"into-{name}") == archives.contents(azure, f"from-{name}")
    return found


if __name__ == "__main__":
    main()
