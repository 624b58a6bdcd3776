"""django-allauth's OpenID Connect provider for exactly one tenant of Entra, built from the settings alone."""

from __future__ import annotations

import json
import secrets
from functools import cached_property
from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Client
from allauth.socialaccount.providers.oauth2.utils import generate_code_challenge
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.utils import build_absolute_uri
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from kvadmin.entra import PROVIDER_ID, claims
from kvadmin.gateway import entra
from kvadmin.gateway.errors import GatewayError

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DESCRIBED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")


def app() -> SocialApp:
    """The registration in Entra, from the settings. No row of the database can add another."""
    return SocialApp(
        provider=OpenIDConnectProvider.id,
        provider_id=PROVIDER_ID,
        name="Microsoft",
        client_id=settings.KVADMIN_OIDC_CLIENT_ID,
        secret=settings.KVADMIN_OIDC_CLIENT_SECRET,
        settings={"server_url": settings.KVADMIN_OIDC_ISSUER},
    )


class EntraClient(OAuth2Client):  # type: ignore[misc] # allauth ships no types
    """Exchanges the code for tokens, as the app registration: by its secret, or by kvadmin's own identity."""

    def get_access_token(self, code: str, pkce_code_verifier: str | None = None) -> dict[str, Any]:
        proof = _vouched_for()
        try:
            tokens = super().get_access_token(code, pkce_code_verifier, proof)
        except (KeyError, TypeError):  # no content type, or JSON that is no object: allauth presumes both
            raise claims.unreadable() from None
        return _object(tokens, "access_token")


def _vouched_for() -> dict[str, str]:
    if settings.KVADMIN_OIDC_CREDENTIAL == "client-secret":
        return {}
    try:
        token = entra.assertion()
    except GatewayError as error:
        raise claims.Refused(
            f"own-identity-{error.code}",
            "kvadmin's own identity cannot vouch for it at Microsoft, so nobody can sign in there.",
            f"Ask {settings.KVADMIN_CONTACT} to look at KVADMIN_OIDC_CREDENTIAL. Emergency accounts still work.",
        ) from None
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


class EntraAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc] # allauth ships no types
    """Where Entra is asked, and how its answer is read."""

    basic_auth = False  # the secret goes into the form, as Entra has it

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request, PROVIDER_ID)

    def get_provider(self) -> EntraProvider:
        return EntraProvider(self.request, app=app())

    def get_client(self, request: HttpRequest, app: SocialApp) -> EntraClient:
        """Its address is not looked up yet: allauth calls this where it has no page for what may fail then."""
        return EntraClient(request, app.client_id, app.secret, "POST", "", self.get_callback_url(request, app))

    def get_access_token_data(
        self, request: HttpRequest, app: SocialApp, client: EntraClient, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        client.access_token_url = self.access_token_url
        tokens: dict[str, Any] = super().get_access_token_data(request, app, client, pkce_code_verifier)
        return tokens

    def parse_token(self, data: dict[str, Any]) -> SocialToken:
        """allauth wants one. It is not stored, and when it runs out is nobody's concern here."""
        return SocialToken(token=data["access_token"])

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        url: str = build_absolute_uri(request, reverse("entra-callback"), self.redirect_uri_protocol)
        return url

    @cached_property
    def openid_config(self) -> dict[str, Any]:
        """The provider's own description. It must be the issuer's that the settings name."""
        config = _object(_fetched(self.get_provider().server_url), *DESCRIBED)
        if config["issuer"] != settings.KVADMIN_OIDC_ISSUER:
            raise claims.Refused(
                "wrong-issuer",
                "Sign-in with Microsoft is set up for another tenant than the one that answers.",
                f"Ask {settings.KVADMIN_CONTACT}: KVADMIN_OIDC_TENANT_ID must be the tenant's id.",
            )
        return config

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any) -> SocialLogin:
        """The sign-in that the ID token stands for. Graph's userinfo is not asked.

        The access token is of use only where kvadmin acts on behalf of people: see vaults/rights.py.
        """
        keys = _fetched(self.openid_config["jwks_uri"])
        found = claims.verified(str(kwargs["response"].get("id_token", "")), keys)
        login = self.get_provider().sociallogin_from_response(request, found)
        login.answer = kwargs["response"]
        return login


def _fetched(url: str) -> Any:
    with get_adapter().get_requests_session() as session:
        answer = session.get(url)
        answer.raise_for_status()
        return answer.json()


def _object(answer: Any, *names: str) -> dict[str, Any]:
    """The answer, if it is an object that has these texts. Raises Refused."""
    if not isinstance(answer, dict) or not all(isinstance(answer.get(name), str) for name in names):
        raise claims.unreadable()
    return answer


class EntraProvider(OpenIDConnectProvider):  # type: ignore[misc] # allauth ships no types
    """One tenant, with nonce and PKCE in every request, and no parameter taken from a URL."""

    oauth2_adapter_class = EntraAdapter

    def get_oauth2_adapter(self, request: HttpRequest) -> EntraAdapter:
        return EntraAdapter(request)

    def get_default_scope(self) -> list[str]:
        """What is asked for at the sign-in; with kvadmin's own scope, where it acts on behalf of people."""
        scope: list[str] = super().get_default_scope()
        return scope if settings.KVADMIN_ON_BEHALF_OF == "off" else [*scope, settings.KVADMIN_ON_BEHALF_OF_SCOPE]

    def get_pkce_params(self) -> dict[str, str]:
        params: dict[str, str] = generate_code_challenge()
        return params

    def ask(
        self, request: HttpRequest, process: str, next_url: str, data: dict[str, Any], **params: str
    ) -> HttpResponse:
        """A redirect to Microsoft. `params` go along; `data` and the nonce wait in the session for the answer."""
        nonce = secrets.token_urlsafe(32)
        response: HttpResponse = self.redirect(
            request, process, next_url=next_url, data=data, auth_params={**params, "nonce": nonce}, nonce=nonce
        )
        return response

    def sociallogin_from_response(self, request: HttpRequest, response: dict[str, Any]) -> SocialLogin:
        """allauth's object, which carries the claims along until the adapter looks at them; no row holds them."""
        login = super().sociallogin_from_response(request, response)
        login.claims = response
        return login

    def extract_uid(self, data: dict[str, Any]) -> str:
        """`sub` differs from app to app in Entra: tenant and object id are who somebody is."""
        return f"{data.get('tid')}/{data.get('oid')}"[:191]

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        return []


def context_claims() -> dict[str, str]:
    """The parameter that asks Entra for an authentication context of Conditional Access, when one is set."""
    if not settings.KVADMIN_OIDC_AUTH_CONTEXT:
        return {}
    wanted = {"essential": True, "value": settings.KVADMIN_OIDC_AUTH_CONTEXT}
    return {"claims": json.dumps({"id_token": {"acrs": wanted}})}
