"""Second factors of local accounts: codes of an authenticator app, security keys, and recovery codes.

Whoever signs in with Entra has theirs there. django-allauth does the work; the pages are ours.
"""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from vaults.models import Person

MAIN = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
_KNOWN = "second_factor"


def is_local(person: Person | AnonymousUser) -> bool:
    """Whether this person signs in by name and password, and nobody else vouches for them."""
    return isinstance(person, Person) and not person.object_id


def has_one(person: Person) -> bool:
    return bool(Authenticator.objects.filter(user=person, type__in=MAIN).exists())


def is_missing(request: HttpRequest) -> bool:
    """Whether this person must set up a second factor before anything else. The session remembers that one exists."""
    person = request.user
    if not settings.KVADMIN_REQUIRE_SECOND_FACTOR or not isinstance(person, Person) or not is_local(person):
        return False
    if not request.session.get(_KNOWN):
        if not has_one(person):
            return True
        request.session[_KNOWN] = True
    return False


def look_again(request: HttpRequest) -> None:
    """One was removed: the session must not go on believing that there is one."""
    request.session.pop(_KNOWN, None)
