"""Manners towards browsers: pages are kept apart from other sites and stored nowhere, bodies have a limit, and a lost
session leads to the sign-in page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, resolve_url
from django.utils.cache import add_never_cache_headers
from django_htmx.http import HttpResponseClientRedirect

from audit.ledger import LedgerUnavailable
from kvadmin import caching, uploads, views
from kvadmin.browsers import browser_name
from kvadmin.http import Request, address, ask_first, body_limit, is_for_an_archive, is_small
from vaults import drafts
from vaults.sessions import SessionStore

logger = logging.getLogger("kvadmin")
GetResponse = Callable[[Any], HttpResponse]


class IsolationMiddleware:
    """No other site may load, embed or share a process with anything of kvadmin: pages, static files, errors alike.

    `Cross-Origin-Opener-Policy` comes from Django. It stands first, so that no answer leaves without these headers.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Cross-Origin-Embedder-Policy"] = "require-corp"
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response


class BodyLimitMiddleware:
    """413 for a body that is larger than its view takes, before anything reads it; see `kvadmin.http.takes_files`.

    Django itself limits the fields of a form and not its files. A body without a length is none to Django. Whether
    somebody may send an archive, and where it goes, is settled here, too, for Django reads a form before its view.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: list[Any], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        most = body_limit(view, request.content_type)
        if length.isdigit() and int(length) > most:
            return views.too_large(request, most)
        return _refusal(request, view, args, kwargs) if is_for_an_archive(view) and request.method == "POST" else None


def _refusal(
    request: HttpRequest, view: Callable[..., HttpResponse], args: list[Any], kwargs: dict[str, Any]
) -> HttpResponse | None:
    """The answer to somebody who may not upload this archive; None: it may be read. A stranger's file never is."""
    request.upload_handlers = uploads.on_disk(request)
    if not request.user.is_authenticated:
        return None if is_small(request) else redirect_to_login(request.get_full_path())
    try:
        ask_first(view, request, *args, **kwargs)
    except Http404 as error:  # with DEBUG, Django would answer by itself
        return views.not_found(request, error)
    return None


class SessionUseMiddleware:
    """Notes from where and with which browser a session is used, and when, as its owner's list of sessions shows it.

    What a page asks for by itself, such as the progress of a sweep, is no use by a person, and keeps no session alive.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        where = address(request), browser_name(request.headers.get("User-Agent", ""))
        session = cast(SessionStore, request.session)
        session.address, session.browser = where
        response = self.get_response(request)
        session = cast(SessionStore, request.session)  # which django-allauth loads anew on the way from Microsoft
        session.address, session.browser = where
        if not request.headers.get("X-By-Itself"):
            session.touch()
        return response


class SignInMiddleware:
    """A lost session: the sign-in page leads back to the page that one was on, with what was typed there.

    htmx gets HX-Redirect, so that no login form lands inside a table. vaults/drafts.py says what of a form is kept.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: Request) -> HttpResponse:
        earlier = drafts.before(request) if request.method == "POST" else None
        response = self.get_response(request)
        if earlier and response.status_code < 400 and request.user.is_authenticated:
            drafts.forget_taken(request, earlier)
        if not _asks_to_sign_in(response) or not (request.htmx or request.method == "POST"):
            return response
        back = drafts.page_of(request)
        if request.method == "POST" and drafts.is_ours(request):
            drafts.keep(request, back)
        where = f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': back})}"
        return HttpResponseClientRedirect(where) if request.htmx else redirect(where)


def _asks_to_sign_in(response: HttpResponse) -> bool:
    """Whether this is the redirect of a page that needs a sign-in; that after a sign-out names no next page."""
    path, _, query = response.headers.get("Location", "").partition("?")
    return response.status_code == 302 and path == resolve_url(settings.LOGIN_URL) and query.startswith("next=")


class NoStoreMiddleware:
    """Every answer of the application itself is `no-store`: names of secrets do not belong in a disk cache either."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        add_never_cache_headers(response)
        return response


class OwnErrorPagesMiddleware:
    """Our own pages for what is no fault of the code, with DEBUG on, too: a demo is run with it.

    Django would show its list of all addresses instead of "nothing here", and every local variable instead of "the
    ledger cannot be written".
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if settings.DEBUG and response.status_code == 404 and request.resolver_match is None:
            return views.not_found(request, Http404())
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, Http404):
            return views.not_found(request, exception)
        if caching.is_away(exception):
            logger.warning("The cache does not answer: %s", type(exception).__name__)
            return views.unavailable(request, caching.AWAY)
        return views.unavailable(request, exception.sentence) if isinstance(exception, LedgerUnavailable) else None
