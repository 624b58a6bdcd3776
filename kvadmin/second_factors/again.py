"""The second factor when somebody signs in again: a password that was overheard makes no sign-in fresh."""

from __future__ import annotations

import json
from dataclasses import dataclass

from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import AuthenticateWebAuthnForm
from allauth.mfa.webauthn.internal.auth import begin_authentication

from kvadmin.http import Request
from vaults.models import Person

NO_KEY = "This key does not open the account. Take the one that you added, or type a code."


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page asks for beside the password: nothing, a code, or, with `options` for the browser, a key."""

    code: bool = False
    options: str = ""
    error: str = ""


def ask(person: Person, error: str = "") -> Asked:
    """What this person is asked for. `error` says what was wrong with what they gave."""
    held = set(Authenticator.objects.filter(user=person).values_list("type", flat=True))
    if not held:
        return Asked()
    has_key = Authenticator.Type.WEBAUTHN in held
    options = json.dumps(begin_authentication(person)["publicKey"]) if has_key else ""
    return Asked(code=bool(held - {Authenticator.Type.WEBAUTHN}), options=options, error=error)


def wrong(request: Request, person: Person) -> str:
    """What is wrong with the second factor of this POST; "" when it is right, or when the person has none."""
    if not Authenticator.objects.filter(user=person).exists():
        return ""
    key = request.POST.get("credential") and not request.POST.get("code")
    form = (AuthenticateWebAuthnForm if key else AuthenticateForm)(user=person, data=request.POST)
    if form.is_valid():
        form.save()
        return ""
    return NO_KEY if key else str(form.errors["code"][0])
