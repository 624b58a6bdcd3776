"""The fake cloud over a real loopback socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests
from azure.core.exceptions import ServiceRequestError
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator import doors
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.server import EmulatorServer
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import API, VAULT, Wire, secret_client, served, session_on


@pytest.fixture
def server(cloud: Azure) -> Iterator[EmulatorServer]:
    with served(cloud) as server:
        yield server


@pytest.fixture
def far(server: EmulatorServer) -> Iterator[requests.Session]:
    with session_on(doors.open_door(server.address)) as session:
        yield session


@pytest.fixture
def far_client(far: requests.Session) -> SecretClient:
    return secret_client(far)


def test_the_sdk_sees_the_host_it_meant(far_client: SecretClient, cloud: Azure) -> None:
    secret = far_client.set_secret("over-a-socket", "höh")

    assert secret.id == f"{VAULT}/secrets/over-a-socket/{secret.properties.version}"
    assert cloud.log[-1].request_uri == f"{VAULT}/secrets/over-a-socket?api-version=2026-04-01"


def test_both_doors_give_the_same_answer(far: requests.Session, session: requests.Session) -> None:
    near, remote = (Wire(door).call("GET", "/secrets/db-password/") for door in (session, far))

    assert near.json() == remote.json()
    assert near.url == remote.url
    assert set(near.headers) <= set(remote.headers)


def test_the_sdk_follows_next_links_with_a_port(far_client: SecretClient, cloud: Azure) -> None:
    for number in range(60):
        cloud.put_secret("pay-prod", f"s-{number}", "x")

    assert len(list(far_client.list_properties_of_secrets())) == 61
    assert ":443/secrets?" in cloud.log[-1].request_uri


def test_a_deletion_without_a_body_keeps_the_connection_usable(far_client: SecretClient) -> None:
    far_client.begin_delete_secret("db-password")
    far_client.purge_deleted_secret("db-password")

    assert list(far_client.list_properties_of_secrets()) == []


def test_many_threads_are_answered_at_once_and_each_with_its_own_secret(far_client: SecretClient, cloud: Azure) -> None:
    for number in range(64):
        cloud.put_secret("pay-prod", f"s-{number}", f"value {number}")

    with ThreadPoolExecutor(16) as pool:
        values = list(pool.map(lambda number: far_client.get_secret(f"s-{number}").value, range(64)))

    assert values == [f"value {number}" for number in range(64)]


def test_one_connection_serves_many_requests(server: EmulatorServer, far: requests.Session) -> None:
    for _ in range(5):
        Wire(far).call("GET", "/secrets")

    assert server.connections == 1


def test_a_chunked_body_is_read_whole(far: requests.Session) -> None:
    headers = {"Authorization": f"Bearer {KVADMIN.token('https://vault.azure.net')}"}
    chunks = iter([b'{"value":', b'"in ', b'pieces"}'])

    answer = far.put(f"{VAULT}/secrets/chunked?{API}", data=chunks, headers=headers)

    assert answer.json()["value"] == "in pieces"
    assert Wire(far).call("GET", "/secrets/chunked/").json()["value"] == "in pieces"


@pytest.mark.parametrize(
    "head", ["Host: a:b\r\n", "Content-Length: many\r\n", "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"]
)
def test_a_request_that_cannot_be_read_is_a_bad_request(head: str, server: EmulatorServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
        connection.sendall(f"PUT /secrets/a HTTP/1.1\r\n{head}\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"error":"This is no HTTP request."}')


def test_it_stops_cleanly_while_a_connection_is_kept_alive(cloud: Azure) -> None:
    before = threading.active_count()

    with served(cloud) as server, session_on(doors.open_door(server.address)) as session:
        Wire(session).call("GET", "/secrets")

    assert threading.active_count() == before


def test_a_stopped_emulator_is_an_unreachable_azure(cloud: Azure) -> None:
    with served(cloud) as server:
        address = server.address

    with session_on(doors.open_door(address)) as session, pytest.raises(ServiceRequestError, match="refused"):
        secret_client(session).get_secret("db-password")


# --- By hand ---------------------------------------------------------------------------------------------------------


def test_healthz_says_that_it_is_up(server: EmulatorServer) -> None:
    answer = requests.get(f"{server.address}/healthz", timeout=10)

    assert answer.json() == {"status": "ok", "vaults": 1}


def test_a_fault_can_be_switched_on_and_off_by_hand(server: EmulatorServer, far: requests.Session) -> None:
    hand = f"{server.address}/_emulator/faults"

    requests.post(hand, json={"vault": "pay-prod", "kind": "server", "operations": ["SecretList"]}, timeout=10)
    assert Wire(far).call("GET", "/secrets").status_code == 500
    requests.post(hand, json={"vault": "pay-prod"}, timeout=10)
    assert Wire(far).call("GET", "/secrets").status_code == 200


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"vault":"a","kind":"flood"}', '{"vault":"a","how":1}'])
def test_a_fault_that_is_none_is_refused(body: str, server: EmulatorServer) -> None:
    answer = requests.post(f"{server.address}/_emulator/faults", data=body, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("Send a vault, a kind and its options")


def test_the_clock_can_be_moved_by_hand(server: EmulatorServer, cloud: Azure) -> None:
    before = cloud.clock.now()

    requests.post(f"{server.address}/_emulator/clock", json={"advance_seconds": 86400}, timeout=10)

    assert cloud.clock.now() - before >= timedelta(days=1)


@pytest.mark.parametrize("body", ["no json", "[]", '{"advance_seconds":"soon"}', '{"advance_seconds":1e300}'])
def test_a_time_that_is_none_is_refused(body: str, server: EmulatorServer, cloud: Azure) -> None:
    answer = requests.post(f"{server.address}/_emulator/clock", data=body, timeout=10)

    assert (answer.status_code, answer.json()) == (400, {"error": 'Send {"advance_seconds": N}.'})


def test_a_client_of_the_cloud_cannot_reach_the_hand_s_pages(far: requests.Session, cloud: Azure) -> None:
    answer = Wire(far).call("POST", "/_emulator/clock", {"advance_seconds": 86400})

    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "MethodNotAllowed")


def test_a_client_that_sends_its_host_itself_needs_no_door(server: EmulatorServer) -> None:
    answer = requests.get(f"{server.address}/secrets", headers={"Host": "pay-prod.vault.azure.net"}, timeout=10)

    assert answer.json()["error"]["code"] == "Unauthorized"
