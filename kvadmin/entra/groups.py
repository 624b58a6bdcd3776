"""Which of kvadmin's groups somebody is in, by the app roles and groups that Entra tells."""

from __future__ import annotations

from django.conf import settings

from kvadmin.entra.claims import GUID, Identity, Refused
from kvadmin.gateway import entra
from kvadmin.gateway.errors import GatewayError


def of(identity: Identity) -> set[str]:
    """The names of kvadmin's groups that KVADMIN_OIDC_GROUPS maps these claims to.

    An object id is only looked for among the groups, and anything else only among the app roles: whoever can name a
    group as they like must not be able to name it as an app role.

    Raises:
        Refused: the groups did not fit into the token, and cannot be asked for.
    """
    mapping = settings.KVADMIN_OIDC_GROUPS
    by_group = {key.lower(): name for key, name in mapping.items() if GUID.fullmatch(key)}
    names = {name for key, name in mapping.items() if not GUID.fullmatch(key) and key in identity.roles}
    mine = identity.groups
    if identity.groups_left_out and by_group:
        mine = _asked(identity, sorted(by_group))
    return names | {name for key, name in by_group.items() if key in mine}


def _asked(identity: Identity, wanted: list[str]) -> frozenset[str]:
    """Which of these groups the person is in, by Microsoft Graph."""
    if not settings.KVADMIN_OIDC_GRAPH:
        raise Refused(
            "too-many-groups",
            "You are in more groups than Microsoft tells kvadmin at a sign-in, so your roles are not known.",
            f"Ask {settings.KVADMIN_CONTACT} for an app role, which is always told, or to let kvadmin ask for your "
            "groups (KVADMIN_OIDC_GRAPH).",
        )
    try:
        return frozenset(entra.member_of(identity.object_id, wanted))
    except GatewayError as error:
        raise Refused(
            f"groups-{error.code}",
            "Microsoft did not tell kvadmin your groups, so your roles are not known.",
            f"Try again shortly. If it stays so, tell {settings.KVADMIN_CONTACT}: kvadmin's identity needs "
            "User.Read.All and GroupMember.Read.All on Microsoft Graph.",
        ) from None
