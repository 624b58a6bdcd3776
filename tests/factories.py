"""Rows for tests, one line each: a vault, a secret, a person with a role somewhere, a policy."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from audit import ledger
from vaults import requests, search
from vaults.models import (
    AzureAccess,
    Person,
    RevealPolicy,
    RevealRequest,
    Role,
    RoleAssignment,
    ScopeKind,
    Secret,
    Subscription,
    Vault,
    VaultDetail,
)

POLICY_FIELDS = (
    "approvals_needed", "use", "cap_minutes", "version_rule", "ticket_pattern", "sign_in_minutes", "decide_minutes",
    "break_glass", "break_glass_minutes", "purge_approval",
)  # fmt: skip


def subscription(subscription_id: str = "00000000-0000-0000-0000-00000000aaaa", name: str = "Payments") -> Subscription:
    return Subscription.objects.get_or_create(subscription_id=subscription_id, defaults={"name": name})[0]


def vault(name: str = "pay-prod", **fields: Any) -> Vault:
    """A vault as a sweep would have stored it, named as the emulator names its host."""
    fields.setdefault("subscription", subscription())
    fields.setdefault("environment", "prod")
    resource = f"/subscriptions/{fields['subscription'].subscription_id}/resourcegroups/rg"
    fields.setdefault("resource_id", f"{resource}/providers/microsoft.keyvault/vaults/{name.lower()}")
    fields.setdefault("uri", f"https://{name.lower()}.vault.azure.net/")
    return Vault.objects.create(name=name.lower(), shown_name=name, **fields)


def secret(vault: Vault, name: str = "db-password", **fields: Any) -> Secret:
    made = Secret(vault=vault, key=name.lower(), name=name, **fields)
    made.haystack = search.haystack(
        vault.name, made.key, made.content_type, made.tags, enabled=made.enabled, managed=made.managed
    )
    made.save()
    return made


def detail(vault: Vault, **fields: Any) -> VaultDetail:
    """What Azure says of the vault's set-up, looked at in full a moment ago."""
    now = timezone.now()
    seen = {"described_at": now, "settings_at": now, "access_state": "ok", "access_at": now, "looked_at": now}
    return VaultDetail.objects.create(vault=vault, **{**seen, "rbac": vault.rbac, **fields})


def azure_access(
    vault: Vault, principal_id: str = "0a11c0de-0000-4000-8000-00000000a001", **fields: Any
) -> AzureAccess:
    """A right to read by a role at the vault, unless told otherwise."""
    role = {"by": "role", "reads": True, "role_name": "Key Vault Secrets User", "scope": vault.resource_id}
    return AzureAccess.objects.create(vault=vault, principal_id=principal_id, **{**role, **fields})


def person(username: str, role: str = "", **scope: Any) -> Person:
    """Somebody who signs in with the password "pw"; with a role, on everything unless a scope is given."""
    somebody = Person.objects.create_user(username, password="pw")
    if role:
        assign(somebody, role, **scope)
    return somebody


def assign(somebody: Person, role: str, **scope: Any) -> RoleAssignment:
    return RoleAssignment.objects.create(person=somebody, role=Role(role), **_scope(scope))


def policy(mode: str = "direct", **scope: Any) -> RevealPolicy:
    """A reveal policy; fields of the policy and of its scope are told apart by their names."""
    groups = scope.pop("approver_groups", [])
    columns = {name: scope.pop(name) for name in list(scope) if name in POLICY_FIELDS}
    made = RevealPolicy.objects.create(mode=mode, **columns, **_scope(scope))
    made.approver_groups.set(groups)
    return made


def _scope(scope: dict[str, Any]) -> dict[str, Any]:
    if "scope_kind" in scope:
        return scope
    for kind in (ScopeKind.PREFIX, ScopeKind.VAULT, ScopeKind.SUBSCRIPTION, ScopeKind.ENVIRONMENT):
        if kind in scope:
            return {"scope_kind": kind, **scope}
    return {"scope_kind": ScopeKind.EVERYTHING, **scope}


def actor(somebody: Person) -> ledger.Actor:
    return ledger.Actor(str(somebody.pk), str(somebody), "192.0.2.1")


def ask(by: Person, secret: Secret, **fields: Any) -> RevealRequest:
    """A request as its requester makes it: reason, minutes and one-time use unless told otherwise."""
    fields = {"reason": "INC-7: the nightly job fails", "minutes": 30, **fields}
    return requests.ask(by, actor(by), secret, **fields)
