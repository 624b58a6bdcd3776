"""Whole-vault backups, and archives that somebody wants to restore from. No value: files hold them, encrypted."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from vaults.models.batch import Batch
from vaults.models.vault import Vault


class Archive(models.Model):
    """One backup of a whole vault, on its way or done; its batch has the progress and each secret's result.

    What is made lies in KVADMIN_ARCHIVE_DIR, in a folder of this name, and can be opened with the recipients' private
    keys only, which kvadmin does not have.
    """

    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, related_name="archive")
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="archives")
    folder = models.UUIDField(default=uuid.uuid4, unique=True)
    recipients = models.JSONField(default=list)  # public keys (age1...)
    size = models.PositiveBigIntegerField(default=0)  # bytes
    digest = models.CharField(max_length=64, blank=True)  # SHA-256 of the whole file
    made_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()  # it is removed then, finished or not
    removed_at = models.DateTimeField(null=True)
    removed_by = models.CharField(max_length=200, blank=True)  # empty: the clock

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["vault", "-id"], name="archive_by_vault")]

    def __str__(self) -> str:
        return f"archive {self.pk} of {self.vault}"

    @property
    def is_there(self) -> bool:
        """Whether it can be downloaded."""
        return self.made_at is not None and self.removed_at is None


class Upload(models.Model):
    """An archive that somebody has opened for a restore into a vault: sealed with the server's key until it is done.

    `facts`: what its summary says about where it comes from. The private key that opened it is kept nowhere.
    """

    folder = models.UUIDField(default=uuid.uuid4, unique=True)
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    facts = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, null=True, related_name="upload")
    removed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"upload {self.pk} for {self.vault}"
