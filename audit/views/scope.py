"""What an auditor may see: rows about the vaults, or the beginnings of secrets' names, that their roles cover."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from audit.finding_models import Finding
from audit.models import AccessEvent, LedgerEntry
from kvadmin import actions as a
from kvadmin.actions import Action
from vaults import policy
from vaults.models import Person, RoleAssignment, ScopeKind, Vault


def events_for(person: Person | AnonymousUser, action: Action = a.AUDIT_READ) -> QuerySet[AccessEvent]:
    """The events on which the person may do this: read them, or export them."""
    return AccessEvent.objects.filter(_reach(person, "name", action))


def entries_for(person: Person | AnonymousUser, action: Action = a.AUDIT_READ) -> QuerySet[LedgerEntry]:
    """Rows that name no vault, such as a role that was given, are for those who may audit everything."""
    return LedgerEntry.objects.filter(_reach(person, "secret", action))


def findings_for(person: Person | AnonymousUser) -> QuerySet[Finding]:
    """Findings about a whole vault are for those who may audit all of it; about none, for those who may everything."""
    return Finding.objects.filter(_reach(person, "secret", a.AUDIT_READ))


def audits_everything(person: Person | AnonymousUser) -> bool:
    """Whether there is no vault, known or not, that this person may not audit."""
    held = policy.assignments(person)
    return any(a.AUDIT_READ in role.actions and role.scope_kind == ScopeKind.EVERYTHING for role in held)


def _reach(person: Person | AnonymousUser, name_field: str, action: Action) -> Q:
    """Rows name vaults and secrets and point at none. Whoever may audit everything sees unknown vaults' rows too."""
    held = [role for role in policy.assignments(person) if action in role.actions]
    if any(role.scope_kind == ScopeKind.EVERYTHING for role in held):
        return Q()
    reach = Q(vault__in=_whole_vaults(held).values("name"))
    for role in held:
        if role.scope_kind == ScopeKind.PREFIX and role.vault:
            reach |= Q(vault=role.vault.name, **{f"{name_field}__startswith": role.prefix})
    return reach


def _whole_vaults(held: list[RoleAssignment]) -> QuerySet[Vault]:
    def of(kind: ScopeKind, field: str) -> list[object]:
        return [getattr(role, field) for role in held if role.scope_kind == kind]

    return Vault.objects.filter(
        Q(environment__in=of(ScopeKind.ENVIRONMENT, "environment"))
        | Q(subscription_id__in=of(ScopeKind.SUBSCRIPTION, "subscription_id"))
        | Q(pk__in=of(ScopeKind.VAULT, "vault_id"))
    )
