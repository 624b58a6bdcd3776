"""Entra's token endpoint, as far as kvadmin asks it: a token for a vault, on behalf of a person who showed theirs; and
one for an app registration itself.

The documents that Microsoft's library reads first are here as well. ("OAuth 2.0 On-Behalf-Of flow";
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow)
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import TOKEN_LIFE, Identity, audience_of, claims_of, from_token
from kvadmin.emulator.state import CLOUDS, Azure

HOSTS = frozenset(cloud.authority.removeprefix("https://") for cloud in CLOUDS.values())
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CONFIGURATION = re.compile(r"/[\w-]+/v2\.0/\.well-known/openid-configuration")
TOKEN = re.compile(r"/[\w-]+/oauth2/v2\.0/token")


@dataclass
class _Refused(Exception):
    """Entra's form of an error: a word of OAuth, and the number by which its documentation knows the cause."""

    error: str
    number: int
    text: str
    status: int = 400

    def response(self) -> Response:
        body = {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.text}",
            "error_codes": [self.number],
        }
        return json_response(self.status, body)


def handle(azure: Azure, request: Request) -> Response:
    """The answer to a discovery or to a request for a token; 404 for anything else."""
    if CONFIGURATION.fullmatch(request.path):
        return json_response(200, _configuration(azure, request))
    if request.path == "/common/discovery/instance":
        return json_response(200, {"tenant_discovery_endpoint": "", "metadata": []})
    if request.method != "POST" or not TOKEN.fullmatch(request.path):
        return json_response(404, {"error": "invalid_request", "error_description": "Not found.", "error_codes": [404]})
    try:
        with azure.lock:
            return json_response(200, _token(azure, dict(parse_qsl(request.body.decode()))))
    except _Refused as refused:
        return refused.response()


def _configuration(azure: Azure, request: Request) -> dict[str, str]:
    base = f"https://{request.host}/{azure.tenant_id}"
    return {
        "issuer": f"{base}/v2.0",
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
    }


def _token(azure: Azure, form: dict[str, str]) -> dict[str, object]:
    _require_app(azure, form)
    return _of_app(azure, form) if form.get("grant_type") == "client_credentials" else _on_behalf_of(azure, form)


def _of_app(azure: Azure, form: dict[str, str]) -> dict[str, object]:
    """A token of the app registration itself, which holds no right anywhere here."""
    app = Identity("app", form["client_id"], form["client_id"])
    return {"token_type": "Bearer", "expires_in": TOKEN_LIFE, "access_token": app.token(form["scope"], azure.tenant_id)}


def _on_behalf_of(azure: Azure, form: dict[str, str]) -> dict[str, object]:
    if (form.get("grant_type"), form.get("requested_token_use")) != (GRANT, "on_behalf_of"):
        raise _Refused("unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
    person = _person(azure, form)
    resource = next((scope for scope in form.get("scope", "").split() if scope.endswith("/.default")), "")
    token = replace(person, app_id=form["client_id"]).token(resource, azure.tenant_id)
    return {"token_type": "Bearer", "scope": resource, "expires_in": TOKEN_LIFE, "access_token": token}


def _require_app(azure: Azure, form: dict[str, str]) -> None:
    secret = azure.apps.get(form.get("client_id", ""))
    if secret is None:
        raise _Refused("unauthorized_client", 700016, "Application was not found in the directory.")
    if form.get("client_assertion"):
        if form["client_id"] in azure.distrusting_apps:
            raise _Refused("invalid_client", 700213, "No matching federated identity record found.", 401)
    elif form.get("client_secret") != secret:
        raise _Refused("invalid_client", 7000215, "Invalid client secret provided.", 401)


def _person(azure: Azure, form: dict[str, str]) -> Identity:
    """Who showed this token, which must be theirs, for this app, and in time."""
    try:
        claims, audience = claims_of(form.get("assertion", "")), audience_of(form.get("assertion", ""))
        person = from_token(form.get("assertion", ""))
    except ValueError:
        raise _Refused("invalid_grant", 50013, "Assertion failed signature validation.") from None
    if audience.removeprefix("api://") != form["client_id"] or person.kind != "person":
        raise _Refused("invalid_grant", 500131, "Assertion audience does not match the Client app.")
    if claims["exp"] <= time.time():
        raise _Refused("invalid_grant", 500133, "Assertion is not within its valid time range.")
    if person.object_id in azure.must_sign_in:
        raise _Refused("interaction_required", 50076, "You must use multi-factor authentication to access this.")
    return person
