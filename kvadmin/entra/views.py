"""On the way to Microsoft and back: signing in, signing in again, and the silent check of a session that goes on."""

from __future__ import annotations

import time
from typing import Any

import requests
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.providers.base import ProviderException
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST, require_safe

from kvadmin.entra import is_on, pages, sessions
from kvadmin.entra.adapter import AGAIN, CHECK, SIGN_IN
from kvadmin.entra.provider import EntraAdapter, EntraProvider, app, context_claims
from kvadmin.http import next_page


@require_POST
@login_not_required
def sign_in(request: HttpRequest) -> HttpResponse:
    """Begin a sign-in. A POST, so that no link from elsewhere can begin one.

    Microsoft remembers who was signed in, and asks for another account only when it is told to.
    """
    params = {"prompt": "select_account"} if request.POST.get("account") == "another" else {}
    return _lead(request, "login", SIGN_IN, **params)


def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Ask Entra to have this session's person prove anew who they are. The caller has seen to POST and CSRF."""
    params = {"prompt": "login", "max_age": "0", **sessions.hint(request), **context_claims()}
    return _lead(request, "redirect", AGAIN, **params)


@require_safe
def check(request: HttpRequest) -> HttpResponse:
    """Ask Entra, without a page of its own, whether this session may go on. Changes nothing by itself."""
    if not sessions.is_entra(request):
        raise Http404
    sessions.asking(request)
    return _ask(request, "redirect", CHECK, prompt="none", **sessions.hint(request))


@require_safe
@login_not_required
def callback(request: HttpRequest) -> HttpResponse:
    """Entra's answer, which counts for the session that asked only: allauth finds its state there, once."""
    _require_on()
    response: HttpResponse = OAuth2CallbackView.adapter_view(EntraAdapter(request))(request)
    return response


def _lead(request: HttpRequest, process: str, purpose: str, **params: str) -> HttpResponse:
    response = _ask(request, process, purpose, **params)
    return pages.leaving(request, response["Location"]) if response.status_code == 302 else response


def _ask(request: HttpRequest, process: str, purpose: str, **params: str) -> HttpResponse:
    _require_on()
    provider = EntraProvider(request, app=app())
    data: dict[str, Any] = {"for": purpose, "at": time.time(), "person": request.user.pk}
    try:
        return provider.ask(request, process, next_page(request), data, **params)
    except (requests.RequestException, OAuth2Error, ProviderException) as error:
        # What the provider says of itself could not be read.
        context = {"state": {"data": data, "next": next_page(request)}}
        failed: HttpResponse = render_authentication_error(request, provider, exception=error, extra_context=context)
        return failed


def _require_on() -> None:
    if not is_on():
        raise Http404
