"""What a sweep of the inventory did, as it goes: the progress that the page shows."""

from __future__ import annotations

from django.db import models


class SyncRun(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"  # another one was running

    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    asked_by = models.CharField(max_length=150, blank=True)  # empty: the clock
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)  # a running sweep that is silent for long has lost its worker
    vaults_total = models.PositiveIntegerField(default=0)
    vaults_done = models.PositiveIntegerField(default=0)
    vaults_failed = models.PositiveIntegerField(default=0)
    secrets_seen = models.PositiveIntegerField(default=0)
    secrets_written = models.PositiveIntegerField(default=0)
    secrets_vanished = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=300, blank=True)  # why discovery itself failed, in our own words

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=models.Q(state="running"), name="one_sweep_at_a_time")
        ]

    def __str__(self) -> str:
        return f"sweep {self.pk}: {self.get_state_display()}"

    @property
    def vaults_over(self) -> int:
        """Vaults that the sweep is through with, well or not."""
        return self.vaults_done + self.vaults_failed
