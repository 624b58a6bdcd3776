"""Requests as kvadmin's views get them."""

from __future__ import annotations

from django.http import Http404, HttpRequest
from django_htmx.middleware import HtmxDetails


class Request(HttpRequest):
    """A request that has passed kvadmin's middleware: `htmx` is true for a request that htmx made."""

    htmx: HtmxDetails


class NotThere(Http404):
    """A 404 whose text is a sentence for the person. It must not say whether anything exists that they may not see."""
