"""A person's own rights: clients of vaults that act on behalf of whoever is signed in, so that Azure's log names them.

Each read has a credential of its own, which nothing holds on to when Azure has answered: no token, and no refresh token
that Microsoft may have sent along, outlives the session it came from, in whatever process that ends. It also means
that no two people can share one: azure-identity once handed out the token of another account from a shared cache
(azure-sdk-for-python #49001, #49533). The price is asking Microsoft for a token anew each time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azure.identity import OnBehalfOfCredential
from azure.keyvault.secrets import SecretClient
from django.conf import settings

from kvadmin.gateway import client, entra
from kvadmin.gateway.clouds import cloud


@dataclass(frozen=True, slots=True)
class OnBehalfOf:
    """For whom a call is made: the token that this person has for kvadmin, and their tenant. It shows in no repr."""

    tenant_id: str
    assertion: str = field(repr=False)


def secret_client(vault_uri: str, of: OnBehalfOf) -> SecretClient:
    """A client of this vault with the rights of one person, for one read.

    Raises:
        Refused: no address of a vault in this cloud.
    """
    return client.client_of(client.vault_host(vault_uri), _credential(of))


def _credential(of: OnBehalfOf) -> OnBehalfOfCredential:
    return OnBehalfOfCredential(
        of.tenant_id,
        settings.KVADMIN_OIDC_CLIENT_ID,
        user_assertion=of.assertion,
        authority=cloud().authority,
        transport=client.transport(),
        retry_total=1,
        additionally_allowed_tenants=list(settings.KVADMIN_ALLOWED_TENANTS),
        **_app(),
    )


def _app() -> dict[str, Any]:
    """How the app registration proves itself: as at the sign-in, by its secret or by kvadmin's own identity."""
    if settings.KVADMIN_OIDC_CREDENTIAL == "client-secret":
        return {"client_secret": settings.KVADMIN_OIDC_CLIENT_SECRET}
    return {"client_assertion_func": entra.assertion}
