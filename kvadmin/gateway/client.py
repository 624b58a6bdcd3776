"""Credential, transport, cloud and clients: the one seam between kvadmin and Azure, real or emulated.

Everything is made on first use, once per process, and again after a fork: connections and locks do not survive one.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar, cast
from urllib.parse import SplitResult, urlsplit

import requests
from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    HeadersPolicy,
    HttpLoggingPolicy,
    RequestIdPolicy,
    RetryPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient
from azure.mgmt.resourcegraph import ResourceGraphClient
from azure.monitor.query import LogsQueryClient
from django.conf import settings
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util.retry import Retry

from kvadmin import __version__
from kvadmin.gateway.clouds import cloud
from kvadmin.gateway.credentials import credential_for
from kvadmin.gateway.errors import refused
from kvadmin.gateway.limits import Limiter

USER_AGENT = f"kvadmin/{__version__}"
CONNECT_SECONDS = 5
READ_SECONDS = 10
# The longest pause that any retry inside the SDK may make: it obeys Retry-After without a limit of its own.
LONGEST_PAUSE = 2.0
_HOSTS_KEPT = 64  # hosts whose connections stay open; a sweep visits far more, a few at a time
_CONNECTIONS_PER_HOST = 32
# A request waits for nobody: no retry, so that one reveal is one read in Azure's log, and no redirect to elsewhere.
_CALLS: dict[str, Any] = {"retry_total": 0, "permit_redirects": False, "user_agent": USER_AGENT}
# What Log Analytics allows one identity: queries at once, and queries in so many seconds. ("Azure Monitor service
# limits", Log queries and language; https://learn.microsoft.com/azure/azure-monitor/service-limits)
LOGS_AT_ONCE, LOGS_CALLS, LOGS_SECONDS = 5, 200, 30.0
T = TypeVar("T")
VaultClient = TypeVar("VaultClient", SecretClient, KeyClient, CertificateClient)


class Transport(RequestsTransport):  # type: ignore[misc]  # the SDK exports it in a way that hides its type
    """The SDK's transport, with a limit to the pauses that its retries make, those for a token included."""

    def __init__(self, *, pause: Callable[[float], None] = time.sleep, **options: Any) -> None:
        super().__init__(**options)
        self._pause = pause

    def sleep(self, duration: float) -> None:
        """Pause before a retry, in seconds, but no longer than LONGEST_PAUSE, whatever Retry-After asks for."""
        self._pause(min(duration, LONGEST_PAUSE))


def _session() -> requests.Session:
    """A session that is safe to share between threads: no cookies, and as many connections as threads need."""
    session = requests.Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    if settings.KVADMIN_EMULATOR:
        session.adapters.clear()  # nothing but the emulator can be reached
        session.mount("https://", _emulator_door())
        return session
    adapter = HTTPAdapter(_HOSTS_KEPT, _CONNECTIONS_PER_HOST, max_retries=Retry(total=False, redirect=False))
    session.mount("https://", adapter)
    session.mount("http://", adapter)  # the token endpoint of a managed identity is plain http on a local address
    return session


def _emulator_door() -> BaseAdapter:
    from kvadmin.emulator import doors  # noqa: PLC0415 - only the emulated mode needs the emulator

    return doors.open_door(settings.KVADMIN_EMULATOR)


def _transport() -> Transport:
    # session_owner=False: a client that is closed leaves the shared session open.
    return Transport(
        session=_session(),
        session_owner=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        connection_verify=settings.KVADMIN_CA_FILE or True,
    )


@dataclass
class _Process:
    """What one process shares. `clients` holds the transport, the credential and every client, by name."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    clients: dict[str, Any] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """The thing called `name`, made on first use."""
        found = self.clients.get(name)
        if found is None:
            with self.lock:
                found = self.clients.get(name) or self.clients.setdefault(name, make())
        return cast(T, found)

    def forget(self) -> None:
        """Start anew, with a lock that nobody holds: another thread may have held the old one when a fork came."""
        self.lock = threading.RLock()
        self.clients = {}


_process = _Process()
os.register_at_fork(after_in_child=_process.forget)


def reset() -> None:
    """Forget credential, transport and clients, and close the connections: tests change the settings between."""
    shared = _process.clients.get("transport")
    _process.forget()
    if shared is not None:
        shared.session.close()


def once(name: str, make: Callable[[], T]) -> T:
    """The process's one thing called `name`, made on first use, and anew after a fork."""
    return _process.once(name, make)


def transport() -> Transport:
    """The process's one transport."""
    return _process.once("transport", _transport)


def credential() -> TokenCredential:
    """The process's one credential.

    Raises:
        SignInFailed: a setting that it needs is missing.
    """
    return _process.once(
        "credential", lambda: credential_for(settings, authority=cloud().authority, transport=transport())
    )


def secret_client(vault_uri: str) -> SecretClient:
    """The process's one client of this vault's secrets. `vault_uri` is as Azure gives it: https://x.vault.azure.net/.

    Raises:
        Refused: no address of a vault in this cloud.
        SignInFailed: a setting that the credential needs is missing.
    """
    return _vault_client(SecretClient, vault_uri)


def key_client(vault_uri: str) -> KeyClient:
    """The process's one client of this vault's keys; raises as `secret_client`."""
    return _vault_client(KeyClient, vault_uri)


def certificate_client(vault_uri: str) -> CertificateClient:
    """The process's one client of this vault's certificates; raises as `secret_client`."""
    return _vault_client(CertificateClient, vault_uri)


def _vault_client(kind: type[VaultClient], vault_uri: str) -> VaultClient:
    host = vault_host(vault_uri)
    return _process.once(f"{kind.__name__} {host}", lambda: _made(kind, host, credential()))


def client_of(host: str, credential: TokenCredential) -> SecretClient:
    """A client of the vault at this host, which `vault_host` has passed, that signs in with this credential."""
    return _made(SecretClient, host, credential)


def _made(kind: type[VaultClient], host: str, credential: TokenCredential) -> VaultClient:
    return kind(
        f"https://{host}",
        credential,
        transport=transport(),
        verify_challenge_resource=not _unchecked(urlsplit(f"https://{host}")),
        **_CALLS,
    )


def vault_host(vault_uri: str) -> str:
    """The host, and the port if one is spelt, of a vault's address.

    A vault's address may come from a form, and kvadmin's server calls it: so it must lie in the cloud's own domain or
    be named in KVADMIN_UNCHECKED_CHALLENGE_HOSTS.

    Raises:
        Refused: it is no such address.
    """
    parts = _split(vault_uri)
    if parts is None or parts.scheme != "https" or parts.path.strip("/") or parts.query or parts.fragment:
        raise refused("This is not the address of a vault: it looks like https://NAME.vault.azure.net/.")
    if not (_in_cloud(parts) or _unchecked(parts)):
        raise refused(
            f"This vault's address lies outside {cloud().vault_suffix}, the domain of the cloud kvadmin is set to."
        )
    return parts.netloc.lower().removesuffix(":443")


def _split(address: str) -> SplitResult | None:
    """The address in parts; None when it cannot be read, or carries a user name, whitespace or a backslash."""
    try:
        parts = urlsplit(address)
        spelt = f"{parts.hostname}:{parts.port}" if parts.port is not None else parts.hostname
    except ValueError:
        return None
    return parts if spelt == parts.netloc.lower() and "\\" not in spelt and spelt.isascii() else None


def _in_cloud(parts: SplitResult) -> bool:
    return (parts.hostname or "").endswith(f".{cloud().vault_suffix}") and parts.port in {None, 443}


def _unchecked(parts: SplitResult) -> bool:
    """Exactly the named hosts (with their port, if the setting spells it) are exempt from the challenge's check."""
    return bool({parts.netloc.lower(), parts.hostname} & set(settings.KVADMIN_UNCHECKED_CHALLENGE_HOSTS))


def graph_client() -> ResourceGraphClient:
    """The process's one client of Azure Resource Graph."""
    return _process.once("graph", _graph_client)


def _graph_client() -> ResourceGraphClient:
    return ResourceGraphClient(
        credential(),
        base_url=cloud().arm,
        cloud_setting=cloud().azure,
        credential_scopes=[cloud().arm_scope],
        transport=transport(),
        **_CALLS,
    )


def arm_client() -> PipelineClient[HttpRequest, HttpResponse]:
    """The process's one plain client of Azure Resource Manager, for the few GETs that no installed package has."""
    return _process.once("arm", _arm_client)


def _arm_client() -> PipelineClient[HttpRequest, HttpResponse]:
    return _plain_client(cloud().arm, cloud().arm_scope)


def directory_client() -> PipelineClient[HttpRequest, HttpResponse]:
    """The process's one plain client of Microsoft Graph, which no small package of Microsoft's covers."""
    return _process.once("directory", lambda: _plain_client(cloud().directory, f"{cloud().directory}/.default"))


def _plain_client(base_url: str, scope: str) -> PipelineClient[HttpRequest, HttpResponse]:
    policies = [
        RequestIdPolicy(),
        HeadersPolicy(),
        UserAgentPolicy(USER_AGENT),
        RetryPolicy.no_retries(),
        BearerTokenCredentialPolicy(credential(), scope, enable_cae=True),
        HttpLoggingPolicy(),
    ]
    return PipelineClient(base_url, policies=policies, transport=transport())


def logs_client() -> LogsQueryClient:
    """The process's one client of Log Analytics. A long query needs its own `read_timeout=` at the call."""
    return _process.once(
        "logs", lambda: LogsQueryClient(credential(), endpoint=cloud().logs, transport=transport(), **_CALLS)
    )


def logs_limiter() -> Limiter:
    """The process's one limiter of calls to Log Analytics: all of an identity's queries count together there."""
    return _process.once("logs limiter", lambda: Limiter(LOGS_AT_ONCE, LOGS_CALLS, LOGS_SECONDS))
