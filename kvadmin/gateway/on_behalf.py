"""A person's own rights: clients of vaults that act on behalf of whoever is signed in, so that Azure's log names them.

Each session has a credential of its own, and no two share one: azure-identity once handed out the token of another
account from a shared cache (azure-sdk-for-python #49001, #49533). What a session's token was replaced with, or what
was not used for long, is forgotten.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from azure.identity import OnBehalfOfCredential
from azure.keyvault.secrets import SecretClient
from django.conf import settings

from kvadmin.gateway import client, entra
from kvadmin.gateway.clouds import cloud

MOST_SESSIONS = 256
IDLE_SECONDS = 3600  # no token lasts much longer


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """For whom a call is made: the session, by any name that is its own, and the token that its person has for kvadmin.

    `tenant_id` is the person's. The token shows in no repr.
    """

    session: str
    tenant_id: str
    assertion: str = field(repr=False)


@dataclass(slots=True)
class _Own:
    """What belongs to one session and one token."""

    of: OnBehalfOf
    credential: OnBehalfOfCredential
    used_at: float = 0.0
    clients: dict[str, SecretClient] = field(default_factory=dict)


class _Sessions:
    """The sessions that used their own rights lately, each with its credential."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Own] = OrderedDict()

    def client(self, of: OnBehalfOf, host: str) -> SecretClient:
        with self._lock:
            own = self._own(of)
            if host not in own.clients:
                own.clients[host] = client.client_of(host, own.credential)
            return own.clients[host]

    def _own(self, of: OnBehalfOf) -> _Own:
        """The session's credential; a new one when its token is another than before."""
        held = self._held.pop(of.session, None)
        if held is None or held.of != of:
            held = _Own(of, _credential(of))
        held.used_at = time.time()
        self._held[of.session] = held
        while len(self._held) > MOST_SESSIONS or next(iter(self._held.values())).used_at < held.used_at - IDLE_SECONDS:
            self._held.popitem(last=False)
        return held


def secret_client(vault_uri: str, of: OnBehalfOf) -> SecretClient:
    """A client of this vault with the rights of one person, for their session alone.

    Raises:
        Refused: no address of a vault in this cloud.
    """
    sessions = client.once("on behalf", _Sessions)
    return sessions.client(of, client.vault_host(vault_uri))


def _credential(of: OnBehalfOf) -> OnBehalfOfCredential:
    return OnBehalfOfCredential(
        of.tenant_id,
        settings.KVADMIN_OIDC_CLIENT_ID,
        user_assertion=of.assertion,
        authority=cloud().authority,
        transport=client.transport(),
        retry_total=1,
        additionally_allowed_tenants=list(settings.KVADMIN_ALLOWED_TENANTS),
        **_app(),
    )


def _app() -> dict[str, Any]:
    """How the app registration proves itself: as at the sign-in, by its secret or by kvadmin's own identity."""
    if settings.KVADMIN_OIDC_CREDENTIAL == "client-secret":
        return {"client_secret": settings.KVADMIN_OIDC_CLIENT_SECRET}
    return {"client_assertion_func": entra.assertion}
