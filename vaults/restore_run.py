"""The worker's part of a restore: part by part, secret by secret, at Azure's pace. Then what was sealed is removed.

One secret at a time: a restore is rare, its order plain, and what was under way when a worker died is one secret.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone

from audit import ledger
from audit.ledger import LedgerUnavailable
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.values import SecretValue
from vaults import backups, batches, policy, restores, sealing
from vaults.archive_file import Facts
from vaults.models import Batch, BatchItem, Person, Upload
from vaults.pace import REAL, Clock, Pace
from vaults.restore_one import THERE, Result, at_pace, is_there, restore

logger = logging.getLogger(__name__)
State = BatchItem.State
REPORT_SECONDS = 1.0
WIDE = frozenset({"rbac", "access-policy", "policy", "denied", "firewall", "private-link", "dns", "credential"})
BROKEN = "What waited to be restored can no longer be opened. Upload the archive again."


class Halted(Exception):
    """The restore as a whole cannot go on. Its text is one sentence for the person."""

    code = "halted"


def run(batch_id: int, turn: int, *, clock: Clock = REAL) -> Batch | None:
    """Do what is left of a restore; None when the job is not meant any more. Safe to repeat after a crash."""
    batch = batches.claim(batch_id, turn)
    if batch is None:
        return None
    note, work = "", _Run(batch, clock)
    try:
        work.work()
    except (Halted, LedgerUnavailable) as error:
        note = str(error)
    except (sealing.Broken, OSError):
        note = BROKEN
    except Exception as error:
        logger.error("batch %s: %s", batch.pk, type(error).__name__)  # its text may quote what it was given
        batches.finish(batch, note="It stopped because of an error in kvadmin; its log has the details.")
        raise
    batches.finish(batch, note=note)
    if batch.state == Batch.State.DONE and not batch.failed:
        backups.forget(work.upload)
    return batch


class _Run:
    """One turn of one restore."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        self.batch, self.clock = batch, clock
        self.upload = Upload.objects.select_related("vault__subscription").get(batch=batch)
        self.vault = self.upload.vault
        self.actor = batches.actor_of(batch)
        self.pace = Pace(clock=clock)
        self._report_at = 0.0
        self.stopping = False

    def work(self) -> None:
        if self.upload.removed_at:
            raise Halted(BROKEN)
        for name, listed in restores.lists(self.upload):
            items = self._open_items([facts["name"].lower() for facts in listed])
            if items and not self.stopping:
                self._judge()
                self._part(name, listed, items)

    def _open_items(self, keys: list[str]) -> dict[str, BatchItem]:
        left = self.batch.items.filter(state__in=[State.WAITING, State.DOING], key__in=keys)
        return {item.key: item for item in left}

    def _judge(self) -> None:
        """A role is judged when it is used: before each part."""
        person = Person.objects.get(pk=self.batch.asked_by_id)
        decision = policy.may(person, a.SECRET_RESTORE, self.vault)
        if not decision:
            target, reason = ledger.Target(self.vault.name), self.batch.reason
            ledger.refuse(a.SECRET_RESTORE, self.actor, target, code=decision.code, note=decision.reason, reason=reason)
            raise Halted(f"{person} may not restore into this vault any more: {decision.reason}")

    def _part(self, name: str, listed: list[Facts], items: dict[str, BatchItem]) -> None:
        for facts, blob in zip(listed, restores.blobs(self.upload, name), strict=True):
            item = items.pop(facts["name"].lower(), None)
            self._report()
            if item is not None and not self.stopping:
                self._settle(item, self._one(item, facts, blob))

    def _one(self, item: BatchItem, facts: Facts, blob: SecretValue) -> Result:
        """What came of one secret; whatever time heals is tried again, after a look whether it is there by now."""
        if item.state == State.DOING and is_there(self.vault, facts):
            target = ledger.Target(self.vault.name, item.key)
            ledger.record(a.SECRET_RESTORE, self.actor, target, reason=self.batch.reason, note=THERE)
            return Result("done", "", THERE)
        BatchItem.objects.filter(pk=item.pk).update(state=State.DOING, changed_at=timezone.now())
        return at_pace(
            lambda: restore(self.actor, self.vault, facts, blob, reason=self.batch.reason),
            self.pace, rest=self._rest, throttled=self._throttled,
        )  # fmt: skip

    def _rest(self, seconds: float) -> None:
        self.clock.sleep(min(seconds, REPORT_SECONDS))
        self._report()

    def _throttled(self, _: GatewayError) -> None:
        self.batch.throttled += 1
        self.batch.held_until = timezone.now() + timedelta(seconds=self.pace.pause())

    def _settle(self, item: BatchItem, result: Result) -> None:
        item.state, item.code, item.sentence = State(result.state), result.code, result.sentence[:400]
        item.changed_at = timezone.now()
        item.save(update_fields=["state", "code", "sentence", "changed_at"])
        column = batches.OVER[State(result.state)]
        setattr(self.batch, column, getattr(self.batch, column) + 1)
        if result.code in WIDE and not self.batch.done:
            raise Halted(result.sentence)

    def _report(self) -> None:
        """How far it is, once a second; and whether somebody wants it to stop."""
        if self.clock.now() >= self._report_at:
            self._report_at = self.clock.now() + REPORT_SECONDS
            self.stopping = self.stopping or batches.stops(self.batch)
            batches.save_counts(self.batch)
