"""Are two values equal? Yes or no, worked out on the server, on record, and never more often than the rate allows.

Only secrets that exist are compared, and only those of one name: a value that somebody types is never one side. Whoever
may also write in one of the vaults could still guess there; the rate, the record and the reason are what stands
against that.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.values import SecretValue
from vaults import policy
from vaults.models import Person, Secret
from vaults.reads import read_unseen

AT_ONCE = 20  # pairs in one request
PER_HOUR = 100  # pairs of one person
ANSWERS = {"equal": ("ok", "Equal"), "different": ("warn", "Different"), "unknown": ("muted", "Not known")}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of two secrets' values: "equal", "different" or "unknown", and then why."""

    left: Secret
    right: Secret
    word: str
    why: str = ""

    @property
    def tone(self) -> str:
        return ANSWERS[self.word][0]

    @property
    def label(self) -> str:
        return ANSWERS[self.word][1]


class TooOften(Exception):
    """One person asked for more comparisons in an hour than are allowed."""

    code = "too-many"
    sentence = (
        f"{PER_HOUR} comparisons within an hour are the limit, and with these you would pass it. Try again later."
    )

    def __str__(self) -> str:
        return self.sentence


def keep_pace(actor: ledger.Actor, pairs: int, reason: str) -> None:
    """Count on the ledger itself, which no restart resets. Raises TooOften, on record; LedgerUnavailable."""
    since = timezone.now() - timedelta(hours=1)
    done = ledger.begun_since(actor, a.SECRET_COMPARE, since)
    if done + 2 * pairs > 2 * PER_HOUR:
        error = TooOften()
        ledger.refuse(a.SECRET_COMPARE, actor, code=error.code, note=error.sentence, reason=reason)
        raise error


def ask(person: Person, actor: ledger.Actor, left: Secret, right: Secret, *, reason: str) -> Answer:
    """Whether the newest values of two secrets are equal. Each is read on record; neither is kept or shown.

    Raises LedgerUnavailable. What policy or Azure refuses is an answer, too: not known, and why.
    """
    for secret in (left, right):
        decision = policy.may(person, a.SECRET_COMPARE, secret.vault, secret.key)
        if not decision:
            target = ledger.Target(secret.vault.name, secret.key)
            ledger.refuse(a.SECRET_COMPARE, actor, target, code=decision.code, note=decision.reason, reason=reason)
            return Answer(left, right, "unknown", decision.reason)
    if left.key != right.key or left.pk == right.pk:
        return Answer(left, right, "unknown", "Only two secrets of one name are compared.")
    if not (left.enabled and right.enabled):
        return Answer(left, right, "unknown", "One of them is disabled, so Azure does not give its value out.")
    try:
        return Answer(left, right, "equal" if _equal(actor, left, right, reason) else "different")
    except GatewayError as error:
        return Answer(left, right, "unknown", error.lasting)


def _equal(actor: ledger.Actor, left: Secret, right: Secret, reason: str) -> bool:
    """The note of each read names the other secret, so that each row tells the whole question."""
    notes = [f"Compared with {one.vault.name} / {one.key}; the answer is yes or no." for one in (right, left)]
    first = read_unseen(a.SECRET_COMPARE, actor, left, reason=reason, note=notes[0])
    second = read_unseen(a.SECRET_COMPARE, actor, right, reason=reason, note=notes[1])
    return same(first.value, second.value)


def same(one: SecretValue, other: SecretValue) -> bool:
    """Whether two values are equal, byte for byte, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(value: SecretValue) -> bytes:
    return value.expose().encode("utf-8", "surrogatepass")
