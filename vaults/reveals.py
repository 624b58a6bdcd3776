"""The reveal: from a decision to one value in one answer, with its evidence on record before and after."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.on_behalf import OnBehalfOf
from vaults import rights, turns
from vaults.models import Secret


class TooManyReveals(Exception):
    """One person asked for more values in an hour than the settings allow: people read, machines harvest."""

    code = "too-many"

    @property
    def sentence(self) -> str:
        return (
            f"You have seen {settings.KVADMIN_REVEALS_PER_HOUR} values within the last hour, which is the limit. "
            "Try again later, or ask an administrator."
        )

    def __str__(self) -> str:
        return self.sentence


def reveal(
    actor: ledger.Actor, secret: Secret, *, version: str = "", reason: str, own: OnBehalfOf | None = None
) -> keyvault.Read:
    """Read one value from Azure for somebody who may see it; the caller has asked policy.

    In: who, the secret, a version id (empty: the latest), the reason, and the person's own rights, where those are
    used instead of kvadmin's. Out: the value in its wrapper, with the
    version that Azure gave. The intent is committed before Azure is called, the outcome before this returns.
    Requires secrets/get on the vault. Raises TooManyReveals, LedgerUnavailable or a GatewayError; all are on record
    (but for a ledger that cannot be written), and none of them carries the value.
    """
    target = ledger.Target(secret.vault.name, secret.key, version)
    with ledger.closing(_begin(actor, target, reason, rights.word(own))) as act:
        read = keyvault.get_secret(secret.vault.uri, secret.name, version, reveal_id=str(act.id), on_behalf_of=own)
        act.revealed(version=read.properties.version, request_id=read.request_id, region=read.region)
    return read


def is_too_fast(actor: ledger.Actor) -> bool:
    """Whether this person was shown as many values within the hour as they may be, in whatever way.

    Counted on the ledger itself, which no restart resets; the caller holds the person's turn. A grant is held to it as
    well; breaking the glass is not, but counts.
    """
    return ledger.revealed_since(actor, timezone.now() - timedelta(hours=1)) >= settings.KVADMIN_REVEALS_PER_HOUR


def _begin(actor: ledger.Actor, target: ledger.Target, reason: str, whose: str) -> ledger.Attempt:
    """Count and put the intent on record in one turn of this person, so that what they send at once counts as well."""
    begun = None
    try:
        with transaction.atomic(durable=True):
            turns.of_person(int(actor.id))
            if not is_too_fast(actor):
                begun = ledger.begin(a.SECRET_REVEAL, actor, target, reason=reason, move=ledger.NO_MOVE, rights=whose)
    except DatabaseError:
        raise ledger.LedgerUnavailable from None
    if begun is None:
        error = TooManyReveals()
        ledger.refuse(a.SECRET_REVEAL, actor, target, code=error.code, note=error.sentence, reason=reason)
        raise error
    return begun
