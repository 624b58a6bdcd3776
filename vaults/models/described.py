"""How Azure describes a vault beyond its name, who can get at its values by Azure's own rights, and what is amiss.

All of it is as of the last look: kvadmin changes none of it.
"""

from __future__ import annotations

from django.db import models

from vaults.models.vault import Vault


class AccessState(models.TextChoices):
    """What came of the last look at a vault's role assignments. Only OK says who can read; the rest is not "nobody"."""

    UNKNOWN = "unknown", "Not looked at yet"
    OK = "ok", "Known"
    DENIED = "denied", "kvadmin may not read them"
    FAILED = "failed", "Azure could not be asked"


class VaultDetail(models.Model):
    """A vault's properties that only its own page and the warnings need. Lists hold what Azure calls them.

    `policies`: [{"object_id", "application_id", "secrets": [permission in lower case, ...]}, ...]
    `private_endpoints`: [{"name", "status"}, ...]
    `settings`: [{"name", "categories", "workspace", "storage_account", "event_hub", "retention_days"}, ...]
    `denials`: what vaults/denials.py keeps of deny assignments; None where Azure would not tell.
    `named_environments`: how many secrets bear the word of an environment in their names, such as {"dev": 12}.
    """

    vault = models.OneToOneField(Vault, on_delete=models.PROTECT, related_name="detail")
    rbac = models.BooleanField(default=False)  # as it was when the role assignments were weighed
    sku = models.CharField(max_length=20, blank=True)
    soft_delete = models.BooleanField(default=True)
    default_action = models.CharField(max_length=10, default="allow")
    trusted_services = models.BooleanField(default=True)
    ip_rules = models.JSONField(default=list)
    subnets = models.JSONField(default=list)
    private_endpoints = models.JSONField(default=list)
    template_deployment = models.BooleanField(default=False)
    policies = models.JSONField(default=list)
    described_at = models.DateTimeField(null=True)  # as of when Azure described the vault so

    settings = models.JSONField(default=list)
    settings_at = models.DateTimeField(null=True)

    access_state = models.CharField(max_length=10, choices=AccessState, default=AccessState.UNKNOWN)
    access_note = models.CharField(max_length=300, blank=True)  # our own sentence, never Azure's text
    access_at = models.DateTimeField(null=True)  # last complete look at the role assignments: "as of"
    denials = models.JSONField(null=True)
    looked_at = models.DateTimeField(null=True)  # last attempt

    named_environments = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"detail of {self.vault}"


class AzureAccess(models.Model):
    """One right, by a role assignment or an access policy, with which an identity gets at the values in a vault.

    The four powers: `reads` a value; `backs_up` a secret, which whoever may restore it can read elsewhere; `grants`
    itself or others the right to read; `deploys` a template that Azure hands values to. `role_known` is False where
    Azure did not say what the role allows. Rights that do not count under the vault's permission model have no row.
    """

    class By(models.TextChoices):
        ROLE = "role", "Role"
        POLICY = "policy", "Access policy"

    class Kind(models.TextChoices):  # the words of audit.finding_models.DirectoryName, as far as Azure tells them apart
        PERSON = "person", "Person"
        GROUP = "group", "Group"
        APP = "app", "Application"
        UNKNOWN = "unknown", "Unknown"

    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="azure_access")
    by = models.CharField(max_length=10, choices=By)
    principal_id = models.CharField(max_length=36, db_index=True)  # lower case
    principal_kind = models.CharField(max_length=10, choices=Kind, default=Kind.UNKNOWN)
    application_id = models.CharField(max_length=36, blank=True)  # counts only with this application
    reads = models.BooleanField(default=False)
    backs_up = models.BooleanField(default=False)
    grants = models.BooleanField(default=False)
    deploys = models.BooleanField(default=False)
    own = models.BooleanField(default=False)  # it is kvadmin itself
    role_known = models.BooleanField(default=True)
    role_id = models.CharField(max_length=36, blank=True)
    role_name = models.CharField(max_length=200, blank=True)
    custom = models.BooleanField(default=False)
    scope = models.CharField(max_length=600, blank=True)  # lower case; "/" is the whole tenant; "" for a policy
    assignment_id = models.CharField(max_length=700, blank=True)
    permissions = models.JSONField(default=list)  # of an access policy
    since = models.DateTimeField(null=True)  # Azure keeps no date of an access policy
    condition = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["principal_id", "vault"], name="azure_access_by_principal")]

    def __str__(self) -> str:
        return f"{self.principal_id} in {self.vault}"


class VaultWarning(models.Model):
    """A rule of vaults/warnings.py that rings for a vault, and since which look it does. It names no identity."""

    class Level(models.TextChoices):
        SERIOUS = "serious", "Serious"
        WARNING = "warning", "Warning"
        NOTE = "note", "Note"

    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, related_name="warnings")
    code = models.CharField(max_length=40, db_index=True)
    level = models.CharField(max_length=10, choices=Level)
    sentence = models.CharField(max_length=300)
    since = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["vault", "code"], name="warning_once_per_vault")]

    def __str__(self) -> str:
        return f"{self.code} at {self.vault}"
