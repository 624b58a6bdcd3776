"""Vaults to talk to, and a way to give the real SDK any answer at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kvadmin.emulator.http import Request, Response
from kvadmin.emulator.server import EmulatorServer
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway import client

SUBSCRIPTION = "11111111-0000-4000-8000-000000000001"
CHALLENGE = {
    "WWW-Authenticate": 'Bearer authorization="https://login.microsoftonline.com/7c1e3b52-0d4f-4f0e-9a57-3a1f6c2d8e90"'
    ', resource="https://vault.azure.net"'
}
Answer = Callable[[Request], Response]


@pytest.fixture
def vault(azure: Azure) -> Vault:
    """A vault with one secret, "db-password", whose value is "hunter2-canary"."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    made = azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "hunter2-canary")
    return made


@pytest.fixture
def scripted(azure: Azure, settings: Any) -> Iterator[Callable[[Answer], None]]:
    """Call it with a function from request to answer: from then on Azure answers like that, after its challenge."""
    servers: list[tuple[EmulatorServer, threading.Thread]] = []

    def start(answer: Answer) -> None:
        server = EmulatorServer(azure, 0, lambda request: _challenged(request, answer))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        settings.KVADMIN_EMULATOR = server.address
        client.reset()

    yield start
    client.reset()
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def _challenged(request: Request, answer: Answer) -> Response:
    return answer(request) if request.bearer else Response(401, dict(CHALLENGE))
