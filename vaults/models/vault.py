"""Subscriptions and vaults as Azure last described them."""

from __future__ import annotations

from django.db import models


class Health(models.TextChoices):
    """What kvadmin met when it last listed a vault. The word is the code of a gateway error."""

    UNKNOWN = "unknown", "Not checked yet"
    OK = "ok", "Healthy"
    DNS = "dns", "Name does not resolve"
    FIREWALL = "firewall", "Firewall"
    PRIVATE_LINK = "private-link", "Private link"
    RBAC = "rbac", "No role"
    ACCESS_POLICY = "access-policy", "No access policy"
    THROTTLED = "throttled", "Throttled"
    CREDENTIAL = "credential", "Sign-in failed"
    UNREACHABLE = "unreachable", "Unreachable"
    SERVER = "server", "Azure error"
    OTHER = "other", "Refused"


class LogState(models.TextChoices):
    """Whether Azure's access log of a vault can be read. Anything but OK is a blind spot and is shown as one."""

    UNKNOWN = "unknown", "Not checked yet"
    OK = "ok", "Logged"
    NO_SETTING = "no-setting", "No diagnostic setting"
    NOT_TO_WORKSPACE = "not-to-workspace", "Not sent to a workspace"
    UNREADABLE = "unreadable", "Workspace not readable"


class Subscription(models.Model):
    subscription_id = models.CharField(max_length=36, unique=True)
    name = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name or self.subscription_id


class Vault(models.Model):
    """One key vault. `name` is lower case, as it stands in URLs and in Azure's log; a registered one has no ARM id."""

    name = models.CharField(max_length=127, unique=True)
    shown_name = models.CharField(max_length=127)
    resource_id = models.CharField(max_length=400, blank=True, db_index=True)  # lower case
    uri = models.URLField(max_length=300)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, null=True, related_name="vaults")
    resource_group = models.CharField(max_length=90, blank=True)
    location = models.CharField(max_length=64, blank=True)
    environment = models.CharField(max_length=64, blank=True, db_index=True)  # lower case, from the tag
    tags = models.JSONField(default=dict)
    rbac = models.BooleanField(default=False)
    purge_protection = models.BooleanField(default=False)
    soft_delete_days = models.PositiveSmallIntegerField(default=90)
    public_network = models.BooleanField(default=True)
    registered = models.BooleanField(default=False)  # named by an administrator, not found through ARM

    health = models.CharField(max_length=20, choices=Health, default=Health.UNKNOWN)
    health_since = models.DateTimeField(null=True)
    health_note = models.CharField(max_length=300, blank=True)  # our own sentence, never Azure's text
    checked_at = models.DateTimeField(null=True)  # last attempt
    listed_at = models.DateTimeField(null=True)  # last complete listing: "as of"
    vanished_at = models.DateTimeField(null=True)
    secret_count = models.PositiveIntegerField(default=0)
    deleted_listed_at = models.DateTimeField(null=True)  # last complete listing of the deleted secrets
    # Why the last listing of the deleted secrets failed; empty: it did not.
    deleted_note = models.CharField(max_length=300, blank=True, default="", db_default="")

    log_state = models.CharField(max_length=20, choices=LogState, default=LogState.UNKNOWN)
    workspace_id = models.CharField(max_length=36, blank=True)  # the GUID that Log Analytics queries take

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.shown_name
