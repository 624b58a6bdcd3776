"""Requests as kvadmin's views get them."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request that has passed kvadmin's middleware: `htmx` is true for a request that htmx made."""

    htmx: HtmxDetails
