"""What was done: kvadmin's own ledger, and Azure's access log beside it. No column holds a secret value."""

from __future__ import annotations

import uuid

from django.db import models

from audit import finding_models  # noqa: F401 - this is where Django looks for models


class LedgerEntry(models.Model):
    """One fact, added by audit/ledger.py and never changed: database triggers refuse UPDATE and DELETE.

    Names are copied, and no key points anywhere: history outlives its subject. `act` ties the rows of one act together.
    """

    class Phase(models.TextChoices):
        INTENT = "intent", "Intended"
        DONE = "done", "Done"
        REVEALED = "revealed", "Revealed"
        READ = "read", "Read, shown to nobody"
        FAILED = "failed", "Failed"
        WITHHELD = "withheld", "Withheld"
        REFUSED = "refused", "Refused"

    class Rights(models.TextChoices):
        PERSON = "person", "Their own"

    seq = models.BigIntegerField(primary_key=True)  # 1, 2, 3, ... without a gap
    act = models.UUIDField(db_index=True)
    at = models.DateTimeField(db_index=True)
    phase = models.CharField(max_length=10, choices=Phase)
    action = models.CharField(max_length=30)
    person_id = models.CharField(max_length=40, db_index=True)  # empty: kvadmin itself
    person = models.CharField(max_length=200)
    address = models.CharField(max_length=45, blank=True)
    vault = models.CharField(max_length=127, blank=True)  # lower case
    secret = models.CharField(max_length=127, blank=True)  # lower case
    version = models.CharField(max_length=32, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    code = models.CharField(max_length=40, blank=True)  # why it failed or was refused: a gateway or policy code
    note = models.CharField(max_length=500, blank=True)  # one sentence of our own, such as the policy's reason
    request_id = models.CharField(max_length=64, blank=True)  # Azure's x-ms-request-id: its log's CorrelationId
    region = models.CharField(max_length=64, blank=True)
    # Whose Azure was asked with; empty: kvadmin's. The database's own default serves a replica of the release before.
    rights = models.CharField(max_length=10, choices=Rights, blank=True, default="", db_default="")
    request = models.BigIntegerField(null=True, db_index=True)  # the number of a reveal request
    from_state = models.CharField(max_length=12, blank=True)
    to_state = models.CharField(max_length=12, blank=True)
    shown_hash = models.CharField(max_length=64, blank=True)  # of what the person was shown when deciding
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-seq"]
        verbose_name_plural = "ledger entries"
        indexes = [
            models.Index(fields=["vault", "secret", "-seq"], name="ledger_by_secret"),
            models.Index(fields=["request_id"], name="ledger_by_request", condition=~models.Q(request_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.phase}"


class LedgerHead(models.Model):
    """The chain's end: one row, locked while a fact is added, so that two writers can never fork the chain."""

    seq = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)
    at = models.DateTimeField(null=True)  # of the last fact: the ledger's time never runs backwards

    def __str__(self) -> str:
        return f"head at {self.seq}"


class AccessEvent(models.Model):
    """One row of Azure's access log, normalised by audit/parse.py, with the raw row kept beside it."""

    class Outcome(models.TextChoices):
        OK = "ok", "Succeeded"
        DENIED = "denied", "Denied"
        MISSING = "missing", "Not found"
        FAILED = "failed", "Failed"
        UNKNOWN = "unknown", "Not told"

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        MANAGED_IDENTITY = "managed-identity", "Managed identity"
        APP = "app", "Application"
        UNKNOWN = "unknown", "Unknown"

    class Match(models.TextChoices):
        """Which list a row is on. Only reads of a value are sorted; everything else is OTHER, and shows no list."""

        OTHER = "other", "Not sorted yet"
        EXPLAINED = "explained", "Explained"
        AROUND = "around", "Around kvadmin"
        UNEXPLAINED = "unexplained", "Unexplained"

    class MatchedBy(models.TextChoices):
        """What ties a row to the ledger: Azure's own id of the request; if the answer was lost, the User-Agent's."""

        REQUEST_ID = "request-id", "Azure's request id"
        USER_AGENT = "user-agent", "The act's id in the User-Agent"

    id = models.BigAutoField(primary_key=True)
    fingerprint = models.CharField(max_length=64, unique=True)  # of what makes two rows the same event
    at = models.DateTimeField()
    vault = models.CharField(max_length=127)  # lower case
    operation = models.CharField(max_length=64)
    object_kind = models.CharField(max_length=20, blank=True)  # secrets, keys, certificates, deletedsecrets ...
    name = models.CharField(max_length=127, blank=True)  # lower case
    version = models.CharField(max_length=32, blank=True)
    status = models.PositiveSmallIntegerField(null=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    who = models.CharField(max_length=300, blank=True)
    who_kind = models.CharField(max_length=20, choices=Kind, default=Kind.UNKNOWN)
    via = models.CharField(max_length=100, blank=True)  # the client: portal, CLI, SDK, kvadmin
    app_id = models.CharField(max_length=36, blank=True)
    object_id = models.CharField(max_length=36, blank=True)
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=500, blank=True)
    correlation_id = models.CharField(max_length=64, blank=True, db_index=True)
    reveal_id = models.UUIDField(null=True, db_index=True)  # the act that the User-Agent claims to be
    is_read = models.BooleanField(default=False)  # a value left the vault
    is_noise = models.BooleanField(default=False)  # hidden unless asked for
    match = models.CharField(max_length=12, choices=Match, default=Match.OTHER)
    matched_by = models.CharField(max_length=12, choices=MatchedBy, blank=True)
    ledger_act = models.UUIDField(null=True, db_index=True)
    # From the ledger, when explained: the word of the act, whose it was, and why.
    action = models.CharField(max_length=30, blank=True, default="", db_default="")
    person = models.CharField(max_length=200, blank=True)
    person_id = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    source = models.CharField(max_length=20)  # AZKVAuditLogs or AzureDiagnostics
    raw = models.JSONField()
    ingested_at = models.DateTimeField(auto_now_add=True)

    # Names of the identity and of its client, for a page to show: audit/names.py puts them here.
    named = ""
    via_named = ""

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [
            models.Index(fields=["-at", "-id"], name="event_by_time"),
            models.Index(fields=["-at", "-id"], name="event_shown", condition=models.Q(is_noise=False)),
            # Reads that no run has sorted yet: there are some only after a run was cut short.
            models.Index(fields=["at"], name="event_unsorted", condition=models.Q(is_read=True, match="other")),
            models.Index(fields=["vault", "name", "-at"], name="event_by_secret"),
            models.Index(fields=["who", "-at"], name="event_by_who"),
            models.Index(fields=["match", "-at"], name="event_by_match"),
            models.Index(fields=["person_id", "-at"], name="event_by_person", condition=~models.Q(person_id="")),
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.vault}/{self.name} {self.outcome}"

    @property
    def address_of_reader(self) -> str:
        """Who stands behind this row, as audit/readers.py writes it; "" where nobody is named."""
        if self.person_id:
            return f"kvadmin:{self.person_id}"
        return self.who if self.who_kind == self.Kind.PERSON or not self.object_id else self.object_id


class Watermark(models.Model):
    """How far an access log has been taken in: a workspace's, or one vault's. It moves only after its rows are stored.

    A vault has one of its own where its workspace is not known or cannot be read: it is then asked through its own id.
    """

    workspace_id = models.CharField(max_length=36, blank=True)  # the GUID; empty for a vault's
    resource_id = models.CharField(max_length=400, blank=True)  # a vault's ARM id, lower case; empty for a workspace's
    complete_from = models.DateTimeField(null=True)  # the first moment taken in: what came before is not known here
    complete_up_to = models.DateTimeField(null=True)
    resume_from = models.DateTimeField(null=True)  # where the next run begins: rows show up late
    gaps = models.JSONField(default=list)  # [from, to] in ISO format: windows that Azure answered only in part
    columns = models.JSONField(default=dict)  # table: those of COLUMNS that ever held something there
    retention_days = models.PositiveIntegerField(null=True)  # for how long the workspace keeps rows, where it is known
    tried_at = models.DateTimeField(null=True)
    code = models.CharField(max_length=40, blank=True)  # why the last try failed; empty: it did not
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace_id", "resource_id"], name="one_watermark_per_log"),
            models.CheckConstraint(
                condition=models.Q(workspace_id="") ^ models.Q(resource_id=""), name="watermark_of_one_log"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id or self.resource_id} up to {self.complete_up_to}"


class Backfill(models.Model):
    """A run that takes in older rows than the first look at a log went back for, and how far it has come."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    days = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    asked_by = models.CharField(max_length=150, blank=True)  # empty: the command line
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)  # one that is silent for long has lost its worker
    finished_at = models.DateTimeField(null=True)
    logs_total = models.PositiveIntegerField(default=0)
    logs_done = models.PositiveIntegerField(default=0)
    logs_failed = models.PositiveIntegerField(default=0)
    reached = models.DateTimeField(null=True)  # the log at hand is taken in back to here
    rows = models.PositiveBigIntegerField(default=0)
    new = models.PositiveBigIntegerField(default=0)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state="running"), name="one_backfill_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"back-fill {self.pk}: {self.get_state_display()}"


class OwnIdentity(models.Model):
    """An identity that proved to be kvadmin's own: Azure logged it on a request whose id only kvadmin was told."""

    object_id = models.CharField(max_length=36, unique=True)
    correlation_id = models.CharField(max_length=64)  # the proof: it stands in the ledger and in Azure's log
    learned_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "own identities"

    def __str__(self) -> str:
        return self.object_id


def new_act() -> uuid.UUID:
    """An id for one act: opaque, so that it may travel to Azure in the User-Agent."""
    return uuid.uuid4()
