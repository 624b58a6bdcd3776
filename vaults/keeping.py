"""The acts that change one secret: each is on record before Azure is called, and its outcome after.

Whoever calls has asked policy. A Refusal is on record when it is raised, and so is what Azure refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction

from audit import clock, ledger
from audit.models import AccessEvent, LedgerEntry
from kvadmin import actions as a
from kvadmin.actions import Action
from kvadmin.gateway import deleted, keyvault, writes
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.values import SecretValue
from kvadmin.gateway.writing import Answer, Written
from vaults import limbo, rows
from vaults.models import OPEN, DeletedSecret, RevealRequest, Secret, Vault
from vaults.moves import locked, on_record, settle
from vaults.newest import Newest, newest, one_version
from vaults.rules import Refusal
from vaults.turns import turn
from vaults.wishes import Wish, changes, in_words

UNKNOWN = "It is not known whether Azure has done it all the same: look at the secret before you try again."


class Unrecorded(ledger.LedgerUnavailable):
    """Azure has done it, and the outcome cannot be written: the intent alone is on record."""

    sentence = (
        "Azure has done it, but the ledger cannot be written now: only the intent is on record. Tell an administrator."
    )


MANAGED = "This secret belongs to a certificate. It is renewed, changed and deleted with the certificate, not here."


# --- A new version ---------------------------------------------------------------------------------------------------
def set_secret(
    actor: ledger.Actor, vault: Vault, name: str, value: SecretValue, wish: Wish, *, mark: str, reason: str,
    note: str = "",
) -> Written:  # fmt: skip
    """Write a new version, or a new secret, on top of exactly what the person was shown (`Newest.mark`).

    `note` says for the ledger what it is, where it is more than that.

    Raises Refusal "newer-version" with who wrote it, "exists", "managed" or "busy"; LedgerUnavailable; GatewayError.
    """
    with acting(a.SECRET_SET, actor, vault, name, reason):
        found = newest(vault, name)
        _unchanged(vault, name, found, mark)
        note = note or ("New version" if mark else "New")
        return _write(actor, vault, name, value, wish, found, reason=reason, note=note)


def _unchanged(vault: Vault, name: str, found: Newest, mark: str) -> None:
    if found.properties and found.properties.managed:
        raise Refusal("managed", MANAGED)
    if found.mark != mark:
        code = "newer-version" if mark else "exists"
        raise Refusal(code, _overtaken(vault, name, found, mark))


def _overtaken(vault: Vault, name: str, found: Newest, mark: str) -> str:
    """What happened meanwhile, and who did it."""
    if found.properties is None:
        return "The secret was deleted since you opened this page, so nothing was written."
    who = writer(vault, name.lower(), found.properties)
    if mark:
        return f"{who} since you opened this page, so nothing was written. Look at it, then send yours again."
    return f"There is a secret of this name already, so nothing was written: {who[0].lower()}{who[1:]}."


def writer(vault: Vault, key: str, properties: SecretProperties) -> str:
    """Who wrote a version, and when, as far as kvadmin's ledger or Azure's log tell."""
    when = f"{properties.created_on:%Y-%m-%d %H:%M:%S}Z" if properties.created_on else "a time that Azure does not tell"
    by = _by(vault, key, properties.version) or "Somebody whom the access log has not shown yet"
    return f"{by} wrote {f'version {properties.version}' if properties.version else 'the newest version'} at {when}"


def _by(vault: Vault, key: str, version: str) -> str:
    if not version:
        return ""
    done = LedgerEntry.objects.filter(vault=vault.name, secret=key, version=version, phase=LedgerEntry.Phase.DONE)
    if person := done.filter(action=a.SECRET_SET.word).values_list("person", flat=True).first():
        return f"{person}, through kvadmin,"
    sets = AccessEvent.objects.filter(vault=vault.name, name=key, version=version, operation=a.SECRET_SET.operation)
    event = sets.filter(outcome=AccessEvent.Outcome.OK).first()
    return (event.person or event.who) if event else ""


def done(act: ledger.Attempt, note: str, answer: Written | Answer[Any]) -> None:
    """Put the outcome on record, with Azure's evidence. Raises Unrecorded."""
    version = answer.properties.version if isinstance(answer, Written) else ""
    try:
        act.done(note=note, version=version, request_id=answer.request_id, region=answer.region)
    except ledger.LedgerUnavailable:
        act.closed = True  # it did not fail, and no second row could be written either
        raise Unrecorded from None


def _write(
    actor: ledger.Actor,
    vault: Vault,
    name: str,
    value: SecretValue,
    wish: Wish,
    found: Newest,
    *,
    reason: str,
    note: str,
) -> Written:
    """One call to Azure, within the turn."""
    words = in_words(changes(found.wish, wish))
    with ledger.attempt(a.SECRET_SET, actor, ledger.Target(vault.name, name.lower()), reason=reason) as act:
        written = writes.set_secret(
            vault.uri, name, value, content_type=wish.content_type, tags=wish.tags, enabled=wish.enabled,
            not_before=wish.not_before, expires_on=wish.expires_on, act_id=str(act.id),
        )  # fmt: skip
        done(act, f"{note}. {words}", written)
    rows.store(vault, written.properties)
    return written


def roll_back(actor: ledger.Actor, secret: Secret, version: str, wish: Wish, *, mark: str, reason: str) -> Written:
    """Write the value of an old version anew, as the newest one. It is read for that, on record, and shown to nobody.

    Raises as `set_secret`, and "disabled" where Azure does not give the old value out.
    """
    vault, name = secret.vault, secret.name
    with acting(a.SECRET_SET, actor, vault, name, reason):
        found = newest(vault, name)
        _unchanged(vault, name, found, mark)
        with ledger.attempt(a.SECRET_SET, actor, ledger.Target(vault.name, secret.key, version), reason=reason) as act:
            read = keyvault.get_secret(vault.uri, name, version, reveal_id=str(act.id))
            act.read(
                version=version, request_id=read.request_id, region=read.region,
                note="Read to be written anew; shown to nobody.",
            )  # fmt: skip
        note = f"Rolled back to version {version}"
        return _write(actor, vault, name, read.value, wish, found, reason=reason, note=note)


# --- Properties ------------------------------------------------------------------------------------------------------
def update(actor: ledger.Actor, secret: Secret, version: str, wish: Wish, *, before: Wish, reason: str) -> Written:
    """Change what differs of one version's properties, without a new version.

    `before`: what the person was shown. Raises Refusal, LedgerUnavailable, GatewayError.
    """
    vault, target = secret.vault, ledger.Target(secret.vault.name, secret.key, version)
    with acting(a.SECRET_UPDATE, actor, vault, secret.name, reason):
        asked = changed(before, wish)
        found, is_newest = one_version(vault, secret.name, version)
        if found.managed:
            raise Refusal("managed", MANAGED)
        if Wish.like(found) != before:
            raise Refusal("changed", "Somebody has changed these properties since you opened this page. Look again.")
        with ledger.attempt(a.SECRET_UPDATE, actor, target, reason=reason) as act:
            written = writes.update_secret_properties(vault.uri, secret.name, version, act_id=str(act.id), **asked)
            words = in_words(changes(before, wish))
            done(act, words, written)
        if is_newest:
            rows.store(vault, written.properties)
    return written


def changed(before: Wish, after: Wish) -> dict[str, Any]:
    """The properties that differ, as update_secret_properties takes them. Raises Refusal for what Azure cannot do."""
    names = ("content_type", "tags", "enabled", "not_before", "expires_on")
    asked = {name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)}
    if not asked:
        raise Refusal("no-change", "Nothing would change.", 422)
    for name, label in (("not_before", "a start"), ("expires_on", "an expiry")):
        if name in asked and asked[name] is None:
            raise Refusal("not-clearable", f"Azure cannot take {label} away from a version: {CLEAR}", 422, name)
    return asked


CLEAR = "give it another date, or write a new version without one."


# --- Delete and recover ----------------------------------------------------------------------------------------------
def delete(actor: ledger.Actor, secret: Secret, *, reason: str) -> DeletedSecret:
    """Delete a secret with all of its versions. Azure is done later: see vaults/limbo.py."""
    with acting(a.SECRET_DELETE, actor, secret.vault, secret.name, reason):
        if secret.managed:
            raise Refusal("managed", MANAGED)
        with ledger.attempt(a.SECRET_DELETE, actor, ledger.Target(secret.vault.name, secret.key), reason=reason) as act:
            answer = deleted.begin_delete_secret(secret.vault.uri, secret.name, act_id=str(act.id))
            purged_on = _day(answer.found.scheduled_purge_on)
            done(act, f"Azure is deleting it. Purged by Azure on {purged_on}.", answer)
        return limbo.deleting(secret.vault, answer.found, actor.name)


def recover(actor: ledger.Actor, item: DeletedSecret, *, reason: str) -> DeletedSecret:
    """Bring a deleted secret back with all of its versions. Azure is done later: see vaults/limbo.py."""
    with acting(a.SECRET_RECOVER, actor, item.vault, item.name, reason):
        item = still_there(item)
        recoverable(item)
        with ledger.attempt(a.SECRET_RECOVER, actor, ledger.Target(item.vault.name, item.key), reason=reason) as act:
            answer = deleted.begin_recover_deleted_secret(item.vault.uri, item.name, act_id=str(act.id))
            done(act, "Azure is recovering it, with all of its versions.", answer)
        limbo.goes(item, DeletedSecret.State.RECOVERING, actor.name)
    _settle_purges(item)
    return item


def _settle_purges(item: DeletedSecret) -> None:
    """Requests to purge it have lost their ground: they are closed at once."""
    mine = RevealRequest.objects.filter(act=RevealRequest.Act.PURGE, state__in=OPEN)
    for pk in mine.filter(secret__vault=item.vault_id, secret__key=item.key).values_list("pk", flat=True):
        with transaction.atomic():
            settle(locked(pk), clock.now())


def recoverable(item: DeletedSecret) -> None:
    """Raise Refusal for what cannot be recovered now."""
    if item.state != DeletedSecret.State.DELETED:
        raise Refusal("state", f"This is not possible now: the secret is {item.get_state_display().lower()}.")
    if item.managed:
        raise Refusal("managed", "This secret belongs to a certificate: recover the certificate, and it comes back.")


def still_there(item: DeletedSecret) -> DeletedSecret:
    """The row as it is now, within the turn. Raises Refusal when somebody was faster."""
    fresh = DeletedSecret.objects.select_related("vault__subscription").filter(pk=item.pk).first()
    if fresh is None:
        raise Refusal("gone", "The secret is not among the deleted ones any more: it was recovered, or purged.")
    return fresh


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else "a day that Azure does not tell"


# --- Underneath ------------------------------------------------------------------------------------------------------
@contextmanager
def acting(action: Action, actor: ledger.Actor, vault: Vault, name: str, reason: str) -> Iterator[None]:
    """The turn for one secret; a Refusal from within is put on record as it leaves."""
    try:
        with turn(vault, name.lower(), actor.name):
            yield
    except Refusal as refusal:
        on_record(refusal, action, actor, ledger.Target(vault.name, name.lower()), reason)
        raise
