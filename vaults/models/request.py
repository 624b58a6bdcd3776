"""A request to see one value, or to purge one secret, from the question to its end, and the votes on it."""

from __future__ import annotations

import hashlib
import json

from django.conf import settings
from django.db import models
from django.db.models import Q

from vaults.models.policy import RevealPolicy
from vaults.models.secret import Secret


class State(models.TextChoices):
    """Where a request stands. What is in CLOSED never changes again."""

    PENDING = "pending", "Waiting for a decision"
    APPROVED = "approved", "Approved"
    ACTIVE = "active", "In use"
    REVIEW_DUE = "review-due", "Review due"
    DENIED = "denied", "Denied"
    WITHDRAWN = "withdrawn", "Withdrawn"
    EXPIRED = "expired", "Expired"
    VOID = "void", "Void"
    CONSUMED = "consumed", "Used"
    ENDED = "ended", "Ended"
    REVOKED = "revoked", "Taken back"
    JUSTIFIED = "justified", "Justified"
    MISUSE = "misuse", "Misuse"


OPEN = (State.PENDING, State.APPROVED, State.ACTIVE)
CLOSED = tuple(state for state in State if state not in (*OPEN, State.REVIEW_DUE))


class RevealRequest(models.Model):
    """One person asks to see a secret's value, or to purge it. Changed by vaults/requests.py only, under a row lock."""

    class Kind(models.TextChoices):
        APPROVAL = "approval", "Request"
        BREAK_GLASS = "break-glass", "Break-glass"

    class Act(models.TextChoices):
        """What the grant lets its holder do, once."""

        REVEAL = "reveal", "See the value"
        PURGE = "purge", "Purge the secret"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.APPROVAL)
    act = models.CharField(max_length=10, choices=Act, default=Act.REVEAL, db_default=Act.REVEAL)
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    requester = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reveal_requests")
    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, related_name="reveal_requests")
    policy = models.ForeignKey(RevealPolicy, on_delete=models.PROTECT, related_name="+")
    version = models.CharField(max_length=32, blank=True)  # empty: the latest when it is shown
    use = models.CharField(max_length=10, choices=RevealPolicy.Use)
    minutes = models.PositiveIntegerField()
    reason = models.CharField(max_length=500)
    ticket = models.CharField(max_length=100, blank=True)
    asked_hash = models.CharField(max_length=64)  # of what approvers are shown; a vote on another one is stale
    asked_at = models.DateTimeField()
    due_at = models.DateTimeField()  # to be decided before, and once approved, to be used before
    decided_at = models.DateTimeField(null=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)  # the window is half open: [starts_at, ends_at)
    uses_left = models.PositiveSmallIntegerField(null=True)  # null: as often as the window allows
    given_back = models.BooleanField(default=False)  # a use that Azure definitely refused comes back once
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    comment = models.CharField(max_length=500, blank=True)  # why it was denied, taken back, voided or judged so
    asked_again_from = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["requester", "secret", "act"],
                condition=Q(kind="approval", state__in=OPEN),
                name="one_open_request",
            ),
            models.UniqueConstraint(
                fields=["requester"],
                condition=Q(kind="break-glass", state__in=(State.ACTIVE, State.REVIEW_DUE)),
                name="one_break_glass_until_reviewed",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="request_by_state"),
            models.Index(fields=["requester", "-id"], name="request_by_requester"),
            models.Index(fields=["secret", "-id"], name="request_by_secret"),
        ]

    def __str__(self) -> str:
        return f"request #{self.pk}"

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def fingerprint(self) -> str:
        """The hash of what is asked: whoever votes, votes on exactly this."""
        asked = [
            self.secret.vault.name, self.secret.key, self.version, self.use, self.minutes,
            self.reason, self.ticket, self.policy_id,
        ]  # fmt: skip
        if self.act != self.Act.REVEAL:  # a request to see a value keeps the hash that it had before there were others
            asked.append(self.act)
        return hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()


class Vote(models.Model):
    """One person's yes to exactly what was asked. It stays as history when an edit drops it."""

    request = models.ForeignKey(RevealRequest, on_delete=models.PROTECT, related_name="votes")
    voter = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="votes")
    asked_hash = models.CharField(max_length=64)
    comment = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(
                fields=["request", "voter"], condition=Q(dropped_at=None), name="one_vote_per_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.voter} on {self.request}"
