"""How fresh a sign-in is. An act that asks for a fresher one leads to signing in again, and nothing typed is lost."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import reverse

from audit import clock, ledger
from kvadmin.actions import Action
from vaults import drafts, policy

BREAK_GLASS_MINUTES = 5  # a policy may ask for less, never for more
_SIGNED_IN_AT = "signed_in_at"


@receiver(user_logged_in, dispatch_uid="kvadmin-step-up")
def remember(sender: object, request: HttpRequest, **kwargs: Any) -> None:
    """Note in the session when its owner proved who they are, in seconds of UTC."""
    request.session[_SIGNED_IN_AT] = clock.now().timestamp()


def proved(request: HttpRequest, at: float | None) -> None:
    """Note when this session's owner proved who they are, where another than kvadmin saw it; None: nobody knows."""
    if at is None:
        request.session.pop(_SIGNED_IN_AT, None)
    else:
        request.session[_SIGNED_IN_AT] = min(float(at), clock.now().timestamp())


def is_fresh(request: HttpRequest, minutes: int) -> bool:
    """Whether the person signed in within so many minutes; 0 asks for nothing. A clock set back makes nothing fresh."""
    if not minutes:
        return True
    at = request.session.get(_SIGNED_IN_AT)
    return isinstance(at, float) and 0 <= clock.now().timestamp() - at < minutes * 60


def require_fresh(
    request: HttpRequest,
    minutes: int,
    back: str,
    action: Action,
    target: ledger.Target,
    move: ledger.Move = ledger.NO_MOVE,
) -> str:
    """The address at which to sign in again, which leads `back`; empty when the sign-in is fresh enough.

    A POST that comes too late is a refused attempt, on record; what its form held waits for the person's return.
    """
    if is_fresh(request, minutes):
        return ""
    if request.method == "POST":
        reason = request.POST.get("reason", "")[:500]
        ledger.refuse(
            action,
            policy.actor(request),
            target,
            code="stale-sign-in",
            note=sentence(minutes),
            reason=reason,
            move=move,
        )
        drafts.keep(request, back)
    return f"{reverse('sign-in-again')}?{urlencode({'next': back})}"


def sentence(minutes: int) -> str:
    within = "minute" if minutes == 1 else f"{minutes} minutes"
    return f"Sign in again: this asks for a sign-in within the last {within}."


def draft(request: HttpRequest, back: str) -> dict[str, str]:
    """What the form on the page `back` held when the sign-in was too old: to be filled in again, for ten minutes."""
    return dict(drafts.of_page(request, back).get("fields", {}))


def forget(request: HttpRequest) -> None:
    """The form was sent and taken."""
    drafts.forget(request)
