"""The whole fake cloud: subscriptions, vaults, workspaces, who may do what, and the audit log."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Unpack

from kvadmin.emulator.clock import Clock
from kvadmin.emulator.denials import Denial
from kvadmin.emulator.faults import Faults
from kvadmin.emulator.identities import KVADMIN, TENANT_ID, Identity
from kvadmin.emulator.issuing import CertificateFacts, KeyFacts, make_certificate, make_key
from kvadmin.emulator.objects import Certificate, CertificateVersion, Key, KeyVersion
from kvadmin.emulator.resources import CLOUDS, UNSET, AuditRow, Cloud, Subscription, Vault, Workspace
from kvadmin.emulator.roles import SEE_EVERYTHING, Assignment, Assignments, Role
from kvadmin.emulator.store import Secret, Version

__all__ = ["CLOUDS", "NEVER", "AuditRow", "Azure", "Cloud", "Subscription", "Vault", "Workspace"]

KVADMIN_ROLES = ("Key Vault Secrets Officer", "Reader", "Log Analytics Data Reader", "Key Vault Reader")
CERTIFICATE_TYPE = "application/x-pkcs12"
NEVER = datetime.max.replace(tzinfo=UTC)


class Azure:
    """A fake cloud in one process. `lock` guards all of it; each request is answered under it."""

    def __init__(self, *, cloud: str = "public", tenant_id: str = TENANT_ID) -> None:
        self.cloud = CLOUDS[cloud]
        self.tenant_id = tenant_id
        self.clock = Clock()
        self.faults = Faults()
        self.lock = threading.RLock()
        self.log: list[AuditRow] = []
        self.subscriptions: dict[str, Subscription] = {}
        self.vaults: dict[str, Vault] = {}
        self.workspaces: dict[str, Workspace] = {}
        self.assignments = Assignments()
        self.denials: list[Denial] = []
        # Groups of the directory: object id of the group: those of its members. `directory_open`: kvadmin may ask.
        self.groups: dict[str, set[str]] = {}
        self.directory_open = True
        # App registrations that may act for people: client id and secret. `must_sign_in`: whom Entra asks for more;
        # `distrusting_apps`: those that no identity may vouch for.
        self.apps: dict[str, str] = {}
        self.distrusting_apps: set[str] = set()
        self.must_sign_in: set[str] = set()
        # Where callers come from before they have said who they are.
        self.egress_address = KVADMIN.address
        # How long Azure takes until a deletion, a purge or a recovery is done.
        self.delete_delay = timedelta(0)
        self.purge_delay = timedelta(0)
        self.recover_delay = timedelta(0)

    def add_subscription(
        self, subscription_id: str, name: str, *, kvadmin_roles: Sequence[str] = KVADMIN_ROLES
    ) -> Subscription:
        """A new subscription, at which kvadmin's own identity holds `kvadmin_roles`."""
        with self.lock:
            subscription = Subscription(subscription_id, name)
            self.subscriptions[subscription_id.lower()] = subscription
            for role_name in kvadmin_roles:
                self.grant(KVADMIN, role_name, subscription.resource_id)
            return subscription

    def add_vault(
        self,
        name: str,
        *,
        subscription_id: str,
        resource_group: str = "rg",
        location: str = "westeurope",
        tags: Mapping[str, str] | None = None,
        rbac: bool = True,
        purge_protection: bool = False,
        soft_delete_days: int = 90,
        public_network: bool = True,
        workspace: str | None = None,
        visible_in_arm: bool = True,
    ) -> Vault:
        """A new, empty vault; `workspace` is the ARM id of where its logs go."""
        vault = Vault(
            name,
            subscription_id,
            resource_group,
            location,
            dict(tags or {}),
            rbac,
            purge_protection,
            soft_delete_days,
            public_network,
            workspace,
            visible_in_arm,
            self.cloud.vault_suffix,
        )
        with self.lock:
            self.vaults[name.lower()] = vault
        return vault

    def vault(self, name: str) -> Vault:
        """The vault of this name, in any casing; raises KeyError."""
        return self.vaults[name.lower()]

    def remove_vault(self, name: str) -> None:
        """Delete a vault: its host name is gone, and ARM does not know it."""
        with self.lock:
            del self.vaults[name.lower()]

    def add_workspace(
        self,
        name: str,
        *,
        subscription_id: str,
        customer_id: str,
        tables: Sequence[str] = ("AZKVAuditLogs",),
        delay: timedelta = timedelta(0),
        readable: bool = True,
        overflow: bool = False,
    ) -> Workspace:
        """A new workspace; `customer_id` is the GUID that queries name it by."""
        workspace = Workspace(name, subscription_id, customer_id, tuple(tables), delay, readable, overflow)
        with self.lock:
            self.workspaces[workspace.resource_id.lower()] = workspace
        return workspace

    def workspace_of(self, vault: Vault) -> Workspace | None:
        """Where the vault's logs go, or None."""
        return self.workspaces.get((vault.workspace or "").lower())

    def put_secret(
        self,
        vault_name: str,
        name: str,
        value: str,
        *,
        content_type: str | None = None,
        tags: Mapping[str, str] | None = None,
        enabled: bool = True,
        not_before: datetime | None = None,
        expires_on: datetime | None = None,
        managed: bool = False,
        at: datetime | None = None,
    ) -> Version:
        """Add a version to a secret without a request: nothing is logged. `at` is when it was made."""
        with self.lock:
            vault = self.vault(vault_name)
            secret = vault.secrets.get(name) or vault.secrets.add(Secret(name, managed=managed))
            version = Version(
                value,
                int((at or self.clock.now()).timestamp()),
                content_type or (CERTIFICATE_TYPE if managed else None),
                dict(tags) if tags is not None else None,
                enabled,
                int(not_before.timestamp()) if not_before else None,
                int(expires_on.timestamp()) if expires_on else None,
            )
            if managed:
                version.kid = f"{vault.uri}keys/{name}/{version.id}"
            return secret.add(version)

    def put_key(self, vault_name: str, name: str, **facts: Unpack[KeyFacts]) -> KeyVersion:
        """Add a version to a key without a request: nothing is logged."""
        with self.lock:
            key = self.vault(vault_name).keys.setdefault(name.lower(), Key(name))
            key.rotation = facts.get("rotation") or key.rotation
            return key.add(make_key(self.clock.now(), facts))

    def put_certificate(self, vault_name: str, name: str, **facts: Unpack[CertificateFacts]) -> CertificateVersion:
        """Add a version to a certificate, and to the key and the secret that belong to it, without a request."""
        with self.lock:
            vault = self.vault(vault_name)
            made = make_certificate(self.clock.now(), name, facts)
            certificate = vault.certificates.setdefault(name.lower(), Certificate(name))
            certificate.policy = made.policy
            vault.keys.setdefault(name.lower(), Key(name, managed=True)).add(made.key)
            secret = vault.secrets.get(name) or vault.secrets.add(Secret(name, managed=True))
            made.secret.kid = f"{vault.uri}keys/{name}/{made.key.id}"
            secret.add(made.secret)
            return certificate.add(made.version)

    def grant(
        self,
        identity: Identity,
        role_name: str,
        scope_resource_id: str,
        *,
        since: datetime | None = None,
        condition: str = "",
    ) -> None:
        """Assign a role at a management group, subscription, resource group, vault or secret; raises ValueError."""
        scope = scope_resource_id.lower().rstrip("/")
        kind = {"person": "User", "group": "Group"}.get(identity.kind, "ServicePrincipal")
        created_on = since or self.clock.now()
        with self.lock:
            self.assignments.add(Assignment(identity.object_id, role_name, scope, kind, created_on, condition))

    def add_role(self, name: str, role: Role) -> None:
        """Define a custom role, to be granted by its name."""
        with self.lock:
            self.assignments.roles[name] = role

    def revoke(self, identity: Identity) -> None:
        """End all role assignments and access policies of the identity."""
        with self.lock:
            self.assignments.remove(identity.object_id)
            for vault in self.vaults.values():
                vault.access_policies.pop(identity.object_id, None)

    def grant_access_policy(self, identity: Identity, vault_name: str, permissions: Iterable[str]) -> None:
        """Set the identity's permissions in an access-policy vault: "get", "list", ..., or "all" are those of secrets,
        "keys/list" and "certificates/get" and the like the others."""
        with self.lock:
            policies = self.vault(vault_name).access_policies
            policies[identity.object_id] = frozenset(permission.lower() for permission in permissions)

    def can_read(self, identity: Identity, resource_id: str, right: str = SEE_EVERYTHING) -> bool:
        """Whether the identity's roles let it see the resource; `right` is one of `roles`' rights."""
        return self.assignments.right(identity.object_id, right, resource_id.lower())

    def record(self, row: AuditRow) -> None:
        """Add a row to the audit log, and decide when its workspace shows it."""
        row.workspace = row.vault.workspace
        if row.visible_at is UNSET:
            row.visible_at = self._visible_at(row)
        with self.lock:
            self.log.append(row)

    def _visible_at(self, row: AuditRow) -> datetime:
        """A quarter to all of the workspace's delay later, by the row's id: so rows show up out of order."""
        workspace = self.workspace_of(row.vault)
        if workspace is None:
            return NEVER
        share = 0.25 + 0.75 * zlib.crc32(row.correlation_id.encode()) / 2**32
        return row.time + workspace.delay * share
