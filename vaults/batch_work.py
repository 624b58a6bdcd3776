"""What the workers of all batches do alike: take the batch, say how far it is, hear a wish to stop, and write down what
came of each item, and of the batch, whatever happened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from audit import ledger
from audit.ledger import Attempt, LedgerUnavailable
from kvadmin import actions as a
from vaults import batches, policy
from vaults.models import Batch, BatchItem, Person, Vault
from vaults.pace import Clock

logger = logging.getLogger(__name__)
State = BatchItem.State
Outcome = Callable[[Attempt], None]  # closes an act with what became of it
REPORT_SECONDS = 1.0
CRASHED = "It stopped because of an error in kvadmin; its log has the details."


class Halted(Exception):
    """The batch as a whole cannot go on. Its text is one sentence for the person.

    On record it is also what became of an act that was begun and did not reach Azure, because the batch was stopped or
    its worker died.
    """

    code = "halted"


def run(batch_id: int, turn: int, work: Callable[[Batch], None]) -> Batch | None:
    """Let `work` do what is left of a batch; None when the job is not meant any more.

    Halted ends the batch with its sentence. Whatever else `work` raises is a fault of kvadmin, and the job's too.
    """
    batch = batches.claim(batch_id, turn)
    if batch is None:
        return None
    note = ""
    try:
        work(batch)
    except (Halted, LedgerUnavailable) as error:
        note = str(error)
    except Exception as error:
        logger.error("batch %s: %s", batch.pk, type(error).__name__)  # its text may quote rows, or what it was given
        batches.finish(batch, note=CRASHED)
        raise
    batches.finish(batch, note=note)
    return batch


class Work:
    """One turn of one batch. `stopping`: nothing more is to be begun."""

    def __init__(self, batch: Batch, clock: Clock) -> None:
        self.batch, self.clock = batch, clock
        self.actor = batches.actor_of(batch)
        self.stopping = False
        self._report_at = 0.0

    def judge(self, action: a.Action, vault: Vault, words: str) -> None:
        """A role is judged when it is used: at each turn, and before each part. Raises Halted, on record.

        `words` say what the person may not do any more: "back this vault up".
        """
        person = Person.objects.get(pk=self.batch.asked_by_id)
        decision = policy.may(person, action, vault)
        if not decision:
            target, reason = ledger.Target(vault.name), self.batch.reason
            ledger.refuse(action, self.actor, target, code=decision.code, note=decision.reason, reason=reason)
            raise Halted(f"{person} may not {words} any more: {decision.reason}")

    def report(self) -> None:
        """Once a second, say how far it is, and hear whether somebody wants it to stop."""
        if self.clock.now() >= self._report_at:
            self._report_at = self.clock.now() + REPORT_SECONDS
            self.look_up()

    def look_up(self) -> None:
        """What is done once a second."""
        self.stopping = self.stopping or batches.stops(self.batch)
        batches.save_counts(self.batch)

    def hold(self, seconds: float) -> None:
        """Azure said that it was too fast, and it rests for so long."""
        self.batch.throttled += 1
        self.batch.held_until = timezone.now() + timedelta(seconds=seconds)

    # --- Writing down ------------------------------------------------------------------------------------------------
    def intend(self, item: BatchItem, action: a.Action) -> Attempt:
        """Put the intent on record together with the item's state; the caller commits both before Azure is called."""
        act = ledger.begin(action, self.actor, target(item), reason=self.batch.reason, move=ledger.NO_MOVE)
        item.ledger_act = act.id
        self.settle(item, State.DOING)
        return act

    def resumed(self, item: BatchItem, action: a.Action) -> Attempt | None:
        """The act of an item that was found under way."""
        if item.state != State.DOING or item.ledger_act is None:
            return None
        return ledger.resume(item.ledger_act, action, self.actor, target(item), reason=self.batch.reason)

    def close(
        self, item: BatchItem, act: Attempt | None, state: State, outcome: Outcome, code: str = "", sentence: str = ""
    ) -> None:
        """The outcome of an item and, if it has one, of its act: both or neither."""
        with transaction.atomic(savepoint=False):
            if act:
                outcome(act)
            self.settle(item, state, code, sentence)

    def settle(self, item: BatchItem, state: State, code: str = "", sentence: str = "") -> None:
        """What became of an item: stored, and counted if it is over."""
        item.state, item.code, item.sentence, item.changed_at = state, code, sentence[:400], timezone.now()
        item.save(update_fields=["state", "code", "sentence", "changed_at", "ledger_act"])
        if column := batches.OVER.get(state):
            setattr(self.batch, column, getattr(self.batch, column) + 1)


def target(item: BatchItem) -> ledger.Target:
    """The secret that an item means, for the ledger."""
    return ledger.Target(item.vault.name, item.key)
