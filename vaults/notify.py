"""The engine's one door to notices: what happened goes into the queue with the step itself, or neither does.

Only the request's number and an event word are queued. Who hears of it, and in which words, is the worker's business
(vaults/notices); a mail server that is down neither blocks a decision nor undoes it.
"""

from __future__ import annotations

from vaults.models import RevealRequest
from vaults.notices import jobs, mail
from vaults.notices.channels import channels
from vaults.notices.events import Event


def happened(request: RevealRequest, event: str) -> None:
    """Queue what has just happened to this request, in the caller's transaction.

    `event` is one of Event, or a state that the request has moved to; a state that nobody is told of is passed over.
    """
    if event in Event.values and (mail.is_open() or channels()):
        jobs.tell.enqueue(event, request.pk)
