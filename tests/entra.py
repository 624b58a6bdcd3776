"""A real OpenID provider that plays Entra: oidc-provider-mock, in a process of its own.

It issues signed tokens and puts whatever claims it is told into them, wrong ones too. It never asks for a password.
"""

from __future__ import annotations

import html
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.http import HttpResponse
from django.test import Client

TENANT = "11111111-1111-4111-8111-111111111111"
OTHER_TENANT = "22222222-2222-4222-8222-222222222222"
CLIENT_ID = "33333333-3333-4333-8333-333333333333"
PAYMENTS = "44444444-4444-4444-8444-444444444444"  # the object id of a group
ADA, BOB = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
GROUPS = {"Kv.Readers": "Readers", "Kv.Admins": "Platform", PAYMENTS: "Payments"}


class Entra:
    """The provider at `issuer`, and a browser's way through it."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def person(self, object_id: str = ADA, **claims: object) -> None:
        """Somebody of the tenant, with the app role Kv.Readers; `claims` go into the ID token as they are."""
        known = {"oid": object_id, "tid": TENANT, "name": "Ada Lovelace", "preferred_username": "ada@contoso.example"}
        body = {**known, "email": "ada@contoso.example", "roles": ["Kv.Readers"], **claims}
        requests.put(f"{self.issuer}/users/{object_id}", json=body, timeout=30).raise_for_status()

    def answer(self, asked: str, object_id: str = ADA) -> str:
        """What a browser is led to, path and query, when this person goes on at the address `asked`."""
        sent = requests.post(asked, data={"sub": object_id}, allow_redirects=False, timeout=30)
        parts = urlsplit(sent.headers["Location"])
        return f"{parts.path}?{parts.query}"

    def silent_answer(self, asked: str, object_id: str = ADA) -> str:
        """The same where Microsoft still knows the person. This provider remembers nobody, and refuses prompt=none."""
        return self.answer(asked.replace("prompt=none", "prompt=login"), object_id)

    def sign_in(self, client: Client, object_id: str = ADA, target: str = "/help/") -> HttpResponse:
        """A whole sign-in; the answer of kvadmin's callback."""
        return client.get(self.answer(begin(client, target), object_id))


def begin(client: Client, target: str = "/help/", path: str = "/sign-in/entra/") -> str:
    """The address at the provider to which the page behind this button leads."""
    return leads_to(client.post(path, {"next": target}))


def leads_to(page: HttpResponse) -> str:
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.content.decode())
    assert found, page.content.decode()
    return html.unescape(found[1])


def asked(address: str) -> dict[str, str]:
    """The parameters of a request to the provider."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


@pytest.fixture(scope="session")
def _openid_provider() -> Iterator[Entra]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)],
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    provider = Entra(f"http://127.0.0.1:{port}")
    try:
        _wait(process, provider.issuer)
        yield provider
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], issuer: str) -> None:
    while process.poll() is None:
        try:
            requests.get(f"{issuer}/.well-known/openid-configuration", timeout=30).raise_for_status()
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("The OpenID provider did not start.")


@pytest.fixture
def entra(_openid_provider: Entra, settings) -> Entra:
    """Sign-in with Entra is on, and this is the Entra. Ada may come in as a reader."""
    settings.KVADMIN_OIDC_CLIENT_ID = CLIENT_ID
    settings.KVADMIN_OIDC_CLIENT_SECRET = "of-no-use-anywhere"
    settings.KVADMIN_OIDC_TENANT_ID = TENANT
    settings.KVADMIN_OIDC_ISSUER = _openid_provider.issuer
    settings.KVADMIN_OIDC_GROUPS = GROUPS
    _openid_provider.person()
    return _openid_provider
