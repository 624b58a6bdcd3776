"""What the processes have counted, added up: kvadmin/metrics/tallies.py writes it."""

from __future__ import annotations

from django.db import models


class Tally(models.Model):
    """How often something happened, or how long it took in all; it only grows."""

    name = models.CharField(max_length=40)
    label = models.CharField(max_length=100, blank=True)
    amount = models.FloatField(default=0)

    class Meta:
        verbose_name_plural = "tallies"
        constraints = [models.UniqueConstraint(fields=["name", "label"], name="one_tally_per_label")]

    def __str__(self) -> str:
        return f"{self.name} {self.label}: {self.amount}"
