"""A notice's words. Every name in it is one line of plain letters where a header or a chat could read more into it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.conf import settings
from django.urls import reverse

from vaults.models import RevealRequest
from vaults.notices.events import Event

SENTENCES = {
    Event.ASKED: "{who} asks to {do} {secret} in {vault}.",
    Event.CHANGED: "The request of {who} {aim} {secret} in {vault} has changed, so every vote on it fell.",
    Event.APPROVED: "Your request {aim} {secret} in {vault} is approved.",
    Event.DENIED: "Your request {aim} {secret} in {vault} is denied.",
    Event.VOID: "Your request {aim} {secret} in {vault} is void: what it stood on has changed.",
    Event.EXPIRED: "Your request {aim} {secret} in {vault} has expired.",
    Event.REVOKED: "Your grant {aim} {secret} in {vault} was taken back.",
    Event.BREAK_GLASS: "{who} has broken the glass on {secret} in {vault}.",
    Event.REVIEW_DUE: "The break-glass of {who} on {secret} in {vault} is over and has to be reviewed.",
    Event.JUSTIFIED: "Your break-glass on {secret} in {vault} was reviewed: justified.",
    Event.MISUSE: "Your break-glass on {secret} in {vault} was reviewed: misuse.",
}
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Notice:
    """What is told: a subject, sentences, perhaps a list, and the address of the page to look at (empty: unknown)."""

    subject: str
    sentence: str
    items: tuple[str, ...] = ()
    link: str = ""

    @property
    def text(self) -> str:
        """The whole of it for a chat, as plain lines."""
        return "\n".join([self.sentence, *(f"- {item}" for item in self.items), *([self.link] if self.link else [])])


def request_notice(event: Event, request: RevealRequest) -> Notice:
    """What the event says of this request."""
    secret = request.secret
    names = {"who": plain(str(request.requester)), "secret": secret.name, "vault": secret.vault.shown_name}
    purge = request.act == RevealRequest.Act.PURGE
    sentence = SENTENCES[event].format(**names, do="purge" if purge else "see", aim="to purge" if purge else "for")
    return Notice(f"kvadmin #{request.pk}: {sentence.rstrip('.')}", sentence, link=link("request", request.pk))


def plain(name: str) -> str:
    """A person's name without line breaks and without signs that a header, a chat or a page gives a meaning to."""
    return " ".join(re.sub(r"[^\w .,'@+-]", " ", name).split())[:LONGEST_NAME] or "Somebody"


def link(page: str, *args: object) -> str:
    """The page's whole address; empty when KVADMIN_BASE_URL does not tell where kvadmin is."""
    return settings.KVADMIN_BASE_URL + reverse(page, args=args) if settings.KVADMIN_BASE_URL else ""
