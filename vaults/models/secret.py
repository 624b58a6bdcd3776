"""A secret's metadata. There is no column for a value, and there must never be one."""

from __future__ import annotations

from django.db import models

from vaults.models.vault import Vault


class Secret(models.Model):
    """One secret as Azure's list call describes it. Names are case-insensitive: `key` is the lower-case one."""

    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="secrets")
    key = models.CharField(max_length=127)
    name = models.CharField(max_length=127)
    content_type = models.CharField(max_length=255, blank=True)
    tags = models.JSONField(default=dict)
    enabled = models.BooleanField(default=True)
    managed = models.BooleanField(default=False)  # belongs to a certificate
    created_on = models.DateTimeField(null=True)
    updated_on = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    expires_on = models.DateTimeField(null=True, db_index=True)
    recovery_level = models.CharField(max_length=64, blank=True)
    recoverable_days = models.PositiveSmallIntegerField(default=0)
    vanished_at = models.DateTimeField(null=True)
    written_at = models.DateTimeField(null=True)  # when kvadmin itself last changed it: older lists do not count
    haystack = models.TextField(blank=True)  # lower case: what search looks through (vaults/search.py)

    class Meta:
        ordering = ["key"]
        constraints = [models.UniqueConstraint(fields=["vault", "key"], name="secret_once_per_vault")]
        indexes = [models.Index(fields=["key", "id"], name="secret_by_key")]

    def __str__(self) -> str:
        return self.name
