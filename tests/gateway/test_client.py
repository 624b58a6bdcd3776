from __future__ import annotations

import datetime
import ipaddress
import multiprocessing
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.rest import HttpRequest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kvadmin.emulator import doors
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import KVADMIN, audience_of
from kvadmin.emulator.server import EmulatorServer
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway import arm, client
from kvadmin.gateway.client import Transport, secret_client, vault_host
from kvadmin.gateway.errors import GatewayError, Refused, SignInFailed
from kvadmin.gateway.keyvault import get_secret, list_properties_of_secrets
from kvadmin.gateway.paging import AT_ONCE
from tests.gateway.conftest import SUBSCRIPTION

REVEAL = "5b0e3a52-0d4f-4f0e-9a57-3a1f6c2d8e90"
SOVEREIGN = {
    "public": ("pay-prod.vault.azure.net", "management.azure.com", "api.loganalytics.io"),
    "usgovernment": ("pay-prod.vault.usgovcloudapi.net", "management.usgovcloudapi.net", "api.loganalytics.us"),
    "china": ("pay-prod.vault.azure.cn", "management.chinacloudapi.cn", "api.loganalytics.azure.cn"),
}


def test_a_vault_has_one_client_however_its_address_is_spelt(azure: Azure):
    spelt = [
        "https://pay-prod.vault.azure.net/",
        "https://PAY-PROD.vault.azure.net",
        "https://pay-prod.vault.azure.net:443/",
    ]

    assert len({id(secret_client(address)) for address in spelt}) == 1


@pytest.mark.parametrize(
    "make", [client.credential, client.transport, client.graph_client, client.arm_client, client.logs_client]
)
def test_everything_else_is_made_once(azure: Azure, make: Callable[[], Any]):
    assert make() is make()


def test_a_client_that_is_closed_leaves_the_others_connected(vault: Vault):
    secret_client(vault.uri).close()

    assert get_secret(vault.uri, "db-password", reveal_id=REVEAL).value.expose() == "hunter2-canary"


def test_a_reset_makes_everything_anew(vault: Vault):
    before = (secret_client(vault.uri), client.credential(), client.transport())
    client.reset()
    after = (secret_client(vault.uri), client.credential(), client.transport())

    assert [old is new for old, new in zip(before, after, strict=True)] == [False, False, False]


def test_a_fork_gets_its_own_client_transport_and_credential(vault: Vault):
    before = [id(thing) for thing in (secret_client(vault.uri), client.transport(), client.credential())]
    kept = (secret_client(vault.uri), client.transport(), client.credential())  # so that no id can be used again
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child() -> None:
        after = [id(thing) for thing in (secret_client(vault.uri), client.transport(), client.credential())]
        value = get_secret(vault.uri, "db-password", reveal_id=REVEAL).value.expose()
        answers.put((sum(one in before for one in after), value, os.getpid()))

    process = context.Process(target=child)
    process.start()
    shared, value, pid = answers.get()
    process.join()

    assert (shared, value, pid != os.getpid(), len(kept)) == (0, "hunter2-canary", True, 3)


def test_a_fork_does_not_wait_for_a_lock_that_another_thread_held(vault: Vault):
    context = multiprocessing.get_context("fork")
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with client._process.lock:  # the state that a fork can meet, and that no call from outside can bring about
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    process = context.Process(target=lambda: secret_client(vault.uri))
    process.start()
    process.join()
    done.set()
    thread.join()

    assert process.exitcode == 0


@pytest.mark.parametrize(
    "address",
    [
        "",
        "pay-prod.vault.azure.net",
        "http://pay-prod.vault.azure.net/",
        "https://pay-prod.vault.azure.net/secrets",
        "https://pay-prod.vault.azure.net/?a=b",
        "https://pay-prod.vault.azure.net/#a",
        "https://vault.azure.net/",
        "https://.vault.azure.net:99999/",
        "https://pay-prod.vault.azure.net:8443/",
        "https://me:pw@pay-prod.vault.azure.net/",
        "https://evil.example/",
        "https://evil.example\\.vault.azure.net/",
        "https://evilvault.azure.net/",
        "https://pay-prod.vault.azure.net.evil.example/",
        "https://pay-prod.vault.usgovcloudapi.net/",
        "https://169.254.169.254/",
        "https://localhost/",
        "https://[::1/",
        "https://päy.vault.azure.net/",
        "https:///",
    ],
)
def test_an_address_that_is_no_vaults_of_this_cloud_is_refused(azure: Azure, address: str):
    with pytest.raises(Refused) as caught:
        secret_client(address)

    assert caught.value.definite is True


def test_a_vault_of_another_cloud_is_told_so(settings: Any):
    settings.KVADMIN_CLOUD = "china"

    with pytest.raises(Refused) as caught:
        vault_host("https://pay-prod.vault.azure.net/")

    assert str(caught.value) == (
        "This vault's address lies outside vault.azure.cn, the domain of the cloud kvadmin is set to."
    )


@pytest.mark.parametrize(("named", "allowed"), [("localhost", True), ("localhost:8443", True), ("localhost:9", False)])
def test_an_exempt_host_is_meant_exactly(settings: Any, named: str, allowed: bool):
    settings.KVADMIN_UNCHECKED_CHALLENGE_HOSTS = [named]

    accepted = [host for host in ("localhost:8443", "x.localhost:8443") if is_accepted(f"https://{host}/")]

    assert accepted == (["localhost:8443"] if allowed else [])


def is_accepted(address: str) -> bool:
    try:
        vault_host(address)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("cloud", SOVEREIGN)
def test_one_setting_moves_all_addresses_to_another_cloud(settings: Any, cloud: str):
    settings.KVADMIN_CLOUD = cloud
    azure = Azure(cloud=cloud)
    azure.add_subscription(SUBSCRIPTION, "Payments")
    vault = azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    azure.put_secret("pay-prod", "db-password", "x")
    doors.set_memory("tests", azure)
    client.reset()

    found = arm.list_vaults()

    assert [one.uri for one in found.found] == [f"https://{SOVEREIGN[cloud][0]}/"]
    assert (found.source, arm.list_subscriptions()) == ("resource-graph", {SUBSCRIPTION: "Payments"})
    assert get_secret(vault.uri, "db-password", reveal_id=REVEAL).value.expose() == "x"


@pytest.mark.parametrize("cloud", SOVEREIGN)
def test_each_cloud_has_its_own_log_analytics_and_token(settings: Any, scripted: Any, cloud: str):
    asked: list[tuple[str, str]] = []

    def answer(request: Request) -> Response:
        asked.append((request.host, audience_of(request.bearer)))
        return json_response(200, {"tables": []})

    settings.KVADMIN_CLOUD = cloud
    scripted(answer)
    client.logs_client().query_workspace("w", "T", timespan=None)

    host = SOVEREIGN[cloud][2]
    assert asked == [(host, f"https://{host}")]


def test_with_the_emulator_nothing_else_can_be_reached(azure: Azure):
    session = client.transport().session

    assert list(session.adapters) == ["https://"]
    with pytest.raises(requests.exceptions.InvalidSchema):
        session.get("http://127.0.0.1/")


def test_no_call_can_hold_a_request_up_for_minutes(azure: Azure):
    config = client.transport().connection_config

    assert (config.timeout, config.read_timeout) == (5, 10)


def test_no_retry_inside_the_sdk_pauses_long_whatever_it_is_told():
    pauses: list[float] = []
    transport = Transport(session=requests.Session(), pause=pauses.append)

    transport.sleep(0.5)
    transport.sleep(3600)

    assert pauses == [0.5, 2.0]


def test_cookies_of_one_answer_are_not_sent_with_the_next_request(scripted: Any, vault: Vault):
    cookies: list[str] = []

    def answer(request: Request) -> Response:
        cookies.append(request.headers.get("Cookie", ""))
        return Response(200, {"Set-Cookie": "affinity=1; Path=/"}, b"{}")

    scripted(answer)
    for _ in range(2):
        secret_client(vault.uri).send_request(HttpRequest("GET", "/secrets"))

    assert cookies == ["", ""]


def test_a_credential_that_is_not_complete_is_told_at_the_call(settings: Any):
    settings.KVADMIN_EMULATOR, settings.KVADMIN_CREDENTIAL, settings.KVADMIN_CLIENT_ID = "", "client-secret", ""
    client.reset()

    with pytest.raises(SignInFailed) as caught:
        list_properties_of_secrets("https://pay-prod.vault.azure.net/")

    client.reset()
    assert caught.value.advice == (
        "KVADMIN_CREDENTIAL=client-secret needs AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET."
    )


# --- Another make of emulator: a TLS server with an authority of its own, and a host that is not Azure's ------------


@pytest.fixture
def other_emulator(
    azure: Azure, vault: Vault, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Its address. kvadmin is set to the real Azure, with a managed identity that gets its token on this machine."""
    with served(azure, lambda request: doors.handle(azure, replace(request, host=vault.host, port=0))) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(tmp_path))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        with served(azure, lambda request: token()) as identity:
            monkeypatch.setenv("IDENTITY_ENDPOINT", f"{identity.address}/token")
            monkeypatch.setenv("IDENTITY_HEADER", "x")
            settings.KVADMIN_EMULATOR = ""
            settings.KVADMIN_CA_FILE = str(tmp_path / "server.pem")
            settings.KVADMIN_UNCHECKED_CHALLENGE_HOSTS = ["localhost"]
            client.reset()
            yield f"https://localhost:{server.server_port}/"
            client.reset()


def test_another_emulator_is_read_with_its_authority_and_its_exemption(other_emulator: str):
    read = get_secret(other_emulator, "db-password", reveal_id=REVEAL)

    assert (read.value.expose(), read.properties.name) == ("hunter2-canary", "db-password")


def test_another_emulator_without_its_authority_is_not_trusted(other_emulator: str, settings: Any):
    settings.KVADMIN_CA_FILE = ""
    client.reset()

    error = failure(other_emulator)

    assert (error.code, error.definite) == ("unreachable", True)


def test_another_emulator_without_the_exemption_is_not_called(other_emulator: str, settings: Any):
    settings.KVADMIN_UNCHECKED_CHALLENGE_HOSTS = []

    assert failure(other_emulator).code == "refused"


def failure(address: str) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        list(list_properties_of_secrets(address, patience=AT_ONCE))
    return caught.value


@contextmanager
def served(azure: Azure, answer: Callable[[Request], Response]) -> Iterator[EmulatorServer]:
    server = EmulatorServer(azure, 0, answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def token() -> Response:
    body = {
        "access_token": KVADMIN.token("https://vault.azure.net"),
        "expires_on": "4102444800",
        "token_type": "Bearer",
    }
    return json_response(200, {**body, "resource": "https://vault.azure.net", "client_id": KVADMIN.app_id})


def certificate(folder: Path) -> Path:
    """A certificate for localhost that is its own authority, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / "server.pem"
    file.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return file
