"""Whatever the provider's server answers, or does not: one clear sentence on a page, and nobody is signed in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest
from django.test import Client

from tests import entra as e
from tests.entra import Entra
from vaults.models import Person

pytestmark = pytest.mark.django_db
DESCRIPTION, TOKENS, KEYS = "/.well-known/openid-configuration", "/token", "/keys"
NOT_COMPLETED = "Microsoft did not complete the sign-in."
NOT_REACHED = "Microsoft cannot be reached at the moment."
NOT_READ = "Microsoft's answer could not be read, so nothing was done with it."
NOT_BELIEVED = "Microsoft's answer does not belong to the sign-in that was started here, so it was not believed."


def answer(body: str, status: int = 200, kind: str = "Content-Type: application/json\r\n") -> bytes:
    return f"HTTP/1.0 {status} As told\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()


SILENCE = b""  # the connection is closed
BROKEN = {
    "silence": (SILENCE, NOT_REACHED),
    "half an answer": (answer('{"access_token": "a"}')[:-5], NOT_REACHED),
    "500": (answer("{}", 500), NOT_REACHED),
    "503 of a proxy": (answer("<h1>Later</h1>", 503, "Content-Type: text/html\r\n"), NOT_REACHED),
    "429": (answer('{"error": "slow_down"}', 429), NOT_REACHED),
    "half an object": (answer('{"issuer": "http'), NOT_READ),
    "number": (answer("5"), NOT_READ),
}
NO_TOKENS = {
    "empty object": (answer("{}"), NOT_COMPLETED),
    "no access token": (answer('{"id_token": "a.b.c"}'), NOT_COMPLETED),
    "an error in words": (answer('{"error": "invalid_grant"}', 400), NOT_COMPLETED),
    "empty": (answer(""), NOT_READ),
    "a page": (answer("<h1>access_token</h1>", kind="Content-Type: text/html\r\n"), NOT_COMPLETED),
    "no content type": (answer('{"access_token": "a"}', kind=""), NOT_READ),
    "led elsewhere": (answer("", 302, "Location: http://127.0.0.1:1/\r\n"), NOT_COMPLETED),
    "null": (answer('{"access_token": null}'), NOT_READ),
    "list": (answer('["access_token"]'), NOT_READ),
    "text": (answer('"access_token"'), NOT_READ),
    "no ID token": (answer('{"access_token": "a", "expires_in": "soon"}'), NOT_BELIEVED),
}
NO_DESCRIPTION = {
    "empty object": (answer("{}"), NOT_READ),
    "list": (answer("[]"), NOT_READ),
    "a page": (answer("<h1>Hello</h1>", kind="Content-Type: text/html\r\n"), NOT_READ),
    "led elsewhere": (answer("", 302, "Location: http://127.0.0.1:1/\r\n"), NOT_READ),
}
NO_KEYS = {
    "empty object": (answer("{}"), NOT_BELIEVED),
    "list": (answer("[]"), NOT_BELIEVED),
    "a page": (answer("<h1>Hello</h1>", kind="Content-Type: text/html\r\n"), NOT_READ),
}


class Provider:
    """The provider's server, which answers as it is told, to the letter."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        places = {"authorization_endpoint": "/authorize", "token_endpoint": TOKENS, "jwks_uri": KEYS}
        self.description = {"issuer": issuer, **{name: issuer + path for name, path in places.items()}}
        self.answers = {DESCRIPTION: answer(json.dumps(self.description))}
        self.answers[TOKENS] = answer('{"access_token": "a", "id_token": "a.b.c"}')
        self.answers[KEYS] = answer('{"keys": []}')


@pytest.fixture
def provider(entra: Entra, settings) -> Iterator[Provider]:
    told: dict[str, bytes] = {}

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            path = urlsplit(self.rfile.readline().split()[1].decode()).path
            length = 0
            while line := self.rfile.readline().strip():
                name, _, value = line.decode().lower().partition(":")
                length = int(value) if name == "content-length" else length
            self.rfile.read(length)
            self.wfile.write(told[path])

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        made = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        told, settings.KVADMIN_OIDC_ISSUER = made.answers, made.issuer
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def come_back(client: Client, state: str) -> tuple[int, str]:
    """Microsoft's answer with a code is taken: the status and the sentence of kvadmin's page."""
    response = client.get("/sign-in/entra/callback/", {"code": "a-code", "state": state})
    assert "_auth_user_id" not in client.session
    assert Person.objects.count() == 0
    return response.status_code, response.context["refused"].sentence


def table(*cases: dict[str, tuple[bytes, str]]) -> object:
    found = {name: case for one in cases for name, case in one.items()}
    return pytest.mark.parametrize(("raw", "said"), found.values(), ids=found.keys())


@table(BROKEN, NO_TOKENS)
def test_in_place_of_tokens(client: Client, provider: Provider, raw: bytes, said: str) -> None:
    state = e.asked(e.begin(client))["state"]
    provider.answers[TOKENS] = raw

    assert come_back(client, state) == (403, said)


@table(BROKEN, NO_DESCRIPTION)
def test_in_place_of_its_description_once_somebody_comes_back(
    client: Client, provider: Provider, raw: bytes, said: str
) -> None:
    state = e.asked(e.begin(client))["state"]
    provider.answers[DESCRIPTION] = raw

    assert come_back(client, state) == (403, said)


@table(BROKEN, NO_DESCRIPTION)
def test_in_place_of_its_description_before_anybody_is_led_there(
    client: Client, provider: Provider, raw: bytes, said: str
) -> None:
    provider.answers[DESCRIPTION] = raw

    response = client.post("/sign-in/entra/")

    assert (response.status_code, response.context["refused"].sentence) == (403, said)


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("value", [None, 5, ["a"]])
def test_an_address_that_is_none(client: Client, provider: Provider, name: str, value: object) -> None:
    state = e.asked(e.begin(client))["state"]
    provider.answers[DESCRIPTION] = answer(json.dumps(provider.description | {name: value}))

    assert come_back(client, state) == (403, NOT_READ)


@table(BROKEN, NO_KEYS)
def test_in_place_of_its_keys(client: Client, provider: Provider, raw: bytes, said: str) -> None:
    state = e.asked(e.begin(client))["state"]
    provider.answers[KEYS] = raw

    assert come_back(client, state) == (403, said if raw != BROKEN["number"][0] else NOT_BELIEVED)
