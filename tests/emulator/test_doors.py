"""Routing by host name, and the two kinds of door."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from kvadmin.emulator import doors
from kvadmin.emulator.faults import NetworkError
from kvadmin.emulator.http import request_of
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import CLOUDS, Azure
from tests.emulator.cloud import API, SUBSCRIPTION, VAULT, secret_client, session_on


@pytest.mark.parametrize("name", list(CLOUDS))
def test_a_vault_answers_under_the_host_name_of_its_cloud(name: str) -> None:
    azure = Azure(cloud=name)
    azure.add_subscription(SUBSCRIPTION, "Payments")
    vault = azure.add_vault("Pay-Prod", subscription_id=SUBSCRIPTION)
    token = KVADMIN.token(f"https://{CLOUDS[name].vault_suffix}/.default")
    request = request_of("GET", f"{vault.uri}secrets?{API}", {"Authorization": f"Bearer {token}"}, b"")

    answer = doors.handle(azure, request)

    assert answer.body == b'{"value":[],"nextLink":null}'
    assert vault.uri == f"https://pay-prod.{CLOUDS[name].vault_suffix}/"


@pytest.mark.parametrize("name", list(CLOUDS))
def test_resource_manager_answers_under_the_host_name_of_its_cloud(name: str) -> None:
    azure = Azure(cloud=name)
    azure.add_subscription(SUBSCRIPTION, "Payments")
    host = CLOUDS[name].arm
    token = {"Authorization": f"Bearer {KVADMIN.token(f'https://{host}/.default')}"}

    answer = doors.handle(azure, request_of("GET", f"https://{host}/subscriptions?{API}", token, b""))

    assert b'"displayName":"Payments"' in answer.body


@pytest.mark.parametrize(
    "host", ["pay-prod.vault.azure.cn", "pay-prod.example.org", "pay-prod", "vault.azure.net", "example.org"]
)
def test_any_other_host_is_unknown(host: str, cloud: Azure) -> None:
    with pytest.raises(NetworkError) as raised:
        doors.handle(cloud, request_of("GET", f"https://{host}/secrets", {}, b""))

    assert (raised.value.kind, raised.value.host) == ("dns", host)


def test_the_sdk_reads_through_a_sovereign_door() -> None:
    azure = Azure(cloud="china")
    azure.add_subscription(SUBSCRIPTION, "Payments")
    vault = azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "x")
    doors.set_memory("china", azure)

    with session_on(doors.open_door("memory://china")) as session:
        assert secret_client(session, vault=vault.uri).get_secret("db-password").value == "x"
    doors.drop_memory("china")


def test_two_clouds_of_one_process_do_not_mix(cloud: Azure) -> None:
    doors.set_memory("other", Azure())

    assert doors.memory("emulator-tests") is cloud
    assert doors.memory("other") is not cloud
    doors.drop_memory("other")


def test_a_dropped_cloud_is_gone(cloud: Azure) -> None:
    doors.drop_memory("emulator-tests")

    with pytest.raises(LookupError, match="There is no cloud called 'emulator-tests' in this process"):
        doors.memory("emulator-tests")


def test_a_door_to_a_cloud_that_is_not_there_refuses_the_connection() -> None:
    with session_on(doors.open_door("memory://nowhere")) as session, pytest.raises(requests.ConnectionError) as raised:
        session.get(f"{VAULT}/secrets")

    assert "Connection refused" in str(raised.value)


@pytest.mark.parametrize("address", ["https://127.0.0.1:1", "http://10.0.0.1:80", "http://example.org", "memory", ""])
def test_an_emulator_is_in_this_machine_only(address: str) -> None:
    with pytest.raises(ValueError, match=r"memory://NAME or http://127\.0\.0\.1:PORT"):
        doors.open_door(address)


def test_a_body_may_come_in_any_form_that_requests_allows(session: requests.Session, cloud: Azure) -> None:
    headers = {"Authorization": f"Bearer {KVADMIN.token('https://vault.azure.net')}"}
    text = '{"value":"x"}'
    bodies: list[Any] = [text, text.encode(), iter([text[:5].encode(), text[5:].encode()])]

    statuses = [session.put(f"{VAULT}/secrets/form?{API}", data=body, headers=headers).status_code for body in bodies]

    assert statuses == [200, 200, 200]
