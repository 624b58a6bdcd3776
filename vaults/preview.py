"""What a policy would touch if it were put in force: counted before anybody does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet

from kvadmin import actions as a
from vaults import policy
from vaults.approvers import lacking, people_of, roles_for
from vaults.models import OPEN, Person, RevealPolicy, RevealRequest, RoleAssignment, ScopeKind, Secret, Vault
from vaults.models.scope import Scoped


@dataclass(frozen=True, slots=True)
class Preview:
    """How far a policy would reach. `lacking` is a sentence when nobody's request could ever be approved under it."""

    vaults: int
    secrets: int
    askers: int
    approvers: int
    void: int
    lacking: str
    narrower: int  # policies in force within the scope, which go on holding for their own part


def preview(new: RevealPolicy, groups: list[Group]) -> Preview:
    """Count for a policy that is not saved. It touches what no more specific policy holds for. Eight queries."""
    narrower = _narrower(new)
    inside = list(Vault.objects.filter(_vaults(new), vanished_at=None))
    touched = _touched(new, narrower, "")
    secrets = Secret.objects.filter(touched, vanished_at=None, vault__vanished_at=None)
    deciders = people_of(_overlapping(roles_for(a.REQUEST_APPROVE), new, inside))
    askers = people_of(_overlapping(roles_for(a.SECRET_REQUEST), new, inside))
    forbidden = new.mode == RevealPolicy.Mode.FORBIDDEN
    return Preview(
        vaults=len(inside),
        secrets=secrets.count(),
        askers=0 if forbidden else len(askers),
        approvers=len(deciders),
        void=_void(_touched(new, narrower, "secret__")),
        lacking="" if forbidden and not new.purge_approval else _lacking(new, groups, deciders),
        narrower=len(narrower),
    )


def _narrower(new: RevealPolicy) -> list[RevealPolicy]:
    """More specific policies in force that hold for a part of the scope."""
    in_force = RevealPolicy.objects.filter(ended_at=None).select_related("vault", "subscription")
    return [other for other in in_force if other.specificity > new.specificity and _meet(new, other)]


def _meet(wider: Scoped, narrower: Scoped) -> bool:
    """A policy for a subscription may lie across one for an environment; all others lie within, or apart."""
    across = {wider.scope_kind, narrower.scope_kind} == {ScopeKind.ENVIRONMENT, ScopeKind.SUBSCRIPTION}
    return across or wider.contains(narrower)


def _touched(new: RevealPolicy, narrower: Iterable[RevealPolicy], at: str) -> Q:
    touched = policy.secrets_in(new, at)
    for other in narrower:
        touched &= ~policy.secrets_in(other, at)
    return touched


def _vaults(scope: Scoped) -> Q:
    match scope.scope_kind:
        case ScopeKind.EVERYTHING:
            return Q()
        case ScopeKind.ENVIRONMENT:
            return Q(environment=scope.environment)
        case ScopeKind.SUBSCRIPTION:
            return Q(subscription_id=scope.subscription_id)
    return Q(pk=scope.vault_id)


def _void(touched: Q) -> int:
    """Requests that are open under another policy: they were asked, and perhaps approved, under other words."""
    return RevealRequest.objects.filter(touched, kind=RevealRequest.Kind.APPROVAL, state__in=OPEN).count()


def _overlapping(roles: QuerySet[RoleAssignment], new: RevealPolicy, inside: list[Vault]) -> list[RoleAssignment]:
    """The roles that reach something in the scope."""
    return [role for role in roles if any(_both(role, new, vault) for vault in inside)]


def _both(role: RoleAssignment, new: RevealPolicy, vault: Vault) -> bool:
    if role.scope_kind != ScopeKind.PREFIX:
        return role.covers(vault)
    begins_alike = role.prefix.startswith(new.prefix) or new.prefix.startswith(role.prefix)
    return role.vault_id == vault.pk and begins_alike


def _lacking(new: RevealPolicy, groups: list[Group], deciders: list[Person]) -> str:
    if not deciders:
        return "Nobody could approve anything here: no Approver role reaches it."
    return lacking(new.approvals_needed, groups, deciders)
