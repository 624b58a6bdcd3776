"""What there is to tell, and who hears it."""

from __future__ import annotations

from django.db import models

from vaults.approvers import approvers
from vaults.models import Person, RevealRequest, State


class Event(models.TextChoices):
    """What happened, as one word: it travels in the queue beside the request's number. Many are the state's own."""

    ASKED = "asked", "Somebody asks"
    CHANGED = "changed", "A request has changed"
    APPROVED = "approved", "Approved"
    DENIED = "denied", "Denied"
    VOID = "void", "Void"
    EXPIRED = "expired", "Expired"
    REVOKED = "revoked", "Taken back"
    BREAK_GLASS = "break-glass", "The glass was broken"
    REVIEW_DUE = "review-due", "A review is due"
    JUSTIFIED = "justified", "Judged justified"
    MISUSE = "misuse", "Judged misuse"


TO_APPROVERS = frozenset({Event.ASKED, Event.CHANGED, Event.BREAK_GLASS, Event.REVIEW_DUE})
TO_REQUESTER = frozenset(Event) - {Event.ASKED, Event.CHANGED, Event.BREAK_GLASS}
TO_CHANNELS = frozenset({Event.ASKED, Event.BREAK_GLASS, Event.REVIEW_DUE})
# While the request stands so, the event is news; later it would send people to a page where nothing is left to do.
NEWS_WHILE = {
    Event.ASKED: State.PENDING,
    Event.CHANGED: State.PENDING,
    Event.APPROVED: State.APPROVED,
    Event.REVIEW_DUE: State.REVIEW_DUE,
}


def is_news(event: Event, request: RevealRequest) -> bool:
    """Whether the event still matters now that it is sent: a worker may have been down for an hour."""
    return NEWS_WHILE.get(event, request.state) == request.state


def people(event: Event, request: RevealRequest) -> list[Person]:
    """Everybody who hears of it by mail: whoever may decide at this moment, or the person who asked, or both."""
    found = approvers(request.secret, request.requester) if event in TO_APPROVERS else []
    return [*found, request.requester] if event in TO_REQUESTER and request.requester.is_active else found
