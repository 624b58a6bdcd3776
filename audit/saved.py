"""Saved views: a page of the audit and its filters, under a name; everybody's own, and those that others share."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Q, QuerySet
from django.http import QueryDict

from audit.finding_models import SavedView

MOST = 50  # of one person
LONGEST = 1000
PLACES = frozenset({"cursor", "before", "after", "page"})


class TooMany(Exception):
    """The person has as many as one may keep."""


def tidy(query: str, known: Collection[str]) -> str:
    """A query string with only those names that the page's filters know, and no place in a list."""
    asked, kept = QueryDict(query[: 4 * LONGEST]), QueryDict(mutable=True)
    for name in sorted(known):
        if name not in PLACES and (value := asked.get(name)):
            kept[name] = value
    return kept.urlencode()[:LONGEST]


def save(owner_id: int, page: str, name: str, query: str, *, shared: bool) -> SavedView:
    """Keep it; one of the same name is replaced. Raises TooMany."""
    mine = SavedView.objects.filter(owner_id=owner_id)
    if mine.count() >= MOST and not mine.filter(page=page, name=name).exists():
        raise TooMany
    kept, _ = SavedView.objects.update_or_create(
        owner_id=owner_id, page=page, name=name, defaults={"query": query, "shared": shared}
    )
    return kept


def offered(owner_id: int, page: str) -> QuerySet[SavedView]:
    """This person's own, and shared ones, of one page."""
    mine = Q(owner_id=owner_id) | Q(shared=True)
    return SavedView.objects.filter(mine, page=page).select_related("owner").order_by("name", "id")
