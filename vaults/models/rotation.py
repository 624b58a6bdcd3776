"""Rotations under way, and who wants to be reminded of an expiry. No value anywhere."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from vaults.models.vault import Vault


class Rotation(models.Model):
    """Somebody replaces a secret's value, step by step. `old_version` is the one that was the newest at its start.

    That a new version is there is not noted here: the inventory tells it (`old_created_on`).
    """

    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=127)  # lower case
    old_version = models.CharField(max_length=32, blank=True)
    old_created_on = models.DateTimeField(null=True)
    old_disabled_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500)
    started_by = models.CharField(max_length=200)
    started_at = models.DateTimeField(auto_now_add=True)
    closed_by = models.CharField(max_length=200, blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["vault", "key"], condition=Q(closed_at=None), name="one_open_rotation_per_secret"
            )
        ]
        indexes = [models.Index(fields=["vault", "key", "-id"], name="rotation_by_secret")]

    def __str__(self) -> str:
        return f"rotation of {self.key} in {self.vault}"


class RotationLine(models.Model):
    """One line of a rotation's checklist: who or what still uses the old value."""

    rotation = models.ForeignKey(Rotation, on_delete=models.CASCADE, related_name="lines")
    text = models.CharField(max_length=300)
    done_at = models.DateTimeField(null=True)
    done_by = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text


class ExpiryWatch(models.Model):
    """A person who wants to be reminded before a secret expires, as its owner by tag is."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="expiry_watches")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=127)  # lower case

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "vault", "key"], name="watch_once")]

    def __str__(self) -> str:
        return f"{self.person} watches {self.key}"


class ReminderSent(models.Model):
    """Who was reminded of which expiry at which stage (days before it), so that nobody is told the same twice."""

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=127)  # lower case
    expires_on = models.DateTimeField()
    stage = models.SmallIntegerField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "vault", "key", "expires_on", "stage"], name="reminded_once")
        ]

    def __str__(self) -> str:
        return f"{self.key}, {self.stage} days before"
