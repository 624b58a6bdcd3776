"""Who calls: people, apps and managed identities, and the tokens that they show."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

TENANT_ID = "7c1e3b52-0d4f-4f0e-9a57-3a1f6c2d8e90"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
AZURE_PORTAL = "3686488a-04fc-4d8a-b967-61f98ec41efe"
TOKEN_LIFE = 3600


@dataclass(frozen=True)
class Identity:
    """A caller. `kind` is "person", "app" or "managed-identity"; `address` is where the vault sees it come from."""

    kind: str
    object_id: str
    app_id: str
    upn: str = ""
    name: str = ""
    resource_id: str = ""
    address: str = "203.0.113.7"

    def token(self, audience: str, tenant_id: str = TENANT_ID) -> str:
        """An unsigned JWT for `audience` (a resource or its `/.default` scope), good for an hour of real time."""
        return _token(self, audience.removesuffix("/.default"), tenant_id, int(time.time()) // 600 * 600)

    def claims(self) -> dict[str, Any]:
        """The claims about this caller that Azure's audit log shows, as far as they are set."""
        known = {
            "oid": self.object_id,
            "appid": self.app_id,
            "upn": self.upn,
            "unique_name": self.upn,
            "name": self.name,
            "xms_mirid": self.resource_id,
            "idtyp": "user" if self.kind == "person" else "app",
            "scp": "user_impersonation" if self.kind == "person" else "",
            "ipaddr": self.address,
        }
        return {key: value for key, value in known.items() if value}


KVADMIN = Identity(
    kind="managed-identity",
    object_id="5f0d6a1e-72b4-4c3f-8d19-b0a4e6c7d201",
    app_id="a3c9e871-5d26-4b8a-9f40-1e7b2c6d5f02",
    name="kvadmin",
    resource_id=(
        "/subscriptions/00000000-0000-4000-8000-000000000001/resourcegroups/kvadmin"
        "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kvadmin"
    ),
    address="203.0.113.10",
)


@lru_cache(maxsize=1024)
def _token(identity: Identity, audience: str, tenant_id: str, issued: int) -> str:
    """The token's text; `issued` is rounded by the caller so that it is built once and not per request."""
    issuer = f"https://sts.windows.net/{tenant_id}/"
    life = {"iat": issued, "nbf": issued, "exp": issued + TOKEN_LIFE + 600}
    payload = {"aud": audience, "iss": issuer, "tid": tenant_id, **life, **identity.claims()}
    return f"{_encode({'typ': 'JWT', 'alg': 'none'})}.{_encode(payload)}."


def _encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


@lru_cache(maxsize=1024)
def claims_of(token: str) -> dict[str, Any]:
    """What the token says, unchecked; raises ValueError when it is no JWT. Callers do not change the answer."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError) as error:
        raise ValueError("The token is not a JSON web token.") from error
    if not isinstance(claims, dict):
        raise ValueError("The token holds no claims.")
    return claims


def audience_of(token: str) -> str:
    """The resource that the token is for, without a closing slash; raises ValueError when it is no JWT."""
    return str(claims_of(token).get("aud", "")).rstrip("/")


@lru_cache(maxsize=1024)
def from_token(token: str) -> Identity:
    """The caller that the token names; raises ValueError when it is no JWT."""
    claims = claims_of(token)
    return Identity(
        kind=_kind(claims),
        object_id=str(claims.get("oid", "")),
        app_id=str(claims.get("appid", "")),
        upn=str(claims.get("upn", "")),
        name=str(claims.get("name", "")),
        resource_id=str(claims.get("xms_mirid", "")),
        address=str(claims.get("ipaddr", "")),
    )


def _kind(claims: dict[str, Any]) -> str:
    """A managed identity names its resource; any other token without a user's scope is an app's."""
    if claims.get("xms_mirid"):
        return "managed-identity"
    return "person" if claims.get("scp") else "app"
