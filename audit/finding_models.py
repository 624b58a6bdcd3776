"""What stands out in the log, the names that ids have, and views that somebody saved. No column holds a value."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Severity(models.TextChoices):
    """How loud a finding is: an alarm is told to everybody at once, a note only stands on its page."""

    ALARM = "alarm", "Alarm"
    WARNING = "warning", "Warning"
    NOTE = "note", "Note"


class Finding(models.Model):
    """Something that one of audit/rules.py found. Names are copied: a finding outlives the rows that it was made from.

    While `ended_at` is empty, more evidence for the same thing is added to it. It is set when somebody acknowledges
    what happened, so that the next time is a new finding; or when what it tells of no longer is so.
    """

    rule = models.CharField(max_length=20)
    key = models.CharField(max_length=64)  # of what it is about: see audit/findings.py
    severity = models.CharField(max_length=10, choices=Severity)
    vault = models.CharField(max_length=127, blank=True)  # lower case; empty: about no vault
    secret = models.CharField(max_length=127, blank=True)  # lower case; empty: about the whole vault
    who = models.CharField(max_length=300, blank=True)  # as the log named them
    reader = models.CharField(max_length=300, blank=True)  # their address below /audit/people/
    object_id = models.CharField(max_length=36, blank=True)
    what = models.CharField(max_length=500)
    since = models.DateTimeField()
    last_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)  # rows of evidence
    opened_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    over_at = models.DateTimeField(null=True)  # what it tells of is no longer so
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledged_by_id = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-last_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "key"], condition=Q(ended_at=None), name="one_open_finding"),
        ]
        indexes = [
            models.Index(fields=["-last_at", "-id"], name="finding_by_time"),
            models.Index(fields=["severity"], name="finding_open", condition=Q(acknowledged_at=None)),
            models.Index(fields=["vault", "secret"], name="finding_by_secret"),
            models.Index(fields=["reader"], name="finding_by_reader"),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"

    @property
    def is_open(self) -> bool:
        return self.acknowledged_at is None


class Evidence(models.Model):
    """One row of Azure's log, or of the ledger, that a finding was made from. Each counts once for each rule."""

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="evidence")
    rule = models.CharField(max_length=20)
    event = models.BigIntegerField(null=True)  # AccessEvent's id; the row may be gone, for logs are kept for a while
    ledger_seq = models.BigIntegerField(null=True)

    class Meta:
        verbose_name_plural = "evidence"
        constraints = [models.UniqueConstraint(fields=["event", "rule"], name="evidence_once_per_rule")]

    def __str__(self) -> str:
        return f"{self.rule}: event {self.event}" if self.event else f"{self.rule}: ledger row {self.ledger_seq}"


class RuleMark(models.Model):
    """How far a rule has come. It moves with the findings that it made, in one transaction."""

    rule = models.CharField(max_length=20, unique=True)
    place = models.BigIntegerField(default=0)  # the last event, secret or ledger row that was looked at
    hash = models.CharField(max_length=64, blank=True)  # of the ledger row at that place
    judged_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.rule} up to {self.place}"


class VaultHeard(models.Model):
    """From when to when the log has told of a vault: what came before the first row is not known here."""

    vault = models.CharField(max_length=127, unique=True)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.vault} from {self.first_at} to {self.last_at}"


class ReaderHeard(models.Model):
    """An identity that the log has told of, by the pair of its user name and its object id, either of which may change.

    With it, all rows of one identity are found by `who`, which is indexed, however many rows there are.
    """

    who = models.CharField(max_length=300)
    object_id = models.CharField(max_length=36, blank=True)
    kind = models.CharField(max_length=20)

    class Meta:
        verbose_name_plural = "readers heard"
        constraints = [models.UniqueConstraint(fields=["who", "object_id"], name="reader_heard_once")]
        indexes = [models.Index(fields=["object_id"], name="reader_by_object_id")]

    def __str__(self) -> str:
        return self.who


class ReaderHabit(models.Model):
    """What an identity did, and from when to when: an hour of the day, an address, a secret.

    `reader` is as audit/readers.py writes it.
    """

    class Kind(models.TextChoices):
        HOUR = "hour", "Read at this hour of the day (UTC)"
        ADDRESS = "address", "Called from this address"
        SECRET = "secret", "Read this secret around kvadmin"

    reader = models.CharField(max_length=300)
    kind = models.CharField(max_length=10, choices=Kind)
    value = models.CharField(max_length=260)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["reader", "kind", "value"], name="reader_habit_once")]

    def __str__(self) -> str:
        return f"{self.reader}: {self.kind} {self.value}"


class DirectoryName(models.Model):
    """The name of an object id or application id. Never deleted: whoever leaves the directory keeps their name here."""

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        APP = "app", "Application"
        MANAGED_IDENTITY = "managed-identity", "Managed identity"
        GROUP = "group", "Group"

    identifier = models.CharField(max_length=36, unique=True)  # a GUID, lower case
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20, choices=Kind)
    set_by = models.CharField(max_length=200)
    set_at = models.DateTimeField()

    class Meta:
        ordering = ["name", "identifier"]
        indexes = [models.Index(fields=["name", "identifier"], name="directory_by_name")]

    def __str__(self) -> str:
        return self.name


class SavedView(models.Model):
    """A page of the audit with its filters, under a name. A shared one is offered to every auditor."""

    class Page(models.TextChoices):
        TIMELINE = "audit", "Timeline"
        CHARTS = "audit-charts", "Charts"
        FINDINGS = "findings", "Findings"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    page = models.CharField(max_length=20, choices=Page)
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=1000, blank=True)
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["owner", "page", "name"], name="saved_view_once")]

    def __str__(self) -> str:
        return self.name
