"""Where second factors are required, a local account without one can do nothing but set one up."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django_htmx.http import HttpResponseClientRedirect

from kvadmin import second_factors
from kvadmin.http import Request

# What one needs in order to set one up, and the ways out.
OPEN = {
    "second-factors", "mfa_activate_totp", "mfa_add_webauthn", "mfa_view_recovery_codes", "sign-out", "sign-in-again",
    "sessions", "end-sessions",
}  # fmt: skip


class SecondFactorMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: Request, view: Callable[..., HttpResponse], args: object, kwargs: object
    ) -> HttpResponse | None:
        name = request.resolver_match.url_name if request.resolver_match else ""
        if not getattr(view, "login_required", True) or name in OPEN or not second_factors.is_missing(request):
            return None
        return HttpResponseClientRedirect("/second-factors/") if request.htmx else redirect("second-factors")
