"""kill -9 in the middle of a backup, and of the restore from it: both end complete, and what was done stays done."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from django.conf import settings

from audit import chains
from kvadmin.emulator import doors
from kvadmin.emulator.state import Azure
from tests import factories
from tests.processes import database_url, environment, python
from tests.vaults import archives
from tests.vaults.archives import contents, empty, fill, names_in, opened, reads, take_in
from vaults import archive_file, backups, restores
from vaults.archive_file import PART_SECRETS
from vaults.models import Batch, Person

pytestmark = pytest.mark.django_db(transaction=True)
KILLS = int(os.environ.get("KVADMIN_TEST_KILLS", "1"))
SECRETS = 2 * PART_SECRETS + 20
# Statements per secret of the whole vault after which a worker dies: first when a part is done, then wherever.
SPANS = [(7, 9), *[(1, 3)] * (KILLS - 1)]


@pytest.fixture
def door(azure: Azure) -> Iterator[str]:
    """The emulated Azure as other processes reach it."""
    server = doors.serve(azure, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def turn(work: str, batch: Batch, door: str, *dies_at: str) -> int:
    own = {"KVADMIN_ARCHIVE_DIR": str(settings.KVADMIN_ARCHIVE_DIR), "KVADMIN_SECRET_KEY": settings.SECRET_KEY}
    env = environment(DATABASE_URL=database_url(), KVADMIN_EMULATOR=door, **own)
    process = python("-m", "tests.vaults.killed_archives", work, str(batch.pk), *dies_at, env=env)
    process.communicate()
    return process.returncode


CHANCE = random.Random(8)  # noqa: S311 - chance for a test


def somewhere(span: tuple[int, int]) -> str:
    return str(CHANCE.randint(span[0] * SECRETS, span[1] * SECRETS))


def test_a_backup_and_a_restore_whose_workers_are_killed_end_complete(azure: Azure, officer: Person, door: str) -> None:
    archive = archives.ask(officer, fill(azure, secrets=SECRETS))
    on_disk: dict[str, int] = {}
    for span in SPANS:
        assert turn("backup", archive.batch, door, somewhere(span)) == -signal.SIGKILL
        times = Counter(name.lower() for name in reads(azure))
        parts = archive_file.parts_in(backups.folder_of(archive))
        on_disk |= {key: times[key] for part in parts for key in part.keys}
    assert turn("backup", archive.batch, door) == os.EX_OK

    assert sorted(names_in(archive)) == sorted(contents(azure, "pay-prod"))
    times = Counter(name.lower() for name in reads(azure))
    assert on_disk
    assert [len(listed) for one in opened(archive) for _, listed in one.lists() if len(listed) > PART_SECRETS] == []
    assert {key: times[key] for key in on_disk} == on_disk  # what was in a part was never read again
    restored_like_it_was(azure, officer, door, archive)


def restored_like_it_was(azure: Azure, officer: Person, door: str, archive: archives.Archive) -> None:
    upload = take_in(officer, empty(azure), archive)
    batch = restores.ask(upload, restores.plan(upload), factories.actor(officer), reason="CHG-1")
    for span in SPANS:
        assert turn("restore", batch, door, somewhere(span)) == -signal.SIGKILL
    assert turn("restore", batch, door) == os.EX_OK

    batch.refresh_from_db()
    assert (batch.state, batch.done, batch.failed, batch.skipped) == ("done", SECRETS, 0, 0)
    assert contents(azure, "pay-dr") == contents(azure, "pay-prod")
    restored = Counter(row.object_id_url for row in azure.log if row.operation == "SecretRestore" and row.status == 200)
    assert set(restored.values()) == {1}
    assert chains.verify().intact
