"""Requests as kvadmin's views get them, and where they come from."""

from __future__ import annotations

from ipaddress import ip_address

from django.conf import settings
from django.http import Http404, HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request that has passed kvadmin's middleware: `htmx` is true for a request that htmx made."""

    htmx: HtmxDetails


class NotThere(Http404):
    """A 404 whose text is a sentence for the person. It must not say whether anything exists that they may not see."""


def address(request: HttpRequest) -> str:
    """The IP address that the request came from; "" when the server does not tell.

    Behind KVADMIN_TRUSTED_PROXIES proxies it is that entry of X-Forwarded-For, counted from the right: each proxy adds
    the address that it sees, and what stands further left is whatever the sender wrote. A header that these proxies
    cannot have made counts for nothing: the address is then the one that the server itself sees.
    """
    seen = str(request.META.get("REMOTE_ADDR") or "")
    proxies: int = settings.KVADMIN_TRUSTED_PROXIES
    entries = request.headers.get("X-Forwarded-For", "").split(",")
    if not 0 < proxies <= len(entries):
        return seen
    return _without_port(entries[-proxies].strip()) or seen


def _without_port(entry: str) -> str:
    """The address alone, as some proxies add a port to it; "" for what is no address."""
    host, _, port = entry.rpartition(":")
    for text in (entry, host if port.isdigit() else ""):
        try:
            return str(ip_address(text.removeprefix("[").removesuffix("]")))
        except ValueError:
            continue
    return ""
