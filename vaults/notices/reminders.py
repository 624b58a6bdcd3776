"""Reminders of an expiry: to the owner by tag and to whoever asked for them, once for each stage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from kvadmin import actions as a
from kvadmin.jobs import task
from vaults import policy, rotation, search
from vaults.models import ExpiryWatch, Person, ReminderSent, Secret
from vaults.notices import mail
from vaults.notices.words import Notice, link

STAGES = (0, 1, 7, 14, 30)  # days before; 0: it has expired
JUST_DAYS = 7  # an expiry that is longer ago was told, or nobody listened
MOST = 200  # lines of one mail; the others come the next day
TRIES = 9


def queue_reminders() -> int:
    """Queue a look for everybody who owns or watches something that is due; how many those are."""
    if not mail.is_open():
        return 0
    people = _listeners()
    with transaction.atomic():
        for pk in people:
            mail_reminders.enqueue(pk)
    return len(people)


def _listeners() -> list[int]:
    """Whoever watches a secret, and whoever an owner's tag may name: people with an address."""
    owners = set()
    if Secret.objects.filter(_due(timezone.now()), search.tagged(settings.KVADMIN_OWNER_TAG)).exists():
        owners = set(Person.objects.filter(is_active=True).exclude(email="").values_list("pk", flat=True))
    watching = ExpiryWatch.objects.filter(person__is_active=True).values_list("person_id", flat=True).distinct()
    return sorted(owners | set(watching))


def _due(now: datetime) -> Q:
    near = Q(expires_on__gt=now - timedelta(days=JUST_DAYS), expires_on__lte=now + timedelta(days=max(STAGES)))
    return near & Q(enabled=True, managed=False, vanished_at=None, vault__vanished_at=None)


@dataclass(frozen=True, slots=True)
class Due:
    """A secret that has come to one of STAGES."""

    secret: Secret
    expires_on: datetime
    stage: int


@task(retries=TRIES)
def mail_reminders(person_id: int) -> int:
    """Mail one person what has come to a stage that they were not told of; how many secrets those are.

    They must be allowed to see a secret, whatever its tag says. What was told is noted after the mail has gone: a
    crash in between tells it twice rather than never.
    """
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    if person is None or not mail.has_address(person):
        return 0
    fresh = _untold(person, _reached(person, timezone.now()))[:MOST]
    if not fresh or not mail.send(person, reminder(fresh)):
        return 0
    told = [
        ReminderSent(
            person=person, vault=due.secret.vault, key=due.secret.key, expires_on=due.expires_on, stage=due.stage
        )
        for due in fresh
    ]
    ReminderSent.objects.bulk_create(told, ignore_conflicts=True)
    return len(fresh)


def _reached(person: Person, now: datetime) -> list[Due]:
    """Their secrets that are due, each with the latest stage that it has come to."""
    names = {name.lower() for name in (person.email, person.username, str(person)) if name}
    wanted = Q(pk__in=[])
    for name in names:
        wanted |= search.tagged(settings.KVADMIN_OWNER_TAG, name)
    watched = set(ExpiryWatch.objects.filter(person=person).values_list("vault_id", "key"))
    wanted |= Q(key__in={key for _, key in watched})
    visible = Secret.objects.filter(policy.reach(person, a.SECRET_LIST)).filter(_due(now), wanted)
    return [
        Due(secret, secret.expires_on, stage_of(secret.expires_on, now))
        for secret in visible.select_related("vault").order_by("expires_on", "pk")
        if secret.expires_on
        and ((secret.vault_id, secret.key) in watched or rotation.owner_of(secret).lower() in names)
    ]


def _untold(person: Person, found: list[Due]) -> list[Due]:
    """Those that this person was not told of at this stage. One query."""
    keys = {due.secret.key for due in found}
    told = ReminderSent.objects.filter(person=person, key__in=keys)
    known = set(told.values_list("vault_id", "key", "expires_on", "stage"))
    return [due for due in found if (due.secret.vault_id, due.secret.key, due.expires_on, due.stage) not in known]


def stage_of(expires_on: datetime, now: datetime) -> int:
    """The smallest of STAGES that is reached: 7 from seven days before until one day before, and so on."""
    days = (expires_on - now) / timedelta(days=1)
    return next(stage for stage in STAGES if days <= stage)


def reminder(fresh: list[Due]) -> Notice:
    """What is said of these secrets."""
    one = len(fresh) == 1
    subject = f"kvadmin: {len(fresh)} {'secret of yours is' if one else 'secrets of yours are'} due"
    sentence = (
        "It is yours by its owner's tag, or you asked to be reminded of it."
        if one
        else "They are yours by their owner's tag, or you asked to be reminded of them."
    )
    return Notice(subject, sentence, tuple(_line(due) for due in fresh), link("rotation"))


def _line(due: Due) -> str:
    word = "expired" if due.stage == 0 else "expires"
    return f"{due.secret.vault.shown_name} / {due.secret.name}: {word} {due.expires_on:%Y-%m-%d %H:%MZ}"
