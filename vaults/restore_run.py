"""The worker's part of a restore: part by part, secret by secret, at Azure's pace. Then what was sealed is removed.

One secret at a time: a restore is rare, its order plain, and what was under way when a worker died is one secret.
"""

from __future__ import annotations

from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway.values import SecretValue
from vaults import backups, batch_work, restores, sealing
from vaults.archive_file import Facts
from vaults.batch_work import REPORT_SECONDS, Halted, Work, target
from vaults.models import Batch, BatchItem, Upload
from vaults.pace import REAL, Clock, Pace
from vaults.restore_one import THERE, Result, at_pace, is_there, restore

State = BatchItem.State
WIDE = frozenset({"rbac", "access-policy", "policy", "denied", "firewall", "private-link", "dns", "credential"})
BROKEN = "What waited to be restored can no longer be opened. Upload the archive again."


def run(batch_id: int, turn: int, *, clock: Clock = REAL) -> Batch | None:
    """Do what is left of a restore; None when the job is not meant any more. Safe to repeat after a crash."""
    batch = batch_work.run(batch_id, turn, lambda batch: _work(batch, clock))
    if batch and batch.state == Batch.State.DONE and not batch.failed:
        backups.forget(batch.upload)
    return batch


def _work(batch: Batch, clock: Clock) -> None:
    try:
        _Run(batch, clock).work()
    except (sealing.Broken, OSError):
        raise Halted(BROKEN) from None


class _Run(Work):
    """One turn of one restore."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        super().__init__(batch, clock)
        self.upload = Upload.objects.select_related("vault__subscription").get(batch=batch)
        self.vault = self.upload.vault
        self.pace = Pace(clock=clock)

    def work(self) -> None:
        if self.upload.removed_at:
            raise Halted(BROKEN)
        for name, listed in restores.lists(self.upload):
            items = self._open_items([facts["name"].lower() for facts in listed])
            if items and not self.stopping:
                self.judge(a.SECRET_RESTORE, self.vault, "restore into this vault")
                self._part(name, listed, items)

    def _open_items(self, keys: list[str]) -> dict[str, BatchItem]:
        left = self.batch.items.filter(state__in=[State.WAITING, State.DOING], key__in=keys)
        return {item.key: item for item in left}

    def _part(self, name: str, listed: list[Facts], items: dict[str, BatchItem]) -> None:
        for facts, blob in zip(listed, restores.blobs(self.upload, name), strict=True):
            item = items.pop(facts["name"].lower(), None)
            self.report()
            if item is not None and not self.stopping:
                self._settle(item, self._one(item, facts, blob))

    def _one(self, item: BatchItem, facts: Facts, blob: SecretValue) -> Result:
        """What came of one secret; whatever time heals is tried again, after a look whether it is there by now."""
        if item.state == State.DOING and is_there(self.vault, facts):
            ledger.record(a.SECRET_RESTORE, self.actor, target(item), reason=self.batch.reason, note=THERE)
            return Result("done", "", THERE)
        BatchItem.objects.filter(pk=item.pk).update(state=State.DOING, changed_at=timezone.now())
        return at_pace(
            lambda: restore(self.actor, self.vault, facts, blob, reason=self.batch.reason),
            self.pace, rest=self._rest, throttled=lambda _: self.hold(self.pace.pause()),
        )  # fmt: skip

    def _rest(self, seconds: float) -> None:
        self.clock.sleep(min(seconds, REPORT_SECONDS))
        self.report()

    def _settle(self, item: BatchItem, result: Result) -> None:
        self.settle(item, State(result.state), result.code, result.sentence)
        if result.code in WIDE and not self.batch.done:
            raise Halted(result.sentence)
