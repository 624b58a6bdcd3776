"""Pages on the way to Microsoft and back: one that leads there, and one that says why it did not work."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from kvadmin.entra.claims import Refused

# Microsoft's codes that people meet, in words. ("Microsoft Entra authentication and authorization error codes";
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes)
CANCELLED = (
    "You did not go through with the sign-in at Microsoft.",
    "Nothing was changed. Start again if you like.",
)
MEANINGS = {
    "access_denied": CANCELLED,
    "AADSTS65004": CANCELLED,
    "AADSTS50105": (
        "Your organisation lets only people in who are assigned to kvadmin, and you are not.",
        "Ask {contact} to assign you, or a group of yours, to the app in Entra.",
    ),
    "AADSTS65001": (
        "Your organisation has not agreed yet that kvadmin may read who you are.",
        "Ask {contact}: an administrator of Entra grants consent to the app once.",
    ),
    "AADSTS90094": (
        "Your organisation has not agreed yet that kvadmin may read who you are.",
        "Ask {contact}: an administrator of Entra grants consent to the app once.",
    ),
    "AADSTS53003": (
        "A rule of your organisation (Conditional Access) does not allow this sign-in.",
        "Try from a device and a network that it allows, or ask {contact}.",
    ),
    "AADSTS50020": (
        "This account belongs to another organisation, and kvadmin lets only its own in.",
        "Sign in with your account of this organisation.",
    ),
    "AADSTS700016": (
        "Microsoft does not know kvadmin under the id that it is set to.",
        "Ask {contact}: KVADMIN_OIDC_CLIENT_ID or KVADMIN_OIDC_TENANT_ID is wrong.",
    ),
    "AADSTS7000215": (
        "kvadmin's own credential for Microsoft is wrong, so nobody can sign in with it.",
        "Ask {contact}: KVADMIN_OIDC_CLIENT_SECRET must be the secret's value, not its id.",
    ),
    "AADSTS7000222": (
        "kvadmin's own credential for Microsoft has run out, so nobody can sign in with it.",
        "Ask {contact} for a new KVADMIN_OIDC_CLIENT_SECRET. Emergency accounts still work.",
    ),
}
NO_MEANING = (
    "Microsoft did not complete the sign-in.",
    "Start again. If it happens every time, tell {contact} the code below.",
)


def leaving(request: HttpRequest, url: str) -> HttpResponse:
    """A page that leads to Microsoft.

    A redirect as the answer to a form would be refused by our own content security policy, which lets forms go to
    kvadmin only; and where a tenant sends people on to servers of its own, no list could name them.
    """
    return render(request, "entra_leaving.html", {"url": url})


def failed(request: HttpRequest, refused: Refused, code: str, back: str) -> HttpResponse:
    """403, with the reason in a sentence, and a code for whoever is asked. `back` is where the sign-in would lead."""
    context = {"refused": refused, "code": code or refused.code, "next": back, "next_query": urlencode({"next": back})}
    return render(request, "entra_failed.html", context, status=403)
