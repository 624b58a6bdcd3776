"""What happens with Entra's answer: a sign-in, a sign-in again, or a silent check of one that goes on."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import requests
from allauth.account.signals import user_logged_in
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from kvadmin.entra import claims, groups, pages, sessions
from kvadmin.entra.claims import Identity, Refused
from vaults import drafts, membership, rights, step_up
from vaults.models import Person

logger = logging.getLogger("kvadmin.entra")
SECONDS = 10  # that Entra may take for one answer
SIGN_IN, AGAIN, CHECK = "sign-in", "again", "check"
# Entra cannot confirm a session without showing a page. (OpenID Connect Core 1.0, 3.1.2.6)
ASKS_PERSON = {"login_required", "interaction_required", "consent_required", "account_selection_required"}
# The refusals that end the session which they are about. Where Entra is merely out of reach, a session that is due
# waits, and may do nothing meanwhile.
ENDING = {AGAIN: {"no-role", "closed"}, CHECK: {"no-role", "closed", "other-person", "wrong-tenant"}}
NOT_NOW = {429, *range(500, 600)}
ENTRA_CODE = re.compile(r"AADSTS\d{4,7}")


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc] # allauth ships no types
    def list_apps(self, request: HttpRequest, provider: Any = None, client_id: Any = None) -> list[Any]:
        """None: kvadmin's one registration comes from its settings, and no row of the database adds another."""
        return []

    def get_requests_session(self) -> requests.Session:
        session = _Session()
        session.verify = settings.KVADMIN_CA_FILE or True
        return session

    def is_auto_signup_allowed(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Look at who it is, and do what this answer was asked for. Raises Refused, which becomes a page."""
        state = sociallogin.state
        identity = claims.identity_of(sociallogin.claims, nonce=str(state.get("nonce") or ""))
        asked: dict[str, Any] = state.get("data") or {}
        sociallogin.identity = identity
        sociallogin.user = PURPOSES[asked.get("for", "")](request, identity, asked)
        if asked["for"] != SIGN_IN:  # whose session begins later
            rights.keep(request, sociallogin.answer)

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: Any = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        """Every failure is one clear page, and a line in the log that holds no claim."""
        state = (extra_context or {}).get("state") or {}
        if not state and request.user.is_authenticated and not sessions.is_due(request):
            # "Back" after a sign-in, or a page beside this one was quicker: the session is as good as before.
            messages.info(request, "Microsoft's answer came late, or twice, so nothing was done with it.")
            raise ImmediateHttpResponse(redirect("home"))
        told = _told(request, exception)
        refused = exception if isinstance(exception, Refused) else _in_words(exception, told, known=bool(state))
        logger.warning("Sign-in with Entra failed: %s %s", refused.code, told)
        purpose = str((state.get("data") or {}).get("for"))
        if purpose == CHECK and request.GET.get("error") in ASKS_PERSON:
            raise ImmediateHttpResponse(_to_the_sign_in(request, state))
        if refused.code in ENDING.get(purpose, ()):
            logout(request)
        raise ImmediateHttpResponse(pages.failed(request, refused, told, _back(state)))


class _Session(requests.Session):
    """A session that waits for no answer longer than SECONDS, and is led nowhere else with a code or a secret."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Raises HTTPError for "not now", which says nothing of the sign-in itself."""
        kwargs.setdefault("timeout", SECONDS)
        kwargs["allow_redirects"] = False
        response = super().request(*args, **kwargs)
        if response.status_code in NOT_NOW:
            response.raise_for_status()
        return response


# --- What an answer may be for ---------------------------------------------------------------------------------------


def _sign_in(request: HttpRequest, identity: Identity, asked: dict[str, Any]) -> Person:
    """The person, in the groups that Entra tells; allauth signs them in then."""
    return _renewed(identity)


def _again(request: HttpRequest, identity: Identity, asked: dict[str, Any]) -> Person:
    """The same person has just proved anew who they are, by Entra's own word, which kvadmin checks."""
    person = _same(request, identity, asked)
    _just_now(identity, float(asked.get("at") or 0))
    _renewed(identity)
    sessions.confirm(request, identity)
    step_up.proved(request, identity.auth_time)
    return person


def _check(request: HttpRequest, identity: Identity, asked: dict[str, Any]) -> Person:
    """Entra confirms that the session's person may go on, and in which groups. It makes no sign-in fresher."""
    person = _same(request, identity, asked)
    _renewed(identity)
    sessions.confirm(request, identity)
    return person


PURPOSES: dict[str, Callable[[HttpRequest, Identity, dict[str, Any]], Person]] = {
    SIGN_IN: _sign_in,
    AGAIN: _again,
    CHECK: _check,
}


def _renewed(identity: Identity) -> Person:
    """The account with the names and groups of this answer. Raises Refused when none of the groups is kvadmin's."""
    person = membership.known(identity)
    if person and not person.is_active:
        raise Refused("closed", "Your account in kvadmin is closed.", f"Ask {settings.KVADMIN_CONTACT}.")
    names = groups.of(identity)
    if names:
        return membership.join(identity, names)
    if person:
        membership.leave(person)
    raise Refused(
        "no-role",
        "You are signed in with Microsoft, but no role in kvadmin is meant for you, so you cannot come in.",
        f"Ask {settings.KVADMIN_CONTACT} for an app role, or for membership of a group that has one. "
        "Then sign in again: it may take Microsoft some minutes.",
    )


def _same(request: HttpRequest, identity: Identity, asked: dict[str, Any]) -> Person:
    """The person of this session, if it is they who asked and they who answered."""
    person = request.user
    if not isinstance(person, Person) or asked.get("person") != person.pk:
        raise Refused("other-session", "Meanwhile you were signed out, or somebody else signed in.", "Start again.")
    if (person.tenant_id, person.object_id) != (identity.tenant_id, identity.object_id):
        raise Refused(
            "other-person",
            f"At Microsoft somebody else is signed in than {person}, whose session this is.",
            f"Choose the account of {person} at Microsoft, or sign out here first.",
        )
    return person


def _just_now(identity: Identity, asked_at: float) -> None:
    """Raises Refused unless Entra says that the person was asked, after kvadmin asked Entra to do so."""
    if identity.auth_time is None:
        raise Refused(
            "no-auth-time",
            "Microsoft did not tell when you proved who you are, so this sign-in does not count as fresh.",
            f"Ask {settings.KVADMIN_CONTACT}: the app registration needs the optional claim auth_time in its ID token.",
        )
    if not asked_at - claims.LEEWAY_SECONDS <= identity.auth_time <= time.time() + claims.LEEWAY_SECONDS:
        raise Refused(
            "stale-auth-time",
            "Microsoft did not ask you to prove anew who you are, so this sign-in does not count as fresh.",
            f"Try again. If Microsoft never asks, tell {settings.KVADMIN_CONTACT}.",
        )
    if not _is_strong(identity):
        wanted = settings.KVADMIN_OIDC_AUTH_CONTEXT
        raise Refused(
            "no-auth-context",
            "Microsoft did not confirm the stronger sign-in that this asks for.",
            f"Ask {settings.KVADMIN_CONTACT} to look why: authentication context {wanted} of Conditional Access.",
        )


def _is_strong(identity: Identity) -> bool:
    """Whether the authentication context that a fresh sign-in needs, if one is set, was satisfied."""
    wanted = settings.KVADMIN_OIDC_AUTH_CONTEXT
    return not wanted or wanted in identity.contexts


@receiver(user_logged_in, dispatch_uid="kvadmin-entra")
def _signed_in(request: HttpRequest, sociallogin: SocialLogin | None = None, **kwargs: Any) -> None:
    """Note in the new session what Entra said. A sign-in is as old as Entra says, not as young as the session.

    Where a fresh one has to be stronger, an ordinary one is none, however young.
    """
    if sociallogin is not None:
        identity = sociallogin.identity
        sessions.confirm(request, identity)
        step_up.proved(request, identity.auth_time if _is_strong(identity) else None)
        rights.keep(request, sociallogin.answer)


# --- When it fails ---------------------------------------------------------------------------------------------------


def _back(state: dict[str, Any]) -> str:
    return str(state.get("next") or reverse("home"))


def _told(request: HttpRequest, exception: Exception | None) -> str:
    """The error's code in Microsoft's own words, such as AADSTS50105, else OpenID's; nothing that could be prose."""
    text = f"{request.GET.get('error_description', '')} {exception or ''}"
    found = ENTRA_CODE.search(text)
    return found[0] if found else re.sub(r"[^a-z_]", "", request.GET.get("error", "").lower())[:40]


def _in_words(exception: Exception | None, told: str, *, known: bool) -> Refused:
    if not known:
        return Refused(
            "unknown-state",
            "This sign-in was not started in this browser, or it took longer than ten minutes.",
            "Start again.",
        )
    if isinstance(exception, requests.JSONDecodeError):
        return claims.unreadable()
    if isinstance(exception, requests.RequestException):
        return Refused(
            "unreachable", "Microsoft cannot be reached at the moment.", "Try again shortly. Nothing was changed."
        )
    sentence, advice = pages.MEANINGS.get(told, pages.NO_MEANING)
    return Refused("told-by-entra", sentence, advice.format(contact=settings.KVADMIN_CONTACT))


def _to_the_sign_in(request: HttpRequest, state: dict[str, Any]) -> HttpResponse:
    drafts.outlive(request, logout)
    messages.info(request, "Microsoft asks you to sign in again. You come back to where you were.")
    return redirect(f"{reverse('sign-in')}?{urlencode({'next': _back(state)})}")
