"""Some use of the demo before anybody looks, through the product itself: reveals that Azure's log then explains."""

from __future__ import annotations

from audit.models import AccessEvent
from kvadmin import actions as a
from kvadmin.demo.people import actor, named
from kvadmin.gateway.errors import GatewayError
from vaults import policy, requests, reveals
from vaults.models import LogState, Secret

REASONS = (
    "INC-2041: the nightly import cannot sign in to its database",
    "INC-2041: comparing with the value that the job was given",
    "CHG-318: the partner asked us to confirm the key in use",
    "Setting up a developer's machine",
    "INC-2057: refunds are refused by the bank's gateway",
    "CHG-325: moving the job to the new cluster",
)

# Who asks for something in which vault, and why.
ASKED = (
    ("reader", "identity-prod", "INC-2063: sign-in is slow, and the directory's account is locked"),
    ("secrets-user", "identity-prod", "CHG-331: renewing the signing key of the sessions"),
)


def reveal_some() -> int:
    """The Secrets User looks at a few values, as the policies allow; how many of these reads Azure's log will show."""
    shown = [secret for secret, reason in zip(_some(), REASONS, strict=False) if _reveal(secret, reason)]
    return sum(secret.vault.log_state == LogState.OK for secret in shown)


def _some() -> list[Secret]:
    """One secret here, one there, spread over what this person may see directly."""
    person = named("secrets-user")
    enabled = (
        policy.visible_secrets(person).filter(enabled=True, vanished_at=None).select_related("vault__subscription")
    )
    allowed = [secret for secret in enabled if policy.may(person, a.SECRET_REVEAL, secret.vault, secret.key)]
    return allowed[:: max(1, len(allowed) // len(REASONS))][: len(REASONS)]


def _reveal(secret: Secret, reason: str) -> bool:
    try:
        reveals.reveal(actor(named("secrets-user")), secret, reason=reason)
    except GatewayError:
        return False  # on record, as a failure of Azure's
    return True


def ask_for_some() -> int:
    """Two people ask for values that an approval opens, so that the approvers' inbox has something in it."""
    return sum(_ask(who, vault, reason) for who, vault, reason in ASKED)


def _ask(username: str, vault: str, reason: str) -> bool:
    person = named(username)
    enabled = policy.visible_secrets(person).filter(vault__name=vault, enabled=True, vanished_at=None, managed=False)
    secret = enabled.select_related("vault__subscription").order_by("key").first()
    if secret is None:
        return False
    requests.ask(person, actor(person), secret, reason=reason, ticket=reason.split(":", maxsplit=1)[0], minutes=30)
    return True


def explained() -> int:
    """How many reads Azure's log has shown that the ledger explains."""
    return AccessEvent.objects.filter(match=AccessEvent.Match.EXPLAINED).count()
