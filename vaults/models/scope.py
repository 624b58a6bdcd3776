"""Where a role or a policy holds: everything, an environment, a subscription, a vault, or a name prefix in a vault."""

from __future__ import annotations

from typing import Any

from django.db import models

from vaults.models.vault import Subscription, Vault


class ScopeKind(models.TextChoices):
    EVERYTHING = "everything", "Everything"
    ENVIRONMENT = "environment", "Environment"
    SUBSCRIPTION = "subscription", "Subscription"
    VAULT = "vault", "Vault"
    PREFIX = "prefix", "Name prefix in a vault"


# The more specific a scope, the higher: the most specific policy wins.
SPECIFICITY = {kind: rank for rank, kind in enumerate(ScopeKind.values)}
SCOPE_COLUMNS = ("scope_kind", "environment", "subscription", "vault", "prefix")


class Scoped(models.Model):
    """Columns of a scope. Only those that its kind needs are filled; the check constraint refuses half a scope."""

    scope_kind = models.CharField(max_length=20, choices=ScopeKind)
    environment = models.CharField(max_length=64, blank=True)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, null=True, blank=True)
    vault = models.ForeignKey(Vault, on_delete=models.PROTECT, null=True, blank=True)
    prefix = models.CharField(max_length=127, blank=True)  # lower case

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                name="%(class)s_whole_scope",
                condition=(
                    models.Q(scope_kind="everything", environment="", subscription=None, vault=None, prefix="")
                    | models.Q(scope_kind="environment", subscription=None, vault=None, prefix="")
                    & ~models.Q(environment="")
                    | models.Q(scope_kind="subscription", environment="", vault=None, prefix="")
                    & models.Q(subscription__isnull=False)
                    | models.Q(scope_kind="vault", environment="", subscription=None, prefix="")
                    & models.Q(vault__isnull=False)
                    | models.Q(scope_kind="prefix", environment="", subscription=None)
                    & models.Q(vault__isnull=False)
                    & ~models.Q(prefix="")
                ),
            )
        ]

    def covers(self, vault: Vault, key: str = "") -> bool:
        """Whether the scope holds for the vault (key empty) or for the secret with this lower-case name in it.

        A prefix scope covers its vault only as far as the secrets that begin with the prefix.
        """
        match self.scope_kind:
            case ScopeKind.EVERYTHING:
                return True
            case ScopeKind.ENVIRONMENT:
                return vault.environment == self.environment
            case ScopeKind.SUBSCRIPTION:
                return vault.subscription_id == self.subscription_id
            case ScopeKind.VAULT:
                return vault.pk == self.vault_id
            case ScopeKind.PREFIX:
                return vault.pk == self.vault_id and bool(key) and key.startswith(self.prefix)
        return False

    def exactly(self) -> dict[str, Any]:
        """The lookup for rows of exactly this scope."""
        return {name: getattr(self, name) for name in SCOPE_COLUMNS}

    def contains(self, other: Scoped) -> bool:
        """Whether everything that the other scope covers lies within this one."""
        if self.scope_kind == ScopeKind.EVERYTHING:
            return True
        if other.vault is not None:
            return self.covers(other.vault, other.prefix)
        return (self.scope_kind, self.environment, self.subscription_id) == (
            other.scope_kind,
            other.environment,
            other.subscription_id,
        )

    def contained(self) -> models.Q:
        """`contains` as a filter of scoped rows: those whose whole scope lies within this one."""
        match self.scope_kind:
            case ScopeKind.EVERYTHING:
                return models.Q(pk__isnull=False)
            case ScopeKind.ENVIRONMENT:
                return models.Q(environment=self.environment) | models.Q(vault__environment=self.environment)
            case ScopeKind.SUBSCRIPTION:
                return models.Q(subscription=self.subscription_id) | models.Q(vault__subscription=self.subscription_id)
            case ScopeKind.VAULT:
                return models.Q(vault=self.vault_id)
        return models.Q(scope_kind=ScopeKind.PREFIX, vault=self.vault_id, prefix__startswith=self.prefix)

    @property
    def scope_text(self) -> str:
        """The scope as a person reads it, such as "vault pay-prod" or "db-* in pay-prod"."""
        match self.scope_kind:
            case ScopeKind.ENVIRONMENT:
                return f"environment {self.environment}"
            case ScopeKind.SUBSCRIPTION:
                return f"subscription {self.subscription}"
            case ScopeKind.VAULT:
                return f"vault {self.vault}"
            case ScopeKind.PREFIX:
                return f"{self.prefix}* in {self.vault}"
        return "everything"
