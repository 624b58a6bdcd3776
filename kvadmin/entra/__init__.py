"""Signing in with Microsoft Entra ID: django-allauth's OpenID Connect, with what it leaves open closed here.

A nonce is sent and checked, PKCE is always on, nothing of a URL reaches the request to Microsoft, only one tenant is
let in, and the ID token's signature and claims are checked. People are known by tenant and object id, never by e-mail.
"""

from __future__ import annotations

from django.conf import settings

PROVIDER_ID = "entra"


def is_on() -> bool:
    """Whether people can sign in with Entra."""
    return bool(settings.KVADMIN_OIDC_CLIENT_ID)
