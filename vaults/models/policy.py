"""Reveal policies: whether a value may be shown, and how. The most specific scope wins; no policy means nobody."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from vaults.models.scope import SPECIFICITY, Scoped


class RevealPolicy(Scoped):
    """How values in a scope may be revealed. Never deleted: an ended one stays as history."""

    class Mode(models.TextChoices):
        DIRECT = "direct", "Direct"
        APPROVAL = "approval", "After approval"
        FORBIDDEN = "forbidden", "Forbidden"

    mode = models.CharField(max_length=10, choices=Mode)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta(Scoped.Meta):
        abstract = False
        verbose_name_plural = "reveal policies"

    def __str__(self) -> str:
        return f"{self.get_mode_display()} on {self.scope_text}"

    @property
    def specificity(self) -> tuple[int, int]:
        """Higher is more specific; of two prefixes the longer one wins."""
        return SPECIFICITY[self.scope_kind], len(self.prefix)
