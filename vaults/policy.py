"""May this person do this here, and why? The only place that decides; views ask in their first line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest

from audit import ledger
from kvadmin import actions as a
from kvadmin.actions import Action
from kvadmin.http import address
from vaults.models import DeletedSecret, Person, RevealPolicy, RoleAssignment, ScopeKind, Secret, Vault
from vaults.models.scope import Scoped

Mode = RevealPolicy.Mode
_STRICTNESS = {Mode.FORBIDDEN: 2, Mode.APPROVAL: 1, Mode.DIRECT: 0}


@dataclass(frozen=True, slots=True)
class Decision:
    """Yes or no, a short code for the ledger, and the reason as one sentence for the person."""

    allowed: bool
    reason: str
    code: str = ""

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True, slots=True)
class RoleStep:
    """One role of the person as it was weighed: whether it may do the act at all, and whether it reaches the target."""

    role: RoleAssignment
    may: bool
    here: bool


def _yes(reason: str) -> Decision:
    return Decision(allowed=True, reason=reason)


def _no(code: str, reason: str) -> Decision:
    return Decision(allowed=False, reason=reason, code=code)


class Refused(PermissionDenied):
    """A refusal that is already on record. Its text is the decision's reason."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision.reason)
        self.decision = decision


def may(person: Person | AnonymousUser, action: Action, vault: Vault | None = None, key: str = "") -> Decision:
    """Decide for an act without a target (any scope will do), on a vault, or on the secret `key` (lower case) in it.

    Roles are read once per request and person, when they are used, never from a session.
    """
    return decide(weigh(person, action, vault, key), action, vault, key)


def weigh(person: Person | AnonymousUser, action: Action, vault: Vault | None = None, key: str = "") -> list[RoleStep]:
    """Every role that the person holds, in the order in which `decide` looks at them."""
    return [
        RoleStep(role, action in role.actions, vault is None or _covers(role, action, vault, key))
        for role in assignments(person)
    ]


def decide(steps: list[RoleStep], action: Action, vault: Vault | None = None, key: str = "") -> Decision:
    """The decision that follows from weighed roles, and for a reveal from the policy in force there."""
    if not any(step.may for step in steps):
        return _no("no-role", f"You hold no role that may do this ({action.label.lower()}).")
    role = next((step.role for step in steps if step.may and step.here), None)
    if role is None:
        return _no("no-role-here", f"Your roles that may do this do not reach {vault}.")
    if vault is not None and action == a.SECRET_REVEAL:
        return _by_policy(policy_for(vault, key), str(role))
    return _yes(f"{role}.")


def may_everywhere(person: Person | AnonymousUser, action: Action) -> Decision:
    """Decide for an act that concerns every vault at once, such as a sweep: a role on some of them is not enough."""
    decision = may(person, action)
    if decision and not any(role.scope_kind == ScopeKind.EVERYTHING for role in _held(person, action)):
        return _no("no-role-here", f"Your roles that may do this ({action.label.lower()}) do not reach every vault.")
    return decision


def may_within(person: Person | AnonymousUser, action: Action, vault: Vault) -> Decision:
    """Decide for an act on some secret of a vault that is not named yet: a role on a part of it is enough."""
    decision = may(person, action, vault)
    part = next((role for role in _held(person, action) if role.vault_id == vault.pk), None)
    return _yes(f"{part}.") if not decision and part else decision


def _held(person: Person | AnonymousUser, action: Action) -> list[RoleAssignment]:
    return [role for role in assignments(person) if action in role.actions]


def assignments(person: Person | AnonymousUser) -> list[RoleAssignment]:
    """The person's roles in force, own and by group: one query per request, kept on the request's person object."""
    if not isinstance(person, Person) or not person.is_active:
        return []
    held: list[RoleAssignment] | None = getattr(person, "_assignments", None)
    if held is None:
        mine = Q(person=person) | Q(group__in=person.groups.values("pk"))
        held = list(RoleAssignment.objects.in_force().filter(mine).select_related("subscription", "vault", "group"))
        person._assignments = held  # type: ignore[attr-defined] # lives as long as the request
    return held


def _covers(role: RoleAssignment, action: Action, vault: Vault, key: str) -> bool:
    if role.scope_kind == ScopeKind.PREFIX and action == a.VAULT_LIST:
        return role.vault_id == vault.pk
    return role.covers(vault, key)


def policy_for(vault: Vault, key: str) -> RevealPolicy | None:
    """The reveal policy in force for a secret: the most specific scope wins, and of two equals the stricter one."""
    return next(iter(policies_for(vault, key)), None)


def policies_for(vault: Vault, key: str) -> list[RevealPolicy]:
    """Every reveal policy whose scope reaches the secret, the one in force first."""
    in_force = RevealPolicy.objects.filter(ended_at=None).select_related("vault", "subscription")
    covering = [policy for policy in in_force if policy.covers(vault, key)]
    return sorted(covering, key=lambda p: (p.specificity, _STRICTNESS[Mode(p.mode)]), reverse=True)


def _by_policy(policy: RevealPolicy | None, role: str) -> Decision:
    if policy is None:
        return _no("no-policy", "No reveal policy covers this secret, so nobody may see its value.")
    match policy.mode:
        case Mode.DIRECT:
            return _yes(f"{role}; the policy on {policy.scope_text} allows it directly.")
        case Mode.APPROVAL:
            return _no("needs-approval", f"The policy on {policy.scope_text} asks for an approval first.")
    return _no("forbidden", f"The policy on {policy.scope_text} forbids showing values.")


# --- What lists may show ---------------------------------------------------------------------------------------------
def vaults_for(person: Person | AnonymousUser, action: Action) -> QuerySet[Vault]:
    """The vaults in which the person may do this, wholly or, by a prefix, in part."""
    return Vault.objects.filter(_any(_vault_q(role) for role in _held(person, action)))


def visible_vaults(person: Person | AnonymousUser) -> QuerySet[Vault]:
    return vaults_for(person, a.VAULT_LIST)


def visible_secrets(person: Person | AnonymousUser) -> QuerySet[Secret]:
    """The secrets whose metadata the person may see."""
    return secrets_for(person, a.SECRET_LIST)


def secrets_for(person: Person | AnonymousUser, action: Action) -> QuerySet[Secret]:
    """The secrets on which the person may do this by role."""
    return Secret.objects.filter(reach(person, action))


def reach(person: Person | AnonymousUser, action: Action, at: str = "") -> Q:
    """The secrets on which the person may do this by role; `at` leads from the row to its secret, as in "secret__"."""
    return _any(secrets_in(role, at) for role in assignments(person) if action in role.actions)


def visible_scopes(person: Person | AnonymousUser, action: Action) -> Q:
    """The role assignments or policies that whoever may edit them sees: those within their reach, and, because they
    hold there as well and name nothing elsewhere, those on everything."""
    within = _any(role.contained() for role in _held(person, action))
    return within | Q(scope_kind=ScopeKind.EVERYTHING) if _held(person, action) else within


def _any(conditions: Iterable[Q]) -> Q:
    """Their union; of none, nothing: an empty list of roles shows nobody anything."""
    union = Q(pk__in=[])
    for condition in conditions:
        union |= condition
    return union


def _vault_q(role: RoleAssignment) -> Q:
    match role.scope_kind:
        case ScopeKind.EVERYTHING:
            return Q(pk__isnull=False)
        case ScopeKind.ENVIRONMENT:
            return Q(environment=role.environment)
        case ScopeKind.SUBSCRIPTION:
            return Q(subscription_id=role.subscription_id)
    return Q(pk=role.vault_id)


def secrets_in(scope: Scoped, at: str = "") -> Q:
    """The secrets that a scope covers; `at` leads from the row to its secret, as in "secret__"."""
    match scope.scope_kind:
        case ScopeKind.EVERYTHING:
            return Q(pk__isnull=False)
        case ScopeKind.ENVIRONMENT:
            return Q(**{f"{at}vault__environment": scope.environment})
        case ScopeKind.SUBSCRIPTION:
            return Q(**{f"{at}vault__subscription_id": scope.subscription_id})
        case ScopeKind.PREFIX:
            return Q(**{f"{at}vault_id": scope.vault_id, f"{at}key__startswith": scope.prefix})
    return Q(**{f"{at}vault_id": scope.vault_id})


# --- The first line of a view ----------------------------------------------------------------------------------------
def actor(request: HttpRequest) -> ledger.Actor:
    """The signed-in person as the ledger remembers them."""
    person = request.user
    return ledger.Actor(str(person.pk or ""), str(person), address(request))


def require(request: HttpRequest, action: Action) -> None:
    """Let an act without a target pass, or refuse it: recorded, then 403."""
    _enforce(request, action, ledger.Target(), may(request.user, action))


def require_everywhere(request: HttpRequest, action: Action) -> None:
    """Let an act that concerns every vault pass, or refuse it: recorded, then 403."""
    _enforce(request, action, ledger.Target(), may_everywhere(request.user, action))


def _visible_vault(request: HttpRequest, name: str) -> Vault:
    vault = visible_vaults(request.user).select_related("subscription").filter(name=name.lower()).first()
    if vault is None:
        raise Http404("No such vault, or none that you may see.")
    return vault


def require_vault(request: HttpRequest, action: Action, name: str) -> Vault:
    """The vault, for somebody who may do this to it. 404 when they may not know of it; else 403, recorded."""
    vault = _visible_vault(request, name)
    _enforce(request, action, ledger.Target(vault.name), may(request.user, action, vault))
    return vault


def require_secret(request: HttpRequest, action: Action, vault_name: str, name: str, *, reason: str = "") -> Secret:
    """The secret, for somebody who may do this to it. 404 when they may not know of it; else 403, recorded."""
    seen = visible_secrets(request.user).select_related("vault__subscription")
    secret = seen.filter(vault__name=vault_name.lower(), key=name.lower()).first()
    if secret is None:
        raise Http404("No such secret, or none that you may see.")
    decision = may(request.user, action, secret.vault, secret.key)
    _enforce(request, action, ledger.Target(secret.vault.name, secret.key), decision, reason)
    return secret


def require_within(request: HttpRequest, action: Action, name: str) -> Vault:
    """The vault, for somebody who may do this to some secret in it. 404 when they may not know of it; else 403."""
    vault = _visible_vault(request, name)
    _enforce(request, action, ledger.Target(vault.name), may_within(request.user, action, vault))
    return vault


def require_name(request: HttpRequest, action: Action, vault: Vault, key: str, *, reason: str = "") -> None:
    """Let an act on a secret that need not exist yet pass, or refuse it: recorded, then 403."""
    _enforce(request, action, ledger.Target(vault.name, key), may(request.user, action, vault, key), reason)


def visible_deleted(person: Person | AnonymousUser) -> QuerySet[DeletedSecret]:
    """The deleted secrets whose metadata the person may see."""
    return DeletedSecret.objects.filter(reach(person, a.SECRET_LIST))


def require_deleted(request: HttpRequest, action: Action, vault_name: str, name: str) -> DeletedSecret:
    """The deleted secret, for somebody who may do this to it. 404 when they may not know of it; else 403, recorded."""
    seen = visible_deleted(request.user).select_related("vault__subscription")
    item = seen.filter(vault__name=vault_name.lower(), key=name.lower()).first()
    if item is None:
        raise Http404("No such deleted secret, or none that you may see.")
    require_name(request, action, item.vault, item.key)
    return item


def _enforce(request: HttpRequest, action: Action, target: ledger.Target, decision: Decision, reason: str = "") -> None:
    if not decision:
        ledger.refuse(action, actor(request), target, code=decision.code, note=decision.reason, reason=reason)
        raise Refused(decision)
