"""Reveal policies: whether a value may be shown, and how. The most specific scope wins; no policy means nobody."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from vaults.models.scope import SPECIFICITY, Scoped


class RevealPolicy(Scoped):
    """How values in a scope may be revealed. Never changed and never deleted: a new one takes the old one's place."""

    class Mode(models.TextChoices):
        DIRECT = "direct", "Direct"
        APPROVAL = "approval", "After approval"
        FORBIDDEN = "forbidden", "Forbidden"

    class Use(models.TextChoices):
        ONCE = "once", "One time"
        WINDOW = "window", "For a while"

    class VersionRule(models.TextChoices):
        LATEST = "latest", "The latest when it is shown"
        PINNED = "pinned", "The version when it was asked for"

    mode = models.CharField(max_length=10, choices=Mode)
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    # Each of these groups has to say yes, by a person of its own; empty: any eligible approver.
    approver_groups = models.ManyToManyField(Group, blank=True, related_name="+")
    use = models.CharField(max_length=10, choices=Use, default=Use.ONCE)
    cap_minutes = models.PositiveIntegerField(default=60)  # the longest time a grant may last
    version_rule = models.CharField(max_length=10, choices=VersionRule, default=VersionRule.LATEST)
    ticket_pattern = models.CharField(max_length=200, blank=True)  # a regular expression for the whole ticket
    sign_in_minutes = models.PositiveIntegerField(default=0)  # how fresh the sign-in must be; 0: as the session allows
    decide_minutes = models.PositiveIntegerField(default=1440)  # undecided, or approved and unused, so long: expired
    break_glass = models.BooleanField(default=False)
    break_glass_minutes = models.PositiveIntegerField(default=30)
    purge_approval = models.BooleanField(
        default=False, db_default=False
    )  # a purge needs the approvals that are asked for here
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta(Scoped.Meta):
        abstract = False
        verbose_name_plural = "reveal policies"
        constraints = [
            *Scoped.Meta.constraints,
            models.CheckConstraint(name="one_to_three_approvals", condition=Q(approvals_needed__range=(1, 3))),
        ]

    def __str__(self) -> str:
        return f"{self.get_mode_display()} on {self.scope_text}"

    @property
    def specificity(self) -> tuple[int, int]:
        """Higher is more specific; of two prefixes the longer one wins."""
        return SPECIFICITY[self.scope_kind], len(self.prefix)
