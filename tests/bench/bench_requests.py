"""Requests decided per second by eight people at once, and the inbox with 100,000 requests against one with 100."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, islice, product

from django.test import Client

from tests.bench.setting import database, p95, say, seconds

PEOPLE = 8
DECISIONS = 400
SIZES = (100, 100_000)
GOAL = 1.5


def main(sizes: tuple[int, int] = SIZES, decisions: int = DECISIONS) -> None:
    with database() as vendor:
        world = _World()
        took = _decide(world, decisions)
        say(f"\nRequests, {vendor}: {PEOPLE} people at once, each decision with its ledger row and its queued notice")
        say(f"  {decisions} approvals in {took:.1f} s: {decisions / took:.0f} per second")
        few, many = (world.inbox(size) for size in sizes)
        say(f"  inbox, p95 of a page request in ms: {few:.1f} with {sizes[0]:,} requests, {many:.1f} with {sizes[1]:,}")
        say(f"  {many / few:.2f}x (goal: {GOAL}x at most)")


class _World:
    """Some people who ask, eight who decide, and a policy that needs one of them."""

    def __init__(self) -> None:
        from django.conf import settings

        from tests import factories
        from vaults.models import Person

        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # so that each step queues its notice
        vault = factories.vault("pay-prod")
        self.policy = factories.policy("approval")
        self.secrets = [factories.secret(vault, f"key-{number}") for number in range(200)]
        self.people = [factories.person(f"lead-{number}", "approver") for number in range(PEOPLE)]
        devs = [Person(username=f"dev-{number}") for number in range(500)]
        self.devs = list(Person.objects.bulk_create(devs))
        for dev in self.devs:
            factories.assign(dev, "reader")
        self.pairs = product(self.devs, self.secrets)

    def add(self, number: int) -> list[tuple[int, str]]:
        """So many more requests, every other one undecided; the undecided ones' numbers and hashes."""
        from vaults.models import RevealRequest

        made = RevealRequest.objects.bulk_create(islice(self._requests(), number), batch_size=2000)
        return [(request.pk, request.asked_hash) for request in made if request.state == "pending"]

    def _requests(self) -> Iterator[object]:
        from django.utils import timezone

        from vaults.models import RevealRequest

        now = timezone.now()
        for number, (dev, secret) in zip(count(), self.pairs, strict=False):
            state = "denied" if number % 2 else "pending"
            request = RevealRequest(
                state=state, requester=dev, secret=secret, policy=self.policy, use="once", minutes=30, uses_left=1,
                reason="INC-7: the nightly job fails", asked_at=now, due_at=now + timedelta(days=1),
            )  # fmt: skip
            request.asked_hash = request.fingerprint()
            yield request

    def inbox(self, size: int) -> float:
        """The p95 of the inbox with this many requests in the database, in milliseconds."""
        from vaults.models import RevealRequest

        self.add(size - RevealRequest.objects.count())
        client = Client()
        client.force_login(self.people[0])
        assert client.get("/requests/?show=inbox").status_code == 200
        return p95(lambda: client.get("/requests/?show=inbox"))


def _decide(world: _World, decisions: int) -> float:
    """Seconds in which eight people decide so many requests; whatever is left is taken away again."""
    from vaults.models import RevealRequest, Vote

    waiting: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    for asked in world.add(2 * decisions):
        waiting.put(asked)
    threads = [threading.Thread(target=_approve_all, args=(person, waiting)) for person in world.people]
    took = seconds(lambda: [work() for work in [*(t.start for t in threads), *(t.join for t in threads)]])
    assert RevealRequest.objects.filter(state="approved").count() == decisions
    Vote.objects.all().delete()
    RevealRequest.objects.all().delete()
    return took


def _approve_all(person: object, waiting: queue.SimpleQueue[tuple[int, str]]) -> None:
    from django.db import OperationalError, connection

    from tests import factories
    from vaults import requests
    from vaults.models import Person

    assert isinstance(person, Person)
    try:
        while not waiting.empty():
            pk, seen = waiting.get_nowait()
            try:
                requests.approve(Person.objects.get(pk=person.pk), factories.actor(person), pk, seen=seen)
            except OperationalError:  # SQLite's writers wait in no order: on a busy machine one may wait too long
                say("  one decision waited longer than SQLite's timeout, and is tried again")
                waiting.put((pk, seen))
    except queue.Empty:
        pass
    finally:
        connection.close()


if __name__ == "__main__":
    main()
