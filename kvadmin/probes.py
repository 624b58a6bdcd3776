"""What machines ask: is it up, can it work, and its numbers."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from kvadmin import migrating
from kvadmin.metrics import collect

PATHS = {"/healthz", "/readyz", "/metrics"}


class ProbesMiddleware:
    """Answers them before the host's name is looked at, and before there is a session.

    Orchestrators call by an address that KVADMIN_ALLOWED_HOSTS does not know. No answer depends on it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info not in PATHS:
            return self.get_response(request)
        request.resolver_match = found = resolve(request.path_info)
        answer: HttpResponse = found.func(request)
        return answer


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up. Asks nothing of anybody else."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """The process can work: its database answers, and is not older than the code."""
    try:
        behind = migrating.behind()
    except (DatabaseError, InterfaceError):
        return HttpResponse("The database does not answer.\n", status=503, content_type="text/plain")
    if behind:
        return HttpResponse("The database waits for its migrations.\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text, for whoever brings KVADMIN_METRICS_TOKEN; without that setting there is no such page."""
    if not settings.KVADMIN_METRICS_TOKEN:
        return HttpResponse("There is nothing here.\n", status=404, content_type="text/plain")
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not constant_time_compare(token.strip(), settings.KVADMIN_METRICS_TOKEN):
        return HttpResponse(
            "A bearer token is needed.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return HttpResponse(collect.text(), content_type=CONTENT_TYPE_LATEST)
