"""A change of 1,000 secrets in a vault that takes 300 calls in ten seconds, in real time: the rate, and its progress.

While it runs, its row is looked at twice a second, beside what the emulated Azure has really taken: a progress that is
honest never runs ahead of that, and never backwards.
"""

from __future__ import annotations

import threading
import time

from tests.bench.setting import database, say, seconds

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
ALLOWED, WINDOW = 300, 10.0


def main(secrets: int = 1000, *, says_when: bool = True) -> None:
    with database() as vendor:
        from tests.vaults import bulk_world as world
        from vaults import batches, bulk

        cloud = _cloud()
        world.company(cloud, secrets=secrets)
        cloud.vault("pay-prod").limit, cloud.vault("pay-prod").limit_says_when = (ALLOWED, WINDOW), says_when
        batch = world.asked(_officer())
        watch = Watch(batch.pk, cloud)
        watch.start()
        took = seconds(lambda: bulk.run(batch.pk, batch.turn))
        watch.over.set()
        watch.join()
        batch.refresh_from_db()
        batches.recount(batch)
        rate, allowed = secrets / took, ALLOWED / WINDOW
        say(f"\nChange of {secrets:,} secrets, {vendor}, {ALLOWED} calls in {WINDOW:.0f} s allowed")
        say(f"  done {batch.done:,}, failed {batch.failed}, in {took:.1f} s")
        say(f"  {rate:.1f} a second, {rate / allowed:.2f}x what is allowed")
        say(f"  429 met {batch.throttled} times; progress looked at {len(watch.seen)} times")
        assert (batch.done, batch.failed) == (secrets, 0)
        assert world.updates(cloud) == secrets
        assert rate >= 0.8 * allowed
        assert [seen for seen in watch.seen if seen[0] > seen[1]] == []
        assert [done for done, _ in watch.seen] == sorted(done for done, _ in watch.seen)


class Watch(threading.Thread):
    """Looks at the batch's row: how many it says are done, and how many Azure has really taken, asked afterwards."""

    def __init__(self, pk: int, cloud: object) -> None:
        super().__init__(daemon=True)
        self.pk, self.cloud = pk, cloud
        self.seen: list[tuple[int, int]] = []
        self.over = threading.Event()

    def run(self) -> None:
        from django.db import connections

        from tests.vaults.bulk_world import updates
        from vaults.models import Batch

        while not self.over.is_set():
            done = Batch.objects.values_list("done", flat=True).get(pk=self.pk)
            self.seen.append((done, updates(self.cloud)))  # type: ignore[arg-type] # the emulator's Azure
            time.sleep(0.5)
        connections.close_all()


def _cloud():  # type: ignore[no-untyped-def] # the emulator's Azure
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure
    from kvadmin.gateway import client

    cloud = Azure()
    doors.set_memory("tests", cloud)
    client.reset()
    return cloud


def _officer():  # type: ignore[no-untyped-def] # a Person
    from tests import factories

    return factories.person("officer", "secrets-officer")


if __name__ == "__main__":
    main()
