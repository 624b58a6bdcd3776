"""What every page needs to know: the version, and the navigation with only those pages that the person may open."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.urls import reverse

from kvadmin import __version__
from kvadmin import actions as a
from vaults import drafts
from vaults.inbox import count_waiting
from vaults.models import Person
from vaults.policy import may, may_everywhere


@dataclass(frozen=True, slots=True)
class Page:
    """One entry of the navigation: the URL's name, the word, a lucide icon, and the action that opens it.

    `also` is another action that opens it; `part` is the heading that it stands under, `key` the second key of its
    shortcut (`g` and then this). `everywhere`: the page concerns every vault at once, so a role on some of them does
    not open it.
    """

    name: str
    label: str
    icon: str
    action: a.Action | None = None
    part: str = ""
    key: str = ""
    also: a.Action | None = None
    everywhere: bool = False

    @property
    def url(self) -> str:
        return reverse(self.name)


PAGES = (
    Page("home", "Home", "house", key="h"),
    Page("vaults", "Vaults", "vault", key="v"),
    Page("search", "Search", "search", key="s"),
    Page("requests", "Requests", "inbox", key="q"),
    Page("rotation", "Rotation", "calendar-clock", a.SECRET_LIST, part="Secrets", key="t"),
    Page("bulk", "Change many", "list-checks", a.SECRET_UPDATE, part="Secrets", key="b"),
    Page("compare", "Compare", "git-compare-arrows", a.SECRET_LIST, part="Secrets", key="m"),
    Page("deleted", "Deleted", "trash-2", a.SECRET_LIST, part="Secrets", key="d"),
    Page("archives", "Archives", "archive", a.SECRET_BACKUP, part="Secrets", key="k"),
    Page("warnings", "Warnings", "triangle-alert", a.VAULT_LIST, part="Azure", key="n"),
    Page("sync", "Sweeps", "refresh-cw", a.VAULT_SYNC, part="Azure", key="w", everywhere=True),
    Page("coverage", "Log coverage", "radar", a.AUDIT_READ, part="Azure", key="c", also=a.VAULT_SYNC),
    Page("people", "People", "users", a.ROLE_ASSIGN, part="Access", key="p"),
    Page("roles", "Roles", "shield-check", a.ROLE_ASSIGN, part="Access", key="r"),
    Page("policies", "Policies", "scroll-text", a.POLICY_EDIT, part="Access", key="o"),
    Page("audit", "Audit", "footprints", a.AUDIT_READ, part="Evidence", key="a"),
    Page("findings", "Findings", "siren", a.AUDIT_READ, part="Evidence", key="f"),
    Page("ledger", "Ledger", "book-lock", a.AUDIT_READ, part="Evidence", key="l"),
)


def page(request: HttpRequest) -> dict[str, Any]:
    """The base template's variables. Costs the one query that vaults.policy makes and keeps on the person.

    `waiting_for_me` is asked where it is shown, by those only who decide requests: one query more.
    """
    person = getattr(request, "user", AnonymousUser())  # absent when a middleware before it refused
    pages = [entry for entry in PAGES if _opens(entry, person)]
    return {
        "kvadmin_version": __version__,
        "demo": settings.KVADMIN_DEMO,
        "pages": pages,
        "current_page": _current(pages, request.path),
        "draft": drafts.of_page(request) if person.is_authenticated and request.method == "GET" else {},
        "waiting_for_me": cache(partial(count_waiting, person)),
    }


def _opens(entry: Page, person: Person | AnonymousUser) -> bool:
    if not person.is_authenticated:
        return False
    decide = may_everywhere if entry.everywhere else may
    actions = [action for action in (entry.action, entry.also) if action is not None]
    return not actions or any(decide(person, action) for action in actions)


def _current(pages: list[Page], path: str) -> str:
    """The name of the page that the path belongs to: the longest address that it begins with; home only as itself."""
    holding = [entry for entry in pages if path == entry.url or (entry.url != "/" and path.startswith(entry.url))]
    return max(holding, key=lambda entry: len(entry.url)).name if holding else ""
