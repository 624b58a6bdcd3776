"""Entra itself: which of these groups is this person in, a token that stands for a secret, and the app's own proof."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from azure.core.rest import HttpRequest
from azure.identity import ClientAssertionCredential, ClientSecretCredential
from django.conf import settings

from kvadmin.gateway.classify import Need, call, from_response
from kvadmin.gateway.client import credential, directory_client, transport
from kvadmin.gateway.clouds import cloud

# "You can check up to a maximum of 20 groups per request", and what an application needs for it: Graph's reference of
# directoryObject: checkMemberGroups.
AT_ONCE = 20
NEED = Need(permission="User.Read.All and GroupMember.Read.All")


def assertion() -> str:
    """A token by which kvadmin's own identity vouches for an app registration that trusts it, in place of a secret.

    ("Configure an application to trust a managed identity";
    https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity)

    Raises:
        GatewayError: the identity got no such token.
    """
    return call(lambda: credential().get_token(f"{cloud().exchange}/.default").token)


def prove_app() -> None:
    """The app registration that people sign in with proves itself, as at a sign-in; the token is thrown away.

    Raises:
        GatewayError: its secret, or the identity that vouches for it, is not accepted.
    """
    call(lambda: _app().get_token(f"{cloud().directory}/.default"), Need(identity="the app registration"))


def _app() -> ClientSecretCredential | ClientAssertionCredential:
    tenant, app = settings.KVADMIN_OIDC_TENANT_ID, settings.KVADMIN_OIDC_CLIENT_ID
    if settings.KVADMIN_OIDC_CREDENTIAL == "client-secret":
        secret = settings.KVADMIN_OIDC_CLIENT_SECRET
        return ClientSecretCredential(
            tenant, app, secret, authority=cloud().authority, transport=transport(), retry_total=1
        )
    return ClientAssertionCredential(
        tenant, app, assertion, authority=cloud().authority, transport=transport(), retry_total=1
    )


def member_of(object_id: str, group_ids: Sequence[str]) -> list[str]:
    """Those of the groups that the person is in, directly or through other groups; object ids in lower case.

    Raises:
        GatewayError: Graph did not answer, or not kvadmin.
    """
    return [
        one for start in range(0, len(group_ids), AT_ONCE) for one in _asked(object_id, group_ids[start:][:AT_ONCE])
    ]


def _asked(object_id: str, group_ids: Sequence[str]) -> Iterator[str]:
    url = f"{cloud().directory}/v1.0/users/{object_id}/checkMemberGroups"
    request = HttpRequest("POST", url, json={"groupIds": list(group_ids)})
    response = call(lambda: directory_client().send_request(request), NEED)
    if response.status_code != 200:
        raise from_response(response, NEED)
    found = call(lambda: [str(one).lower() for one in response.json()["value"]], NEED)
    return (one for one in found if one in group_ids)
