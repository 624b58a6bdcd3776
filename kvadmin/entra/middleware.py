"""A session that began with Entra goes on only while Entra says so: every so many minutes it is asked again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from kvadmin.entra import is_on, sessions
from vaults import step_up

ALWAYS = {"sign-out", "entra-check", "sign-in-again"}  # the ways out of a session, and to a confirmed one

CONFIRMED = "Microsoft has confirmed your sign-in, which was due. Nothing was done meanwhile: send the form once more."


class RecheckMiddleware:
    """Leads by way of Microsoft, which answers without a page of its own, and back; nothing that was typed is lost.

    Nothing is looked at or done before that: whoever was removed from a group has lost its roles by then.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        name = request.resolver_match.url_name if request.resolver_match else ""
        if not getattr(view, "login_required", True) or name in ALWAYS or not sessions.is_due(request):
            return None
        return _ask_entra(request) if is_on() else _sign_out(request)


def _ask_entra(request: HttpRequest) -> HttpResponse:
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined] # django_htmx's middleware sets it
    back = _page_of(request, htmx)
    if request.method == "POST":
        step_up.keep(request, back)
        messages.info(request, CONFIRMED)
    url = f"{reverse('entra-check')}?{urlencode({'next': back})}"
    return HttpResponseClientRedirect(url) if htmx else redirect(url)


def _page_of(request: HttpRequest, htmx: HtmxDetails) -> str:
    """The page that the person is on: what is asked for, or where the form or the fragment belongs."""
    if htmx:
        return htmx.current_url_abs_path or reverse("home")
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    origin = f"{request.scheme}://{request.get_host()}"
    referrer = request.headers.get("Referer", "")
    return referrer.removeprefix(origin) if referrer.startswith(f"{origin}/") else reverse("home")


def _sign_out(request: HttpRequest) -> HttpResponse:
    """Sign-in with Entra was turned off, so nobody can say any more whether this person may go on."""
    logout(request)
    return redirect_to_login(request.get_full_path() if request.method == "GET" else reverse("home"))
