"""One line for each request, and an id that stands on this line and on every other that the request leaves behind."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bind_contextvars, clear_contextvars

from kvadmin.metrics import tallies
from vaults.models import Person

logger = logging.getLogger("kvadmin.access")
HEADER = "X-Request-ID"
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
QUIET = {"healthz", "readyz", "metrics", ""}  # called several times a minute; static files, which have no name


class RequestLogMiddleware:
    """Outermost, so that it sees every answer. The route's name is written, never the address: that names secrets."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        # Not cleared at the end: an answer that streams, such as an export, is still being made then.
        clear_contextvars()
        request_id = _request_id(request)
        bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response[HEADER] = request_id
        _write(request, response, time.perf_counter() - began)
        return response

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_: object) -> None:
        """Who asks for what stands on every line. A page that needs no sign-in asks the database for nobody."""
        bind_contextvars(route=route_of(request))
        if getattr(view, "login_required", True) and request.user.is_authenticated:
            bind_contextvars(person=request.user.pk)


def _request_id(request: HttpRequest) -> str:
    """The proxy's, if there is one to be trusted and it looks like an id; or a new one."""
    given = request.headers.get(HEADER, "") if settings.KVADMIN_TRUSTED_PROXIES else ""
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


def _write(request: HttpRequest, response: HttpResponse, seconds: float) -> None:
    route = route_of(request)
    user = request.__dict__.get("user")
    if type(user) is Person:  # who has just signed in; asking a lazy one would ask the database
        bind_contextvars(person=user.pk)
    if route not in QUIET:
        tallies.request_took(route, response.status_code, seconds)
    facts = {"method": request.method, "route": route, "status": response.status_code, "ms": round(seconds * 1000)}
    quiet = route in QUIET and response.status_code < 400
    logger.log(logging.DEBUG if quiet else logging.INFO, "request", extra=facts)


def route_of(request: HttpRequest) -> str:
    """The name of the address, such as "secret"; "" where there is none."""
    return (request.resolver_match.view_name or "") if request.resolver_match else ""
