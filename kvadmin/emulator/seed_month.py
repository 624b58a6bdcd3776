"""A month of the access log in the making: each kind of call as the rows that Azure would write of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from random import Random
from uuid import UUID

from kvadmin.emulator import seed_people as people
from kvadmin.emulator.identities import TENANT_ID, Identity
from kvadmin.emulator.resources import AuditRow, Vault
from kvadmin.emulator.roles import Assignment
from kvadmin.emulator.seed_people import Client, using
from kvadmin.emulator.state import Azure
from kvadmin.emulator.store import Secret, Version


@dataclass
class Month:
    """The log in the making: `rows` in no order yet. `now` is the end of it."""

    azure: Azure
    now: datetime
    days: int
    random: Random
    rows: list[AuditRow] = field(default_factory=list)

    def add(
        self,
        when: datetime,
        operation: str,
        vault: Vault,
        who: Identity | None,
        client: Client,
        path: str,
        status: int = 200,
        object_path: str = "",
        text: str = "",
        address: str = "",
    ) -> None:
        """One row, unless it would lie in the future or before the month. `address`: where nobody said who they are."""
        if not self.now - timedelta(days=self.days) <= when <= self.now:
            return
        caller = using(who, client) if who else None
        self.rows.append(
            AuditRow(
                time=when,
                operation=operation,
                status=status,
                vault=vault,
                identity=caller,
                caller_address=who.address if who else address,
                client_info=client.agent,
                request_uri=self._uri(vault, path, client, when),
                object_id_url=f"{vault.uri}{object_path}" if object_path else "",
                correlation_id=str(UUID(int=self.random.getrandbits(128), version=4)),
                duration_ms=self.random.randint(6, 90),
                result_description=text,
                api_version=client.api_version,
                assignment_id=_assignment(who.object_id, vault.resource_id)
                if who and status < 400 and vault.rbac
                else "",
            )
        )

    def _uri(self, vault: Vault, path: str, client: Client, when: datetime) -> str:
        """The portal, a page in a browser, adds the time to every address so that nothing is cached."""
        breaker = f"&_={int(when.timestamp() * 1000)}" if client is people.PORTAL else ""
        if path.startswith("https://"):
            return path
        return f"{vault.uri}{path}{'&' if '?' in path else '?'}api-version={client.api_version}{breaker}"

    def read(self, when: datetime, vault_name: str, name: str, who: Identity, client: Client) -> None:
        """A value is read, as it was then: the newest version of that time, or a refusal when it is switched off."""
        vault = self.azure.vault(vault_name)
        secret = vault.secrets.get(name)
        version = _version_at(secret, when) if secret else None
        if secret is None or version is None:
            self.miss(when, vault, name, who, client)
        elif not version.enabled:
            text = "Operation get is not allowed on a disabled secret."
            self.add(when, "SecretGet", vault, who, client, f"secrets/{name}/", 403, f"secrets/{name}", text)
        else:
            path = f"secrets/{secret.name}/{version.id}" if client is people.PORTAL else f"secrets/{secret.name}/"
            self.add(when, "SecretGet", vault, who, client, path, 200, f"secrets/{secret.name}/{version.id}")

    def miss(self, when: datetime, vault: Vault, name: str, who: Identity, client: Client) -> None:
        """A secret that is not there is asked for."""
        text = f"A secret with (name/id) {name} was not found in this key vault."
        self.add(when, "SecretGet", vault, who, client, f"secrets/{name}/", 404, f"secrets/{name}", text)

    def deny(self, when: datetime, vault: Vault, name: str, who: Identity, client: Client) -> None:
        """A read that the vault refuses, in the words of its kind."""
        caller = using(who, client)
        label = f"appid={caller.app_id};oid={caller.object_id};iss=https://sts.windows.net/{TENANT_ID}/"
        place = f"{vault.name};location={vault.location}"
        if vault.rbac:
            action = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
            text = (
                f"Caller is not authorized to perform action on resource.\nCaller: {label}\nAction: '{action}'\n"
                f"Resource: '{vault.resource_id.lower()}/secrets/{name}'\nAssignment: (not found)\nVault: {place}"
            )
        else:
            text = (
                f"The user, group or application '{label}' does not have secrets get permission on key vault '{place}'."
            )
        self.add(when, "SecretGet", vault, who, client, f"secrets/{name}/", 403, f"secrets/{name}", text)

    def challenge(self, when: datetime, vault: Vault, who: Identity, client: Client, path: str) -> None:
        """The first call of a process goes out without a token."""
        moment = when - timedelta(milliseconds=140)
        self.add(moment, "Authentication", vault, None, client, path, 401, address=who.address)

    def browse(self, when: datetime, vault: Vault, who: Identity, client: Client) -> None:
        """The list of a vault's secrets."""
        self.add(when, "SecretList", vault, who, client, "secrets?maxresults=25")


def _version_at(secret: Secret, when: datetime) -> Version | None:
    """The newest version of that moment."""
    made = [version for version in secret.versions.values() if version.created <= when.timestamp()]
    return made[-1] if made else None


@lru_cache(maxsize=256)
def _assignment(object_id: str, scope: str) -> str:
    """The id of the role assignment that let the caller in, as the log shows it."""
    return Assignment(object_id, "Key Vault Secrets User", scope.lower()).id
