"""Pages that belong to no app: sign-in and sign-out, help, health, and what is shown when something goes wrong."""

from __future__ import annotations

import sys
from typing import Any, cast

from allauth.account.adapter import get_adapter
from allauth.account.views import LoginView
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from structlog.contextvars import get_contextvars

from audit.ledger import LedgerUnavailable
from kvadmin import actions
from kvadmin.entra import is_on, sessions
from kvadmin.entra import views as entra_views
from kvadmin.http import NotThere, Request, next_page
from kvadmin.second_factors import again
from kvadmin.sign_in import DEMO_ACCOUNTS, SignInForm, demo_is_on
from vaults import drafts, policy
from vaults.models import Person, Role
from vaults.models.role import ROLE_ACTIONS
from vaults.views.roles import signed_in

SORRY = "Something in kvadmin broke, and nothing was changed by this page. Try again."


class SignIn(LoginView):  # type: ignore[misc] # allauth ships no types
    """The sign-in page; in a demo with one button for each role beside the form."""

    template_name = "sign_in.html"
    form_class = SignInForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        accounts = DEMO_ACCOUNTS if demo_is_on() else ()
        context: dict[str, Any] = super().get_context_data(**kwargs)
        waits = drafts.waits(self.request)
        return context | {"accounts": accounts, "next": _next(self.request), "entra": is_on(), "draft_waits": waits}


@require_POST
@login_not_required
def demo_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in as one of the demo's accounts, without its password. Exists only in a demo."""
    name = request.POST.get("name", "")
    if not demo_is_on() or name not in {account.name for account in DEMO_ACCOUNTS}:
        raise Http404
    person = get_object_or_404(Person, username=name, is_active=True)
    get_adapter(request).login(request, person)
    return redirect(next_page(request))


@require_http_methods(["GET", "POST"])
def sign_in_again(request: Request) -> HttpResponse:
    """Ask the person who is signed in to prove anew who they are, because an act wants a fresher sign-in.

    Entra asks its own people; who has a password here is asked for that.
    """
    person = signed_in(request)
    if sessions.is_entra(request):
        return _sign_in_again_with_entra(request)
    given = {"login": person.get_username(), "password": request.POST.get("password", "")}
    form = SignInForm(given if request.method == "POST" else None, request=request)
    error = ""
    if request.method == "POST" and form.is_valid() and form.user == person:
        error = again.wrong(request, person)
        if not error:
            get_adapter(request).login(request, person)
            return redirect(next_page(request))
    account = next((one for one in DEMO_ACCOUNTS if demo_is_on() and one.name == person.get_username()), None)
    context = {"form": form, "person": person, "account": account, "next": _next(request)}
    context |= {"second": again.ask(person, error)}
    return render(request, "sign_in_again.html", context, status=422 if form.errors or error else 200)


def _sign_in_again_with_entra(request: Request) -> HttpResponse:
    if request.method == "POST":
        return entra_views.sign_in_again(request)
    return render(request, "sign_in_again.html", {"person": request.user, "entra": True, "next": _next(request)})


def _next(request: HttpRequest) -> str:
    return (request.POST if request.method == "POST" else request.GET).get("next", "")[:500]


@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """Shortcuts, roles and words, for somebody who has just arrived."""
    roles = [(role, sorted(ROLE_ACTIONS[role], key=list(actions.ACTIONS.values()).index)) for role in Role]
    return render(request, "help.html", {"roles": roles})


# --- When something goes wrong ---------------------------------------------------------------------------------------
# An htmx request is answered with the sentence alone, as plain text: static/kvadmin.js shows it as a message, and the
# page stays as it was.


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 400, "kvadmin could not make sense of this request.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403. A PermissionDenied that was raised with a reason shows it; the reason is always our own sentence."""
    reason = str(exception) if isinstance(exception, PermissionDenied) else ""
    return _answer(
        request, 403, reason or "You may not do this.", "403.html", recorded=isinstance(exception, policy.Refused)
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404. Says nothing about existence: only NotThere's text is for the person, any other may name what is hidden."""
    sentence = str(exception) if isinstance(exception, NotThere) else "There is nothing here that you may see."
    return _answer(request, 404, sentence, "404.html")


def too_large(request: HttpRequest, most: int) -> HttpResponse:
    """413: a body of more than `most` bytes, none of which was read."""
    size = f"{most // 2**20} MB" if most >= 2**20 else f"{most // 2**10} KB"
    return _answer(request, 413, f"This is too much for one request: it takes {size} at most. Nothing was changed.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a page that was open for too long. What was typed there is kept; a lost session leads to the sign-in."""
    match = request.resolver_match
    if match and getattr(match.func, "login_required", True) and not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    back = ""
    if request.user.is_authenticated and drafts.is_ours(request):
        back = drafts.page_of(cast(Request, request))
        drafts.keep(request, back)
    sentence = "This page was open for too long. Reload it, and try again."
    return _answer(request, 403, sentence, "403_csrf.html", back=back)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 when the database (and with it the ledger) is out of reach. Asks the database for nothing."""
    error = sys.exc_info()[1]
    if isinstance(error, LedgerUnavailable):
        return unavailable(request, error.sentence)
    if isinstance(error, (OperationalError, InterfaceError)):
        return _answer(request, 503, "kvadmin's database does not answer, so nothing was done. Try again shortly.")
    return _answer(request, 500, SORRY, request_id=str(get_contextvars().get("request_id", "")))


def unavailable(request: HttpRequest, sentence: str) -> HttpResponse:
    """503: what cannot be recorded, or counted, is not done."""
    return _answer(request, 503, sentence)


def _answer(
    request: HttpRequest, status: int, sentence: str, template: str = "", **context: bool | str
) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(sentence, status=status, content_type="text/plain")
    # Only these two show who is signed in; the others must work when the database does not.
    within = request if template in {"403.html", "404.html"} else None
    page = render_to_string(template or f"{status}.html", {"sentence": sentence, **context}, within)
    return HttpResponse(page, status=status)
