"""What a session remembers of a sign-in with Entra: whose it is, and when Entra last confirmed it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from kvadmin.entra import is_on
from kvadmin.entra.claims import Identity

_KEY = "entra"
ASKING = 60.0  # seconds that a check may take before another page asks as well


def confirm(request: HttpRequest, identity: Identity) -> None:
    """Entra has just said who this is and which groups they are in."""
    request.session[_KEY] = {"at": timezone.now().timestamp(), "hint": identity.hint}


def asking(request: HttpRequest) -> None:
    """A check is under way."""
    request.session[_KEY] = {**_mark(request), "asked": timezone.now().timestamp()}


def is_entra(request: HttpRequest) -> bool:
    """Whether this session began with Entra, or belongs to somebody whom only Entra can vouch for."""
    return _KEY in request.session or bool(getattr(request.user, "object_id", ""))


def hint(request: HttpRequest) -> dict[str, str]:
    """The parameter that tells Microsoft which account is meant, so that nobody is asked to choose one."""
    found = _mark(request).get("hint")
    return {"login_hint": found} if found else {}


def is_due(request: HttpRequest) -> bool:
    """Whether Entra must confirm this session before it goes on.

    A page that is opened asks at half the time, so that a form that is sent seldom has to wait for it. While one page
    asks, others that are opened beside it do not: their states would push each other out of the session.
    """
    if not request.user.is_authenticated or not is_entra(request):
        return False
    seconds = settings.KVADMIN_OIDC_RECHECK_MINUTES * 60
    early = request.method == "GET" and not request.headers.get("HX-Request") and not _within(request, "asked", ASKING)
    return not is_on() or not _within(request, "at", seconds / 2 if early else seconds)


def _within(request: HttpRequest, what: str, seconds: float) -> bool:
    """Whether this moment was noted, and is so young. A clock that was set back makes nothing young."""
    at = _mark(request).get(what)
    return isinstance(at, float) and 0 <= timezone.now().timestamp() - at < seconds


def _mark(request: HttpRequest) -> dict[str, Any]:
    found = request.session.get(_KEY)
    return found if isinstance(found, dict) else {}
