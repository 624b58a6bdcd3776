"""The ID token: what must hold before it is believed, and what it says about a person. Nothing here asks anybody."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Any

import jwt
from allauth.socialaccount.providers.base import ProviderException
from django.conf import settings

ALGORITHMS = ["RS256"]  # what Entra signs with; an algorithm that the token itself names is not believed
LEEWAY_SECONDS = 60
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Refused(ProviderException):  # type: ignore[misc] # allauth ships no types
    """A sign-in that is not let in: a code for the log, and one sentence for the person with what to do."""

    def __init__(self, code: str, sentence: str, advice: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in, as Entra tells. `auth_time` is when they last proved it, in seconds of UTC, or None.

    `roles` are values of app roles, `groups` object ids in lower case; `groups_left_out`: they are too many for the
    token. `contexts` are the authentication contexts that were satisfied.
    """

    tenant_id: str
    object_id: str
    user_name: str
    first_name: str
    last_name: str
    email: str
    hint: str
    auth_time: int | None
    roles: frozenset[str]
    groups: frozenset[str]
    groups_left_out: bool
    contexts: frozenset[str]


def verified(token: str, keys: dict[str, Any]) -> dict[str, Any]:
    """The token's claims, when one of the provider's keys signed it, for kvadmin, and it has not run out.

    Raises:
        Refused: any of that does not hold.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_key(token, jwt.PyJWKSet.from_dict(keys).keys),
            algorithms=ALGORITHMS,
            audience=settings.KVADMIN_OIDC_CLIENT_ID,
            issuer=settings.KVADMIN_OIDC_ISSUER,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        if claims["aud"] not in (settings.KVADMIN_OIDC_CLIENT_ID, [settings.KVADMIN_OIDC_CLIENT_ID]):
            raise jwt.InvalidAudienceError  # somebody else's as well
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
        # The library raises others than its own for keys and headers that are no proper JSON.
        raise _not_believed(type(error).__name__) from None
    return claims


def _key(token: str, keys: list[jwt.PyJWK]) -> jwt.PyJWK:
    """The key that the token names. It may leave the name out where there is only one. (OpenID Connect Core, 10.1)"""
    kid = jwt.get_unverified_header(token).get("kid")
    found = [key for key in keys if key.key_id == kid or (kid is None and len(keys) == 1)]
    if len(found) != 1:
        raise jwt.InvalidKeyError
    return found[0]


def identity_of(claims: dict[str, Any], nonce: str) -> Identity:
    """Whom verified claims are about. `nonce` is the one that this browser's session sent.

    Raises:
        Refused: the token answers another request, or is about somebody of another tenant.
    """
    if not nonce or not hmac.compare_digest(_text(claims, "nonce").encode(), nonce.encode()):
        raise _not_believed("wrong-nonce")
    tenant, person = _text(claims, "tid").lower(), _text(claims, "oid").lower()
    if tenant != settings.KVADMIN_OIDC_TENANT_ID:
        raise Refused(
            "wrong-tenant",
            "This account belongs to another organisation, and kvadmin lets only its own in.",
            "Sign in with your account of this organisation. Microsoft may offer it under “Use another account”.",
        )
    if not GUID.fullmatch(person):
        raise _not_believed("no-object-id")
    return _identity(claims, tenant, person)


def _identity(claims: dict[str, Any], tenant: str, person: str) -> Identity:
    first, _, last = _text(claims, "name").partition(" ")
    at = claims.get("auth_time")
    return Identity(
        tenant_id=tenant,
        object_id=person,
        user_name=_text(claims, "preferred_username")[:130],
        first_name=(_text(claims, "given_name") or first)[:150],
        last_name=(_text(claims, "family_name") or last)[:150],
        email=_text(claims, "email")[:254],
        hint=_text(claims, "login_hint") or _text(claims, "preferred_username"),
        auth_time=at if isinstance(at, int) and not isinstance(at, bool) else None,
        roles=_texts(claims, "roles"),
        groups=frozenset(group.lower() for group in _texts(claims, "groups")),
        groups_left_out=_left_out(claims),
        contexts=_texts(claims, "acrs"),
    )


def _left_out(claims: dict[str, Any]) -> bool:
    """Whether Entra sent a pointer in place of the groups, as it does for somebody in more than 200 of them."""
    elsewhere = claims.get("_claim_names")
    return bool(claims.get("hasgroups")) or (isinstance(elsewhere, dict) and "groups" in elsewhere)


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.replace("\x00", "").strip() if isinstance(value, str) else ""


def _texts(claims: dict[str, Any], name: str) -> frozenset[str]:
    value = claims.get(name)
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return frozenset(one for one in values if isinstance(one, str) and one)


def unreadable() -> Refused:
    """An answer of the provider's server that is not what it should be."""
    return Refused(
        "unreadable",
        "Microsoft's answer could not be read, so nothing was done with it.",
        f"Try again shortly. If it happens every time, tell {settings.KVADMIN_CONTACT} the code below.",
    )


def _not_believed(code: str) -> Refused:
    return Refused(
        code,
        "Microsoft's answer does not belong to the sign-in that was started here, so it was not believed.",
        f"Start again. If it happens every time, tell {settings.KVADMIN_CONTACT} the code below.",
    )
