"""The demo's accounts with their roles, and its reveal policies. Everything but the first role is given by `admin`."""

from __future__ import annotations

from typing import Any

from audit import ledger, names
from kvadmin.emulator.seed_access import PIPELINE, SETTLEMENT
from kvadmin.emulator.seed_rights import GROUPS
from kvadmin.sign_in import DEMO_ACCOUNTS
from vaults import roles
from vaults.models import Person, RevealPolicy, Role, RoleAssignment, ScopeKind, Vault

NAMES = {
    "reader": ("Robin", "Reed"),
    "secrets-user": ("Sana", "Ulm"),
    "approver": ("Priya", "Arden"),
    "approver-2": ("Arlo", "Quist"),
    "officer": ("Olive", "Forrest"),
    "oncall": ("Otis", "Calder"),
    "auditor": ("Audrey", "Thorne"),
    "admin": ("Adrian", "Stern"),
}
# Not known to Azure Resource Manager, so an administrator has to name it.
INVISIBLE = "platform-legacy"
# Who holds what, where; "" is everything, and a name is an environment or a vault.
ROLES: tuple[tuple[str, Role, str], ...] = (
    ("reader", Role.READER, ""),
    ("secrets-user", Role.SECRETS_USER, "environment:dev"),
    ("secrets-user", Role.SECRETS_USER, "environment:staging"),
    ("secrets-user", Role.SECRETS_USER, "vault:pay-prod"),
    ("secrets-user", Role.SECRETS_USER, "vault:identity-prod"),
    ("approver", Role.APPROVER, ""),
    ("approver-2", Role.APPROVER, ""),
    ("officer", Role.SECRETS_OFFICER, ""),
    ("oncall", Role.BREAK_GLASS_HOLDER, ""),
    ("oncall", Role.READER, ""),
    ("oncall", Role.PURGE_OPERATOR, ""),
    ("auditor", Role.AUDITOR, ""),
)
# In production an approval is needed, for one vault two of them, for one none, and for one nothing helps. In an
# emergency, production's glass can be broken. Purging in production needs an approval, too.
EMERGENCY = {"break_glass": True, "break_glass_minutes": 15}
POLICIES: tuple[tuple[RevealPolicy.Mode, str, dict[str, Any]], ...] = (
    (RevealPolicy.Mode.DIRECT, "", {}),
    (
        RevealPolicy.Mode.APPROVAL,
        "environment:prod",
        {"use": RevealPolicy.Use.WINDOW, "purge_approval": True, **EMERGENCY},
    ),
    (
        RevealPolicy.Mode.APPROVAL,
        "vault:identity-prod",
        {"approvals_needed": 2, "ticket_pattern": r"(INC|CHG)-\d+", **EMERGENCY},
    ),
    (RevealPolicy.Mode.DIRECT, "vault:pay-prod", EMERGENCY),
    (RevealPolicy.Mode.FORBIDDEN, "vault:platform-prod", {}),
)


def make_people() -> None:
    """The accounts, and the one role that nobody can give: the first administrator's."""
    for account in DEMO_ACCOUNTS:
        first, last = NAMES[account.name]
        Person.objects.create_user(account.name, password=account.password, first_name=first, last_name=last)
    RoleAssignment.objects.create(person=named("admin"), role=Role.ADMINISTRATOR, scope_kind=ScopeKind.EVERYTHING)


def register_invisible_vault() -> None:
    uri = f"https://{INVISIBLE}.vault.azure.net/"
    Vault.objects.create(name=INVISIBLE, shown_name=INVISIBLE, uri=uri, environment="prod", registered=True)


def give_roles_and_set_policies() -> None:
    """As `admin`, on record. The vaults that are named must have been found."""
    admin = named("admin")
    for name, role, scope in ROLES:
        roles.assign_role(admin, actor(admin), RoleAssignment(person=named(name), role=role, **_scope(scope)))
    for mode, scope, rules in POLICIES:
        roles.set_policy(admin, actor(admin), RevealPolicy(mode=mode, **rules, **_scope(scope)))


def fill_in_names() -> None:
    """Of programs that Azure's log knows by an id only, and of groups that it never tells of; as `admin`, on record.

    One stays without, to be filled in.
    """
    rows = [names.Named(one.object_id, one.name, names.Kind.APP) for one in (PIPELINE, SETTLEMENT)]
    rows += [names.Named(one.object_id, one.name, names.Kind.GROUP) for one in GROUPS]
    names.fill(actor(named("admin")), rows)


def named(username: str) -> Person:
    return Person.objects.get(username=username)


def actor(person: Person) -> ledger.Actor:
    """The person as the ledger remembers them, at this machine."""
    return ledger.Actor(str(person.pk), str(person), "127.0.0.1")


def _scope(text: str) -> dict[str, Any]:
    kind, _, name = text.partition(":")
    match kind:
        case "environment":
            return {"scope_kind": ScopeKind.ENVIRONMENT, "environment": name}
        case "vault":
            return {"scope_kind": ScopeKind.VAULT, "vault": Vault.objects.get(name=name)}
    return {"scope_kind": ScopeKind.EVERYTHING}
