"""What the emulator's tests share: the official SDK on an emulated network, and plain requests for wire shapes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import requests
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator import doors
from kvadmin.emulator.identities import KVADMIN, Identity
from kvadmin.emulator.server import EmulatorServer
from kvadmin.emulator.state import Azure

SUBSCRIPTION = "11111111-0000-4000-8000-000000000001"
OTHER_SUBSCRIPTION = "22222222-0000-4000-8000-000000000002"
VAULT = "https://pay-prod.vault.azure.net"
API = "api-version=7.4"
ANN = Identity(
    "person", "0a11c0de-0000-4000-8000-00000000a001", "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "ann@example.org"
)


def fixture(name: str) -> dict[str, Any]:
    """A file of fixtures/."""
    loaded: dict[str, Any] = json.loads((Path(__file__).parent / "fixtures" / name).read_text())
    return loaded


@dataclass
class Credential:
    """A credential whose tokens name `identity`."""

    identity: Identity = KVADMIN

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(self.identity.token(scopes[0]), int(time.time()) + 3600)


def session_on(door: requests.adapters.BaseAdapter) -> requests.Session:
    """A session in which all of https:// leads through the door."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", door)
    return session


def secret_client(
    session: requests.Session, identity: Identity = KVADMIN, vault: str = VAULT, **options: Any
) -> SecretClient:
    """The unchanged SDK on this session, without waits between its retries."""
    transport = RequestsTransport(session=session, session_owner=False)
    return SecretClient(vault, Credential(identity), transport=transport, **{"retry_total": 0, **options})


class Wire:
    """Plain requests to the cloud, as one identity."""

    def __init__(self, session: requests.Session, identity: Identity = KVADMIN) -> None:
        self._session = session
        self._identity = identity

    def call(
        self, method: str, path: str, body: Any = None, *, vault: str = VAULT, **headers: str
    ) -> requests.Response:
        """One request to the vault, with a good token."""
        bearer = {"Authorization": f"Bearer {self._identity.token('https://vault.azure.net')}"}
        url = path if path.startswith("https://") else f"{vault}{path}"
        url = url if "api-version" in url else f"{url}?{API}"
        return self._session.request(method, url, json=body, headers={**bearer, **headers})

    def arm(self, method: str, path: str, body: Any = None) -> requests.Response:
        """One request to Azure Resource Manager, with a good token."""
        bearer = {"Authorization": f"Bearer {self._identity.token('https://management.azure.com')}"}
        url = path if path.startswith("https://") else f"https://management.azure.com{path}"
        url = url if "api-version" in url else f"{url}?api-version=2022-10-01"
        return self._session.request(method, url, json=body, headers=bearer)


@contextmanager
def served(azure: Azure) -> Iterator[EmulatorServer]:
    """The cloud on a loopback port, until the end of the block."""
    server = doors.serve(azure, 0)
    thread = Thread(target=server.serve_forever, args=(0.01,))  # looks for the end this often, in seconds
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shape(value: Any) -> Any:
    """The form of a JSON value: its keys and the kinds of its leaves."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__
