"""kill -9 in the middle of a change of many secrets, again and again: it ends complete, and nothing is done twice."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from audit import chains
from audit.models import LedgerEntry
from kvadmin.emulator import doors
from kvadmin.emulator.state import Azure
from tests.processes import database_url, environment, python
from tests.vaults.bulk_world import asked, company, counts, tags
from vaults.models import Batch, Person

pytestmark = pytest.mark.django_db(transaction=True)
KILLS = int(os.environ.get("KVADMIN_TEST_KILLS", "3"))
SECRETS = 40
PER_SECRET = 15  # statements, at least


@pytest.fixture
def door(azure: Azure) -> Iterator[str]:
    """The emulated Azure as other processes reach it."""
    server = doors.serve(azure, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def turn(batch: Batch, door: str, *dies_at: str) -> int:
    env = environment(DATABASE_URL=database_url(), KVADMIN_EMULATOR=door)
    process = python("-m", "tests.vaults.killed", str(batch.pk), *dies_at, env=env)
    process.communicate()
    return process.returncode


def test_a_batch_whose_worker_is_killed_ends_complete_and_does_nothing_twice(
    azure: Azure, officer: Person, door: str
) -> None:
    company(azure, secrets=SECRETS)
    batch = asked(officer)

    chance = random.Random(6)  # noqa: S311 - chance for a test
    within = SECRETS * PER_SECRET // KILLS
    codes = [turn(batch, door, str(chance.randint(40, within))) for _ in range(KILLS)]
    assert codes == [-signal.SIGKILL] * KILLS
    assert turn(batch, door) == os.EX_OK

    batch.refresh_from_db()
    assert (batch.state, counts(batch)) == ("done", (SECRETS, SECRETS, 0, 0))
    assert tags(azure, f"s-{SECRETS - 1:04}") == {"app": "pay", "team": "blue"}
    written = Counter(row.object_id_url for row in azure.log if row.operation == "SecretUpdate" and row.status == 200)
    assert set(written.values()) == {1}
    assert len(written) == SECRETS
    acts = Counter(LedgerEntry.objects.exclude(secret="").exclude(phase="intent").values_list("act", flat=True))
    intents = LedgerEntry.objects.filter(phase="intent").values_list("act", flat=True)
    assert acts == Counter(intents)  # each act that was begun has one outcome
    assert chains.verify().intact
