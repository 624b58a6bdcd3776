"""Rows that keep the clock: what runs when, and which workers are alive."""

from __future__ import annotations

from django.db import models


class Schedule(models.Model):
    """A job that runs every so often. Whoever moves `next_at` first, by a conditional update, enqueues the run."""

    name = models.CharField(max_length=60, unique=True)
    task_path = models.CharField(max_length=200)
    every_seconds = models.PositiveIntegerField()
    next_at = models.DateTimeField()
    last_at = models.DateTimeField(null=True)
    paused = models.BooleanField(default=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WorkerBeat(models.Model):
    """A worker's sign of life. A job whose worker has gone silent is given to another."""

    worker_id = models.CharField(max_length=64, unique=True)
    seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.worker_id
