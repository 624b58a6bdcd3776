"""Secrets that were deleted and can still be brought back, and names that are being worked on at this moment."""

from __future__ import annotations

from django.db import models

from vaults.models.vault import Vault


class DeletedSecret(models.Model):
    """One deleted secret as Azure describes it, or as kvadmin expects it while Azure is not done yet.

    Azure answers before it is done: a state that ends in "ing" lasts until Azure itself shows that it is over. A row
    goes when the secret is live again, or gone for good.
    """

    class State(models.TextChoices):
        DELETING = "deleting", "Being deleted"
        DELETED = "deleted", "Deleted"
        RECOVERING = "recovering", "Being recovered"
        PURGING = "purging", "Being purged"

    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="deleted_secrets")
    key = models.CharField(max_length=127)  # lower case
    name = models.CharField(max_length=127)
    deleted_on = models.DateTimeField(null=True)
    scheduled_purge_on = models.DateTimeField(null=True)  # when Azure forgets it by itself
    recovery_level = models.CharField(max_length=64, blank=True)
    recoverable_days = models.PositiveSmallIntegerField(default=0)
    content_type = models.CharField(max_length=255, blank=True)
    tags = models.JSONField(default=dict)
    enabled = models.BooleanField(default=True)
    expires_on = models.DateTimeField(null=True)
    managed = models.BooleanField(default=False)  # belongs to a certificate
    state = models.CharField(max_length=10, choices=State, default=State.DELETED)
    since = models.DateTimeField()  # of the state
    asked_by = models.CharField(max_length=200, blank=True)  # who deleted, recovers or purges it through kvadmin

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["vault", "key"], name="deleted_once_per_vault")]
        indexes = [models.Index(fields=["key", "id"], name="deleted_by_key")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_pending(self) -> bool:
        """Whether Azure is still at it."""
        return self.state != self.State.DELETED


class Turn(models.Model):
    """The right to change one secret, for a moment: of two people who write the same name, one has to wait.

    Azure has no conditional write. So kvadmin looks which version is the newest and writes right after, and while it
    does so nobody else may through kvadmin. `until`: a turn whose process died is over then.
    """

    vault = models.ForeignKey(Vault, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=127)  # lower case
    until = models.DateTimeField()
    holder = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["vault", "key"], name="one_turn_per_secret")]

    def __str__(self) -> str:
        return f"{self.holder} writes {self.key}"
