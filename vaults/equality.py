"""Are two values equal? Yes or no, worked out on the server, on record, and never more often than the rate allows.

Only secrets that exist are compared, and only those of one name: a value that somebody types is never one side. Whoever
may also write in one of the vaults could still guess there; the rate, the record and the reason are what stands
against that.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.values import SecretValue
from vaults import policy, turns
from vaults.models import Person, Secret
from vaults.reads import read_begun

AT_ONCE = 20  # pairs in one request
PER_HOUR = 100  # pairs of one person


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of two secrets' values: "equal", "different" or "unknown", and then why."""

    left: Secret
    right: Secret
    word: str
    why: str = ""


class TooOften(Exception):
    """One person asked for more comparisons in an hour than are allowed."""

    code = "too-many"
    sentence = (
        f"{PER_HOUR} comparisons within an hour are the limit, and with these you would pass it. Try again later."
    )

    def __str__(self) -> str:
        return self.sentence


class NotRead(Exception):
    """The other secret of a pair could not be read, so that this one was not asked for."""

    code = "not-read"


@dataclass
class _Question:
    """One pair: why it is not asked at all, or the two reads that have begun."""

    left: Secret
    right: Secret
    why_not: str
    acts: list[ledger.Attempt] = field(default_factory=list)


def ask(person: Person, actor: ledger.Actor, pairs: Iterable[tuple[Secret, Secret]], *, reason: str) -> list[Answer]:
    """Whether the newest values of each two secrets are equal. Each is read on record; neither is kept or shown.

    What policy or Azure refuses is an answer, too: not known, and why. Raises TooOften, on record, before anything is
    read; LedgerUnavailable.
    """
    questions = [_Question(left, right, _why_not(person, actor, left, right, reason)) for left, right in pairs]
    _begin(person, actor, [question for question in questions if not question.why_not], reason)
    with ExitStack() as acts:
        for act in (act for question in questions for act in question.acts):
            acts.enter_context(ledger.closing(act))
        return [_answer(question) for question in questions]


def _why_not(person: Person, actor: ledger.Actor, left: Secret, right: Secret, reason: str) -> str:
    for secret in (left, right):
        decision = policy.may(person, a.SECRET_COMPARE, secret.vault, secret.key)
        if not decision:
            target = ledger.Target(secret.vault.name, secret.key)
            ledger.refuse(a.SECRET_COMPARE, actor, target, code=decision.code, note=decision.reason, reason=reason)
            return decision.reason
    if left.key != right.key or left.pk == right.pk:
        return "Only two secrets of one name are compared."
    return "" if left.enabled and right.enabled else "One of them is disabled, so Azure does not give its value out."


def _begin(person: Person, actor: ledger.Actor, questions: list[_Question], reason: str) -> None:
    """Count on the ledger itself, which no restart resets, and begin all reads, in one turn of this person's.

    So what they send at once cannot pass the limit together: each count sees what the one before it began.
    """
    with transaction.atomic():
        turns.of_person(person.pk)
        begun = ledger.begun_since(actor, a.SECRET_COMPARE, timezone.now() - timedelta(hours=1))
        within = begun + 2 * len(questions) <= 2 * PER_HOUR
        for question in questions if within else []:
            question.acts = [_intent(actor, secret, reason) for secret in (question.left, question.right)]
    if not within:
        error = TooOften()
        ledger.refuse(a.SECRET_COMPARE, actor, code=error.code, note=error.sentence, reason=reason)
        raise error


def _intent(actor: ledger.Actor, secret: Secret, reason: str) -> ledger.Attempt:
    target = ledger.Target(secret.vault.name, secret.key)
    return ledger.begin(a.SECRET_COMPARE, actor, target, reason=reason, move=ledger.NO_MOVE)


def _answer(question: _Question) -> Answer:
    left, right = question.left, question.right
    if question.why_not:
        return Answer(left, right, "unknown", question.why_not)
    try:
        return Answer(left, right, "equal" if _equal(question) else "different")
    except GatewayError as error:
        return Answer(left, right, "unknown", error.lasting)


def _equal(question: _Question) -> bool:
    """The note of each read names the other secret, so that each row tells the whole question."""
    left, right = question.left, question.right
    notes = [f"Compared with {one.vault.name} / {one.key}; the answer is yes or no." for one in (right, left)]
    first, second = question.acts
    try:
        with ledger.closing(first):
            one = read_begun(first, left, note=notes[0])
    except GatewayError:
        second.failed(NotRead(), note="The other one could not be read.")
        raise
    with ledger.closing(second):
        return same(one.value, read_begun(second, right, note=notes[1]).value)


def same(one: SecretValue, other: SecretValue) -> bool:
    """Whether two values are equal, byte for byte, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _bytes(value: SecretValue) -> bytes:
    return value.expose().encode("utf-8", "surrogatepass")
