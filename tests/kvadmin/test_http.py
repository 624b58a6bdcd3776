"""Where a request comes from: what the server sees, or what a trusted proxy says that it sees."""

from __future__ import annotations

import pytest
from django.test import Client, RequestFactory

from audit.models import LedgerEntry
from kvadmin.http import address
from vaults.models import Person

PROXY, SENDER, SPOOFED = "10.0.0.7", "203.0.113.9", "198.51.100.1"


def seen(forwarded: str | None) -> str:
    """The address of a request that a proxy passes on with this header."""
    header = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    return address(RequestFactory().get("/", REMOTE_ADDR=PROXY, **header))


def test_without_a_trusted_proxy_the_header_counts_for_nothing() -> None:
    assert seen(SPOOFED) == PROXY


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (1, SENDER, SENDER),
        (1, f"{SPOOFED}, {SENDER}", SENDER),
        (2, f"{SPOOFED}, {SENDER}, 10.0.0.8", SENDER),
        (1, f"{SPOOFED},{SENDER}:51234", SENDER),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "[2001:db8::1]:51234", "2001:db8::1"),
    ],
)
def test_behind_proxies_the_entry_counts_that_the_outermost_one_added(
    settings, proxies: int, forwarded: str, found: str
) -> None:
    settings.KVADMIN_TRUSTED_PROXIES = proxies

    assert seen(forwarded) == found


@pytest.mark.parametrize("forwarded", [None, "", SPOOFED, "unknown, 10.0.0.8", "<b>, 10.0.0.8", "1.2.3.4:x, 10.0.0.8"])
def test_a_header_that_these_proxies_cannot_have_made_counts_for_nothing(settings, forwarded: str | None) -> None:
    settings.KVADMIN_TRUSTED_PROXIES = 2

    assert seen(forwarded) == PROXY


def test_a_server_that_does_not_tell_gives_an_empty_address() -> None:
    request = RequestFactory().get("/")
    del request.META["REMOTE_ADDR"]

    assert address(request) == ""


def test_the_ledger_keeps_the_senders_address(client: Client, reader: Person, settings) -> None:
    settings.KVADMIN_TRUSTED_PROXIES = 1
    client.force_login(reader)

    client.get("/roles/", REMOTE_ADDR=PROXY, headers={"X-Forwarded-For": f"{SPOOFED}, {SENDER}"})

    assert LedgerEntry.objects.get().address == SENDER


def test_bad_sign_ins_are_counted_by_the_senders_address_whatever_the_sender_writes(
    client: Client, reader: Person, settings
) -> None:
    settings.KVADMIN_TRUSTED_PROXIES = 1

    def sign_in(password: str, forwarded: str) -> int:
        form = {"login": "reader", "password": password}
        return Client().post("/sign-in/", form, REMOTE_ADDR=PROXY, headers={"X-Forwarded-For": forwarded}).status_code

    for number in range(5):
        sign_in("wrong", f"198.51.100.{number}, {SENDER}")

    assert sign_in("pw", f"198.51.100.99, {SENDER}") == 200
    assert sign_in("pw", f"{SENDER}, 203.0.113.10") == 302
