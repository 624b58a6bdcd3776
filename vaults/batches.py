"""Batches: asked for, stopped, carried on, tried again. Each verb is one row in the ledger, in the same transaction.

The work itself is the worker's. A batch belongs to the job of its latest `turn`: the queue hands a job to one worker
at a time, so one batch is never worked on by two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from vaults import policy
from vaults.models import Batch, BatchItem, Person

State = Batch.State
ItemState = BatchItem.State
SILENT = timedelta(minutes=5)  # an open batch that reports nothing for so long has lost its worker
OVER = {ItemState.DONE: "done", ItemState.FAILED: "failed", ItemState.SKIPPED: "skipped"}
Queue = Callable[[Batch], object]  # puts the job of the batch's turn into the queue


class NotNow(Exception):
    """The batch is not in a state for this. Its text is one sentence for the person."""


def visible(person: Person) -> QuerySet[Batch]:
    """The batches that this person may look at: their own; all, for whoever audits or changes every secret.

    Backups and restores of whole vaults have pages of their own.
    """
    everywhere = any(policy.may_everywhere(person, action) for action in (a.AUDIT_READ, a.SECRET_UPDATE))
    found = Batch.objects.filter(archive=None, upload=None)
    return found if everywhere else found.filter(asked_by=person)


def may_steer(person: Person, batch: Batch) -> bool:
    """Whether they may stop it: whoever asked, and, because that person may be away, whoever may change everything."""
    return batch.asked_by_id == person.pk or bool(policy.may_everywhere(person, _action(batch)))


def ask(batch: Batch, items: Iterable[BatchItem], actor: ledger.Actor, queue: Queue) -> Batch:
    """Store the batch with its items and queue it. Items that are skipped already say why."""
    with transaction.atomic():
        batch.address = actor.address
        batch.save()
        for item in (rows := list(items)):
            item.batch = batch
        BatchItem.objects.bulk_create(rows, batch_size=500)
        recount(batch)
        batch.save()
        _record(batch, actor, f"asked for: {batch.title}", move=ledger.Move(shown_hash=batch.shown_hash))
        queue(batch)
    return batch


def stop(batch: Batch, actor: ledger.Actor) -> None:
    """No further item is begun. What is under way ends; without a worker it is over at once. Raises NotNow."""
    with transaction.atomic():
        open_ones = Batch.objects.filter(pk=batch.pk, state__in=[State.QUEUED, State.RUNNING])
        if not open_ones.update(state=State.STOPPING):
            raise NotNow("It is over, or is being stopped already.")
        _record(batch, actor, "is to stop")


def go_on(batch: Batch, actor: ledger.Actor, queue: Queue) -> None:
    """Do what is left of a batch that was stopped, failed as a whole, or lost its worker. Raises NotNow."""
    silent = Q(state__in=[State.QUEUED, State.RUNNING, State.STOPPING]) & quiet()
    _again(batch, actor, queue, Q(state__in=[State.STOPPED, State.FAILED]) | silent, "goes on")


def retry(batch: Batch, actor: ledger.Actor, queue: Queue) -> None:
    """Do the failed items of a batch once more, and what is left. Raises NotNow."""
    ended = Q(state__in=[State.DONE, State.STOPPED, State.FAILED])
    with transaction.atomic():
        failed = batch.items.filter(state=ItemState.FAILED)
        number = failed.update(state=ItemState.WAITING, code="", sentence="")
        if not number:
            raise NotNow("Nothing of it has failed.")
        _again(batch, actor, queue, ended, f"tries {number} failed again")


def quiet() -> Q:
    """Nothing was heard of it for so long that its worker must be lost."""
    since = timezone.now() - SILENT
    return Q(progressed_at__lt=since) | Q(progressed_at=None, queued_at__lt=since)


def is_silent(batch: Batch) -> bool:
    """Whether it is open, and its worker must be lost."""
    return batch.is_open and Batch.objects.filter(quiet(), pk=batch.pk).exists()


def _again(batch: Batch, actor: ledger.Actor, queue: Queue, when: Q, words: str) -> None:
    with transaction.atomic():
        mine = Batch.objects.filter(when, pk=batch.pk, turn=batch.turn)
        facts = {"state": State.QUEUED, "finished_at": None, "note": "", "held_until": None, "progressed_at": None}
        if not mine.update(turn=batch.turn + 1, queued_at=timezone.now(), **facts):
            raise NotNow("It is under way, or somebody else was faster.")
        batch.refresh_from_db()
        recount(batch)
        save_counts(batch)
        _record(batch, actor, words)
        queue(batch)


# --- For the worker ------------------------------------------------------------------------------------------------
def claim(batch_id: int, turn: int) -> Batch | None:
    """The batch, running, for the job of its latest turn; None when this job is not meant any more."""
    mine = Batch.objects.filter(pk=batch_id, turn=turn, state__in=[State.QUEUED, State.RUNNING, State.STOPPING])
    now = timezone.now()
    with transaction.atomic():
        if not mine.update(progressed_at=now):
            return None
        mine.filter(state=State.QUEUED).update(state=State.RUNNING)
        mine.filter(started_at=None).update(started_at=now)
    batch = Batch.objects.select_related("asked_by").get(pk=batch_id)
    recount(batch)
    save_counts(batch)
    return batch


def stops(batch: Batch) -> bool:
    """Whether somebody wants it to stop, or it was given to another worker meanwhile."""
    return not Batch.objects.filter(pk=batch.pk, turn=batch.turn, state=State.RUNNING).exists()


def recount(batch: Batch) -> None:
    """The counts as the items have them."""
    counts = dict(batch.items.order_by().values_list("state").annotate(Count("pk")))
    batch.total = sum(counts.values())
    for state, column in OVER.items():
        setattr(batch, column, counts.get(state, 0))


def save_counts(batch: Batch) -> None:
    """Write how far it is, and nothing else: somebody may be stopping it at this moment."""
    batch.progressed_at = timezone.now()
    facts = {name: getattr(batch, name) for name in ("total", *OVER.values(), "throttled", "held_until")}
    Batch.objects.filter(pk=batch.pk, turn=batch.turn).update(progressed_at=batch.progressed_at, **facts)


def finish(batch: Batch, *, note: str = "") -> None:
    """The worker is through with it: done, or stopped, or failed as a whole, which `note` says."""
    recount(batch)
    batch.held_until = None
    save_counts(batch)
    state = State.FAILED if note else State.STOPPED if batch.left else State.DONE
    mine = Batch.objects.filter(pk=batch.pk, turn=batch.turn)
    mine.update(state=state, finished_at=timezone.now(), note=note[:300])
    batch.refresh_from_db()


def actor_of(batch: Batch) -> ledger.Actor:
    """Who asked for it, as the ledger remembers them: they act, wherever the worker runs."""
    return ledger.Actor(str(batch.asked_by_id), str(batch.asked_by), batch.address)


def _action(batch: Batch) -> a.Action:
    return a.ACTIONS[batch.act]


def _record(batch: Batch, actor: ledger.Actor, words: str, *, move: ledger.Move = ledger.NO_MOVE) -> None:
    note = f"batch {batch.pk} {words}"
    ledger.record(_action(batch), actor, reason=batch.reason, note=note, move=move)
