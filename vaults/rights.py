"""Whose rights in Azure a reveal uses: kvadmin's, or, where the settings say so, those of the person who is signed in.

KVADMIN_ON_BEHALF_OF=direct: the person's where no approval is needed; a grant is what kvadmin's own rights are for.
always: the person's, by a grant as well. Breaking the glass falls back on kvadmin's where the person has no token: in
an emergency a local account must do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from audit import clock, ledger
from audit.models import LedgerEntry
from kvadmin import actions as a
from kvadmin.gateway.errors import error_for
from kvadmin.gateway.on_behalf import OnBehalfOf
from vaults import policy
from vaults.models import Person, RevealRequest

SPARE_SECONDS = 60  # a token that ends sooner would end on the way
_TOKEN = "own_token"  # noqa: S105 - a name
NO_ACCOUNT = (
    "Values are shown with your own rights in Azure here, and this account has none: sign in with Microsoft instead."
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What a page says of it. `own`: the person's; else kvadmin's."""

    own: bool

    @property
    def sentence(self) -> str:
        return (
            "Azure is asked with your own rights, and its log names you."
            if self.own
            else "Azure is asked with kvadmin's rights, and the ledger names you."
        )


def word(own: OnBehalfOf | None) -> str:
    """As the ledger has it."""
    return LedgerEntry.Rights.PERSON if own else ""


def keep(request: HttpRequest, answer: dict[str, Any]) -> None:
    """Keep the token of a sign-in, out of Entra's `answer`, in this session: which is encrypted, and ends with it."""
    token, seconds = answer.get("access_token"), str(answer.get("expires_in"))[:9]
    if settings.KVADMIN_ON_BEHALF_OF == "off" or not isinstance(token, str):
        request.session.pop(_TOKEN, None)
        return
    life = int(seconds) if seconds.isdecimal() else 0
    request.session[_TOKEN] = {"token": token, "until": clock.now().timestamp() + life}


def said(grant: RevealRequest | None) -> Rights | None:
    """What the reveal's page says before; None where people's own rights are never used, and nothing is to be said."""
    return None if settings.KVADMIN_ON_BEHALF_OF == "off" else Rights(own=_wanted(grant))


def used(own: OnBehalfOf | None) -> Rights | None:
    """What stands beside a value that was read so."""
    return None if settings.KVADMIN_ON_BEHALF_OF == "off" else Rights(own=own is not None)


def of(request: HttpRequest, grant: RevealRequest | None, target: ledger.Target) -> OnBehalfOf | None:
    """The person's own rights, where this reveal uses them; None: it uses kvadmin's.

    Raises:
        SignInFailed: they are needed, and the session has no token in force; on record as a refused attempt.
    """
    own = _own(request) if _wanted(grant) else None
    if own or not _wanted(grant) or (grant and grant.kind == RevealRequest.Kind.BREAK_GLASS):
        return own
    error = error_for("own-sign-in", sentence="" if _person(request).object_id else NO_ACCOUNT, definite=True)
    reason = request.POST.get("reason", "")[:500]
    ledger.refuse(a.SECRET_REVEAL, policy.actor(request), target, code=error.code, note=error.sentence, reason=reason)
    raise error


def _own(request: HttpRequest) -> OnBehalfOf | None:
    kept, person = request.session.get(_TOKEN) or {}, _person(request)
    if not person.object_id or not kept or clock.now().timestamp() >= kept["until"] - SPARE_SECONDS:
        return None
    return OnBehalfOf(person.tenant_id, kept["token"])


def _person(request: HttpRequest) -> Person:
    person = request.user
    assert isinstance(person, Person)  # noqa: S101 - a view that shows values is for who is signed in
    return person


def _wanted(grant: RevealRequest | None) -> bool:
    return settings.KVADMIN_ON_BEHALF_OF == "always" or (settings.KVADMIN_ON_BEHALF_OF == "direct" and grant is None)
