"""A session that began with Entra goes on only while Entra says so: every so many minutes it is asked again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect

from kvadmin.entra import is_on, sessions
from kvadmin.http import Request
from vaults import drafts

ALWAYS = {"sign-out", "entra-check", "sign-in-again"}  # the ways out of a session, and to a confirmed one


class RecheckMiddleware:
    """Leads by way of Microsoft, which answers without a page of its own, and back; nothing that was typed is lost.

    Nothing is looked at or done before that: whoever was removed from a group has lost its roles by then.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: Request, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        name = request.resolver_match.url_name if request.resolver_match else ""
        if not getattr(view, "login_required", True) or not sessions.is_due(request):
            return None
        if is_on() and name in ALWAYS:
            return None
        return _ask_entra(request) if is_on() else _sign_out(request)


def _ask_entra(request: Request) -> HttpResponse:
    back = drafts.page_of(request)
    if request.method == "POST":  # Django has seen to it that one of our own pages sent it
        drafts.keep(request, back)
    url = f"{reverse('entra-check')}?{urlencode({'next': back})}"
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)


def _sign_out(request: Request) -> HttpResponse:
    """Sign-in with Entra was turned off, so nobody can say any more whether this person may go on."""
    back = drafts.page_of(request)
    drafts.outlive(request, logout)
    return redirect_to_login(back)
