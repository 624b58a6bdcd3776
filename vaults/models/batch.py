"""Work on many secrets at once, as it goes: what was asked, each item of it, and what came of it. No value anywhere."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from vaults.models.vault import Vault


class Batch(models.Model):
    """One piece of work on many secrets, which the worker does item by item.

    `act` is a word of kvadmin/actions.py, `parameters` what was asked in JSON, and `shown_hash` the hash of the preview
    that was confirmed. `turn` counts how often it was queued: a job of an earlier turn finds that it is not meant.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        STOPPING = "stopping", "Stopping"
        STOPPED = "stopped", "Stopped"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    act = models.CharField(max_length=30)
    title = models.CharField(max_length=300)
    parameters = models.JSONField(default=dict)
    reason = models.CharField(max_length=500)
    shown_hash = models.CharField(max_length=64, blank=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="batches")
    address = models.CharField(max_length=45, blank=True)  # where the request came from, for the ledger
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    turn = models.PositiveIntegerField(default=1)
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)  # a running one that is silent for long has lost its worker
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    throttled = models.PositiveIntegerField(default=0)  # how often Azure said that it was too fast
    held_until = models.DateTimeField(null=True)  # a rest that Azure asked for
    note = models.CharField(max_length=300, blank=True)  # why it failed as a whole, in our own words

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "batches"
        indexes = [models.Index(fields=["asked_by", "-id"], name="batch_by_person")]

    def __str__(self) -> str:
        return f"batch {self.pk}: {self.title}"

    @property
    def over(self) -> int:
        """Items that it is through with, well or not."""
        return self.done + self.failed + self.skipped

    @property
    def left(self) -> int:
        return max(self.total - self.over, 0)

    @property
    def is_open(self) -> bool:
        """Whether a worker has it, or will."""
        return self.state in {self.State.QUEUED, self.State.RUNNING, self.State.STOPPING}


class BatchItem(models.Model):
    """One secret of a batch. `before` and `after` are metadata only: tags, enabled, dates, content type, or a note.

    An item that is found "doing" by a new turn lost its worker: Azure is asked what became of it before anything else.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        DOING = "doing", "Under way"
        DONE = "done", "Done"
        SKIPPED = "skipped", "Skipped"
        FAILED = "failed", "Failed"

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="items")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=127)
    name = models.CharField(max_length=127)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    code = models.CharField(max_length=40, blank=True)
    sentence = models.CharField(max_length=400, blank=True)  # why it was skipped or failed, or how it was settled
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    created_on = models.DateTimeField(null=True)  # of the version that the preview showed
    ledger_act = models.UUIDField(null=True)  # the act in the ledger that did it, or began to
    changed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["batch", "vault", "key"], name="secret_once_per_batch")]
        indexes = [
            models.Index(fields=["batch", "state", "id"], name="batch_item_by_state"),
            models.Index(fields=["vault", "key"], name="batch_item_by_secret", condition=~Q(ledger_act=None)),
        ]

    def __str__(self) -> str:
        return f"{self.vault} / {self.name}: {self.get_state_display()}"
