"""A secret into another vault: read and written by the server, on record on both sides, and shown to nobody.

Copying needs `secret:copy` here and `secret:set` there. It is a right of its own: whoever may only compare, or only
back up, does not thereby carry a value to where somebody else may reveal it. The reveal policy goes before the right:
what may be shown to nobody here may be copied only to where it may be shown to nobody either, and a laxer policy there
has to be confirmed, by name, and is put on record.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.writes import Written
from vaults import keeping, policy
from vaults.keeping import MANAGED
from vaults.models import Person, RevealPolicy, Secret, Vault
from vaults.moves import on_record
from vaults.newest import Newest, newest
from vaults.reads import read_unseen
from vaults.rules import Refusal
from vaults.wishes import Wish

Mode = RevealPolicy.Mode
NOBODY = "Here nobody may be shown this value, and there the policy would show it. Such a value is not copied there."
UNCONFIRMED = "There the value can be shown more easily than here. Confirm that, or choose another vault."
CHANGED = "The secret was changed since this page was opened, so nothing was copied. Look at it again."
DISABLED = "It is disabled, so Azure does not give its value out. Enable it first."


@dataclass(frozen=True, slots=True)
class Plan:
    """What a copy comes to: what is read, what is there now, and in which ways a value is shown more easily there.

    `same_second`: the ids of all versions of the newest second. Azure's times go no further, and only a read tells
    which of them is the latest. Of a secret with too many versions to know the newest it is empty.
    """

    source: SecretProperties
    same_second: list[str]
    found: Newest
    wish: Wish
    laxer: list[str]


def plan(secret: Secret, vault: Vault, name: str) -> Plan:
    """Look at both sides, without a read of a value. Raises Refusal and GatewayError."""
    listed = keyvault.list_properties_of_secret_versions(secret.vault.uri, secret.name)
    if not listed.versions:
        raise Refusal("gone", "Azure does not show this secret any more.", 404)
    latest = Newest.of(listed, secret.vault, secret.name)
    source, same_second = _latest(secret, listed.versions)
    if latest.cut and latest.properties:
        source, same_second = latest.properties, []
    if source.managed:
        raise Refusal("managed", f"{MANAGED} Copy the certificate instead.")
    if not source.enabled:
        raise Refusal("disabled", DISABLED)
    if vault.pk == secret.vault_id and name.lower() == secret.key:
        raise Refusal("same", "This is the secret itself: choose another vault, or another name.", 422)
    laxer = laxer_there(secret, vault, name)
    found = newest(vault, name)
    if found.properties and found.properties.managed:
        raise Refusal("managed", "There this name belongs to a certificate, and nothing is written over it.")
    return Plan(source, same_second, found, Wish.like(source), laxer)


def _latest(secret: Secret, versions: list[SecretProperties]) -> tuple[SecretProperties, list[str]]:
    """The newest version; of several of one second the one that looks as Azure's list of secrets does."""
    ties = [one for one in versions if one.created_on == versions[0].created_on]
    shown = Wish(secret.content_type, secret.tags, secret.enabled, secret.not_before, secret.expires_on)
    alike = [one for one in ties if Wish.like(one) == shown]
    return (alike or ties)[0], [one.version for one in ties]


def laxer_there(secret: Secret, vault: Vault, name: str) -> list[str]:
    """In which ways the value is shown more easily there. Raises Refusal where it is shown to nobody here.

    Nobody is shown a value without a policy, so that none is as strict as one that forbids it.
    """
    here, there = policy.policy_for(secret.vault, secret.key), policy.policy_for(vault, name.lower())
    if there is None or there.mode == Mode.FORBIDDEN:
        return []
    if here is None or here.mode == Mode.FORBIDDEN:
        raise Refusal("forbidden", NOBODY, 403)
    return [sentence for sentence, holds in _ways(here, there).items() if holds]


def _ways(here: RevealPolicy, there: RevealPolicy) -> dict[str, bool]:
    approved = here.mode == there.mode == Mode.APPROVAL
    spared = sorted(_groups(here) - _groups(there)) if approved else []
    return {
        "Here an approval is needed; there none is.": here.mode == Mode.APPROVAL and there.mode == Mode.DIRECT,
        f"Here {here.approvals_needed} people have to approve; there {there.approvals_needed}.": approved
        and there.approvals_needed < here.approvals_needed,
        f"Here each of these groups has to approve, and there none of them: {', '.join(spared)}.": bool(spared),
        "Here a grant is for one time; there it can be for a while.": approved
        and (here.use, there.use) == (RevealPolicy.Use.ONCE, RevealPolicy.Use.WINDOW),
        f"Here a grant lasts {here.cap_minutes} minutes at most; there {there.cap_minutes}.": approved
        and there.cap_minutes > here.cap_minutes,
        "Here a ticket is needed; there none is.": approved and bool(here.ticket_pattern) and not there.ticket_pattern,
        "There the glass can be broken; here it cannot.": there.break_glass and not here.break_glass,
        "Here the sign-in has to be fresh; there less so.": _fresher(here) < _fresher(there),
    }


def _groups(rule: RevealPolicy) -> set[str]:
    return set(rule.approver_groups.values_list("name", flat=True))


def _fresher(rule: RevealPolicy) -> float:
    """Minutes that a sign-in may be old; endless where the policy does not say."""
    return rule.sign_in_minutes or float("inf")


def copy(
    person: Person, actor: ledger.Actor, secret: Secret, vault: Vault, name: str, planned: Plan, *,
    confirmed: bool, reason: str,
) -> Written:  # fmt: skip
    """Read the value here and write it there, on top of exactly what `planned` found.

    Raises Refusal, which is on record then, LedgerUnavailable and GatewayError. Rights are judged here once more.
    """
    target = ledger.Target(secret.vault.name, secret.key)
    try:
        _may(person, a.SECRET_COPY, secret.vault, secret.key)
        _may(person, a.SECRET_SET, vault, name.lower())
        if planned.laxer and not confirmed:
            raise Refusal("laxer", UNCONFIRMED, 422)
    except Refusal as refusal:
        on_record(refusal, a.SECRET_COPY, actor, target, reason)
        raise
    to = f"{vault.name} / {name.lower()}"
    confirmation = f" Confirmed: {' '.join(planned.laxer)}" if planned.laxer else ""
    note = f"Read to be copied to {to}; shown to nobody.{confirmation}"
    read = read_unseen(a.SECRET_COPY, actor, secret, reason=reason, note=note)
    version = read.properties.version
    if (planned.same_second and version not in planned.same_second) or Wish.like(read.properties) != planned.wish:
        raise Refusal("newer-version", CHANGED)
    said = f"Copied from {secret.vault.name} / {secret.key}, version {version}"
    return keeping.set_secret(
        actor, vault, name, read.value, planned.wish, mark=planned.found.mark, reason=reason, note=said
    )


def _may(person: Person, action: a.Action, vault: Vault, key: str) -> None:
    decision = policy.may(person, action, vault, key)
    if not decision:
        raise Refusal(decision.code, decision.reason, 403)
