"""Whether a deleted secret can be purged, and why not: known before anybody types a word, not after Azure refuses."""

from __future__ import annotations

from kvadmin import actions as a
from vaults import policy
from vaults.approvers import approvers, missing
from vaults.models import DeletedSecret, Person, RevealPolicy, RevealRequest, Secret
from vaults.rules import Refusal

State = DeletedSecret.State


def why_not(item: DeletedSecret) -> str:
    """Why nobody can purge this now, as one sentence; "" when Azure would allow it to whoever has the right.

    The recovery level of the secret decides, as Azure tells it; where it is not known, the vault's own setting.
    """
    if item.is_pending:
        return f"Not now: the secret is {item.get_state_display().lower()}, and Azure is not done yet."
    if item.managed:
        return "It belongs to a certificate, and is purged with it."
    protected = "Purgeable" not in item.recovery_level if item.recovery_level else item.vault.purge_protection
    if protected:
        day = f"{item.scheduled_purge_on:%Y-%m-%d}" if item.scheduled_purge_on else "its scheduled day"
        return f"The vault has purge protection: nobody can purge it, and Azure does so on {day}."
    return ""


def askable(by: Person, secret: Secret) -> RevealPolicy:
    """The policy under which this person may ask for the approval of a purge. Raises Refusal."""
    if not policy.may(by, a.SECRET_PURGE, secret.vault, secret.key):
        raise Refusal("no-role-here", "You hold no role that may purge this.", 403)
    item = deletion_of(secret)
    if item is None:
        raise Refusal("not-deleted", "The secret is not among the deleted ones, so there is nothing to purge.")
    if why := why_not(item):
        raise Refusal("not-purgeable", why)
    rule = approval_rule(item)
    if rule is None:
        raise Refusal("not-needed", "The policy here asks for no approval: you may purge it yourself.")
    if why := missing(rule, approvers(secret, by)):
        raise Refusal("no-approver", why)
    return rule


def approval_rule(item: DeletedSecret) -> RevealPolicy | None:
    """The policy that asks for an approval before this is purged; None where none does."""
    rule = policy.policy_for(item.vault, item.key)
    return rule if rule and rule.purge_approval else None


def void(request: RevealRequest) -> str:
    """Why a request to purge no longer has a ground to stand on; empty when it has. Votes are looked at elsewhere."""
    secret = request.secret
    if not request.requester.is_active or not policy.may(request.requester, a.SECRET_PURGE, secret.vault, secret.key):
        return "The person who asked no longer holds a role that may purge here."
    item = deletion_of(secret)
    if item is None or item.state == State.RECOVERING:
        return "The secret is not among the deleted ones any more."
    if item.deleted_on and item.deleted_on > request.asked_at:
        return "The secret was recovered and deleted again since this was asked."
    rule = approval_rule(item)
    return "" if rule and rule.pk == request.policy_id else "The policy here has changed."


def deletion_of(secret: Secret) -> DeletedSecret | None:
    return DeletedSecret.objects.filter(vault=secret.vault_id, key=secret.key).select_related("vault").first()
