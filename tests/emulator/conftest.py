"""A small cloud: one subscription, one vault with one secret, and ways to talk to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator import doors
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import SUBSCRIPTION, Wire, secret_client, session_on


@pytest.fixture
def cloud() -> Iterator[Azure]:
    azure = Azure()
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, soft_delete_days=7)
    azure.put_secret("pay-prod", "db-password", "ABC123", content_type="text/plain", tags={"team": "payments"})
    doors.set_memory("emulator-tests", azure)
    yield azure
    doors.drop_memory("emulator-tests")


@pytest.fixture
def session(cloud: Azure) -> Iterator[requests.Session]:
    with session_on(doors.open_door("memory://emulator-tests")) as session:
        yield session


@pytest.fixture
def wire(session: requests.Session) -> Wire:
    return Wire(session)


@pytest.fixture
def client(session: requests.Session) -> SecretClient:
    return secret_client(session)
