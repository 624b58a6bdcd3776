"""The worker's part: find out who hears of an event, then one job for each of them, so that a retry tells nobody twice.

Arguments are ids and event words. A job that fails is tried again, later each time; what was decided stands anyway.
"""

from __future__ import annotations

from django.db import transaction

from kvadmin.jobs import task
from vaults.models import Person, RevealRequest
from vaults.notices import mail
from vaults.notices.channels import PAGERS, Channel, channels, post
from vaults.notices.digest import digest, officers
from vaults.notices.events import TO_CHANNELS, Event, is_news, people
from vaults.notices.words import request_notice

TRIES = 9  # after the first: with the pauses of kvadmin/jobs/runs.py some twenty-five minutes


@task(retries=TRIES)
def tell(event: str, request_id: int) -> int:
    """Queue the event for everybody who hears of it; how many those are."""
    request, what = _request(request_id), Event(event)
    if not is_news(what, request):
        return 0
    hear = people(what, request) if mail.is_open() else []
    listening = [channel for channel in channels() if _hears(channel, what)]
    with transaction.atomic():
        for person in hear:
            mail_event.enqueue(event, request_id, person.pk)
        for channel in listening:
            post_event.enqueue(event, request_id, channel.id)
    return len(hear) + len(listening)


def _hears(channel: Channel, event: Event) -> bool:
    return event == Event.BREAK_GLASS or (event in TO_CHANNELS and channel.kind not in PAGERS)


@task(retries=TRIES)
def mail_event(event: str, request_id: int, person_id: int) -> bool:
    """Mail the event to one person; False when it is no news any more, or the person has left or has no address."""
    request, what = _request(request_id), Event(event)
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    if person is None or not is_news(what, request):
        return False
    return mail.send(person, request_notice(what, request))


@task(retries=TRIES)
def post_event(event: str, request_id: int, channel_id: str) -> bool:
    """Post the event to one channel; False when it is no news any more, or the channel is no longer set up."""
    request, what = _request(request_id), Event(event)
    channel = _channel(channel_id)
    if channel is None or not is_news(what, request):
        return False
    post(channel, request_notice(what, request), urgent=what == Event.BREAK_GLASS)
    return True


@task(retries=TRIES)
def mail_digest(person_id: int) -> bool:
    """Mail the expiring secrets that this person could renew; False when there are none."""
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    notice = digest(person) if person else None
    return bool(person and notice and mail.send(person, notice))


@task(retries=TRIES)
def post_digest(channel_id: str) -> bool:
    """Post all expiring secrets to one channel; False when there are none."""
    channel, notice = _channel(channel_id), digest()
    if channel is None or notice is None:
        return False
    post(channel, notice)
    return True


def queue_digests() -> int:
    """Queue today's digest for each officer and each chat; how many those are."""
    readers = list(officers().values_list("pk", flat=True)) if mail.is_open() else []
    listening = [channel for channel in channels() if channel.kind not in PAGERS]
    with transaction.atomic():
        for pk in readers:
            mail_digest.enqueue(pk)
        for channel in listening:
            post_digest.enqueue(channel.id)
    return len(readers) + len(listening)


def _request(pk: int) -> RevealRequest:
    return RevealRequest.objects.select_related("requester", "secret__vault__subscription").get(pk=pk)


def _channel(channel_id: str) -> Channel | None:
    return next((channel for channel in channels() if channel.id == channel_id), None)
