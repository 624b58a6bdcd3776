"""Requests as kvadmin's views get them, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, TypeVar

from django.conf import settings
from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

View = TypeVar("View", bound=Callable[..., Any])
MEGABYTE = 1024 * 1024
FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}  # what Django reads by itself
_TAKES, _ASKS = "takes", "asks"


class Request(HttpRequest):
    """A request that has passed kvadmin's middleware: `htmx` is true for a request that htmx made."""

    htmx: HtmxDetails


class NotThere(Http404):
    """A 404 whose text is a sentence for the person. It must not say whether anything exists that they may not see."""


def next_page(request: HttpRequest) -> str:
    """The address that `next` names, where the request leads afterwards; home when it is none of this host."""
    target = (request.POST if request.method == "POST" else request.GET).get("next", "")[:500]
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe else reverse("home")


def takes_files(view: View) -> View:
    """Let this view take a file as JSON, KVADMIN_UPLOAD_MEGABYTES large, which it reads when it has asked who sent it.

    Put it above every other decorator of the view. A form has its own limit here, too: Django reads one, with its
    files, before anybody asks. Files are held in memory only, for they may hold values.
    """
    setattr(view, _TAKES, "files")
    return view


def takes_archive(asks: Callable[..., object]) -> Callable[[View], View]:
    """Let this view take an archive of up to KVADMIN_ARCHIVE_MEGABYTES, which lies on disk: it is encrypted.

    `asks` is called like the view, before anything of the body is read, and raises where the person may not do this.
    Put it above every other decorator of the view.
    """

    def mark(view: View) -> View:
        setattr(view, _TAKES, "archive")
        setattr(view, _ASKS, asks)
        return view

    return mark


def ask_first(view: Callable[..., Any], request: HttpRequest, *args: Any, **kwargs: Any) -> None:
    """Raise what a view that takes an archive would raise for this person, before their file is read."""
    asks = getattr(view, _ASKS, None)
    if asks is not None:
        asks(request, *args, **kwargs)


def is_for_an_archive(view: Callable[..., Any]) -> bool:
    return getattr(view, _TAKES, "") == "archive"


def body_limit(view: Callable[..., Any], content_type: str | None) -> int:
    """How many bytes the body of a request of this kind may have for this view."""
    if is_for_an_archive(view):
        return int(settings.KVADMIN_ARCHIVE_MEGABYTES) * MEGABYTE
    takes_it = getattr(view, _TAKES, "") == "files" and content_type not in FORMS
    limit: int = settings.FILE_UPLOAD_MAX_MEMORY_SIZE if takes_it else settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    return limit


def is_small(request: HttpRequest) -> bool:
    """Whether its body is no larger than a form may be anywhere."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    return length.isdigit() and int(length) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE


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
