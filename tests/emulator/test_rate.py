from __future__ import annotations

from datetime import timedelta

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator.state import Azure
from tests.emulator.cloud import OTHER_SUBSCRIPTION, secret_client


def refused(client: SecretClient) -> HttpResponseError:
    with pytest.raises(HttpResponseError) as caught:
        client.get_secret("db-password")
    return caught.value


def test_a_vault_takes_so_many_calls_and_then_no_more(cloud: Azure, client: SecretClient) -> None:
    cloud.vault("pay-prod").limit = (2, 10)
    client.get_secret("db-password")
    client.get_secret("db-password")

    error = refused(client)

    assert (error.status_code, error.error.code if error.error else "") == (429, "Throttled")
    assert error.response is not None
    assert error.response.headers["Retry-After"] == "10"


def test_calls_are_taken_again_when_the_time_is_over_and_refused_ones_did_not_count(
    cloud: Azure, client: SecretClient
) -> None:
    cloud.vault("pay-prod").limit = (1, 10)
    client.get_secret("db-password")
    for _ in range(3):
        refused(client)
    cloud.clock.advance(timedelta(seconds=10))

    assert client.get_secret("db-password").value == "ABC123"


def test_a_vault_need_not_say_when_to_come_back(cloud: Azure, client: SecretClient) -> None:
    vault = cloud.vault("pay-prod")
    vault.limit = (1, 10)
    vault.limit_says_when = False
    client.get_secret("db-password")

    response = refused(client).response

    assert response is not None
    assert "Retry-After" not in response.headers


def test_each_vault_has_its_own_limit_and_refusals_are_not_in_the_log(
    cloud: Azure, client: SecretClient, session: requests.Session
) -> None:
    cloud.add_subscription(OTHER_SUBSCRIPTION, "Other")
    cloud.add_vault("elsewhere", subscription_id=OTHER_SUBSCRIPTION)
    cloud.put_secret("elsewhere", "db-password", "other")
    cloud.vault("pay-prod").limit = (1, 10)
    client.get_secret("db-password")
    refused(client)

    other = secret_client(session, vault="https://elsewhere.vault.azure.net")

    assert other.get_secret("db-password").value == "other"
    assert [row.vault.name for row in cloud.log if row.operation == "SecretGet"] == ["pay-prod", "elsewhere"]
