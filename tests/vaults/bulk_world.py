"""A company to change many secrets in: two vaults, an officer, and a worker whose clock is Azure's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from kvadmin.emulator.state import Azure
from tests import factories
from vaults import batches, bulk
from vaults.bulk_forms import ChangeForm
from vaults.bulk_preview import Preview, batch_of, preview
from vaults.models import Batch, BatchItem, Person
from vaults.pace import Clock
from vaults.sync import sync_inventory

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
BLUE = {"change": "add-tags", "tags": "team=blue"}


def company(azure: Azure, *, secrets: int = 3, vaults: tuple[str, ...] = ("pay-prod",)) -> None:
    """Each vault holds so many secrets, s-0000 and on, each with the tag app=pay; the inventory knows them."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    for vault in vaults:
        azure.add_vault(vault, subscription_id=SUBSCRIPTION, tags={"environment": vault.rpartition("-")[2]})
        for number in range(secrets):
            azure.put_secret(vault, f"s-{number:04}", "x", tags={"app": "pay"})
    sync_inventory()


def previewed(person: Person, **asked: object) -> Preview:
    form = ChangeForm({**BLUE, **asked})
    assert form.is_valid(), form.errors
    return preview(fresh(person), form)


def fresh(person: Person) -> Person:
    """As the next request would know them: roles are kept on the person object for as long as one lasts."""
    return Person.objects.get(pk=person.pk)


def asked(person: Person, **words: object) -> Batch:
    """A batch that the person has confirmed; nothing is queued, the test is the worker."""
    batch, items = batch_of(previewed(person, **words), person, "CHG-1: owners")
    return batches.ask(batch, items, factories.actor(person), lambda batch: None)


def work(
    batch: Batch,
    azure: Azure,
    *,
    meanwhile: Callable[[], object] = lambda: None,
    resting: Callable[[], object] = lambda: None,
) -> Batch:
    """One turn of the worker, by Azure's clock: a pause takes no time of the test's.

    `meanwhile` is done each time the worker looks at the clock, which it does between any two of its steps, and
    `resting` each time it has nothing to do but to wait.
    """
    batch.refresh_from_db()

    def now() -> float:
        meanwhile()
        return azure.clock.now().timestamp()

    def sleep(seconds: float) -> None:
        resting()
        azure.clock.advance(timedelta(seconds=seconds))

    clock = Clock(now=now, sleep=sleep)
    assert bulk.run(batch.pk, batch.turn, clock=clock) is not None
    batch.refresh_from_db()
    return batch


def counts(batch: Batch) -> tuple[int, int, int, int]:
    return batch.total, batch.done, batch.failed, batch.skipped


def tags(azure: Azure, name: str, vault: str = "pay-prod") -> dict[str, str]:
    """The tags of a secret's newest version, in Azure."""
    return dict(newest(azure, name, vault).tags or {})


def newest(azure: Azure, name: str, vault: str = "pay-prod"):  # type: ignore[no-untyped-def] # the emulator's Version
    secret = azure.vault(vault).secrets.get(name)
    assert secret is not None
    return secret.latest


def item(batch: Batch, name: str = "s-0000") -> BatchItem:
    return BatchItem.objects.select_related("vault").get(batch=batch, name=name)


def updates(azure: Azure) -> int:
    """How many changes Azure has taken."""
    return sum(row.operation == "SecretUpdate" and row.status == 200 for row in azure.log)
