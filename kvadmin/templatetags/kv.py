"""kvadmin's own template tags: icons, badges, times and numbers, so that they look and read the same on every page."""

from __future__ import annotations

import functools
import math
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from lucide.templatetags.lucide import _render_icon

from kvadmin import badges

register = template.Library()
DASH = "\u2013"  # what stands where there is nothing


@functools.lru_cache(maxsize=256)
def _icon(name: str, size: int) -> SafeString:
    # The markup comes from lucide's own files and holds nothing of a request. Cached: a table shows hundreds.
    return mark_safe(_render_icon(name, size, aria_hidden="true"))  # noqa: S308


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """A lucide icon that says nothing to a screen reader: a word always stands beside it."""
    return _icon(name + "", size)


# --- Badges ----------------------------------------------------------------------------------------------------------


def _badge(look: badges.Look) -> SafeString:
    return format_html('<span class="badge {}">{}{}</span>', look.tone, _icon(look.icon, 14), look.label)


@register.filter(name="badge")
def status_badge(word: object, kind: str) -> SafeString:
    """A stored word such as "firewall" as icon + label; `kind` is a table in kvadmin/badges.py, such as "health"."""
    return _badge(badges.find(kind, str(word)))


@register.filter
def expiry_badge(expires_on: datetime | None) -> SafeString:
    """When a secret expires, as icon + words: expired, within 30 days, later, or never."""
    return _badge(badges.expiry(days_until(expires_on)))


@register.filter
def secret_badges(secret: Any) -> SafeString:
    """What is special about a secret's metadata, if anything: disabled, not yet valid, expired, managed, gone."""
    looks = badges.of_secret(secret, timezone.now())
    return mark_safe(" ".join(_badge(look) for look in looks))  # noqa: S308 - each part is already escaped


@register.simple_tag(name="badge")
def badge_tag(tone: str, label: object, name: str = "") -> SafeString:
    """`{% badge "warn" "2 failed" %}`: a badge in free words; the icon follows the tone unless named."""
    return _badge(badges.Look(tone, name + "" or badges.TONE_ICONS[tone], str(label)))


# --- Times -----------------------------------------------------------------------------------------------------------


@register.filter
def when(moment: datetime | None, empty: str = DASH) -> SafeString | str:
    """A moment in UTC, to the minute: "2026-12-01 00:48Z". The browser adds the local time on hover."""
    return _utc(moment, "%Y-%m-%d %H:%MZ", empty)


@register.filter
def when_exact(moment: datetime | None, empty: str = DASH) -> SafeString | str:
    """A moment in UTC, to the second, for evidence: "2026-12-01 00:48:07Z"."""
    return _utc(moment, "%Y-%m-%d %H:%M:%SZ", empty)


@register.filter
def day(moment: datetime | None, empty: str = DASH) -> SafeString | str:
    """A date in UTC: "2026-12-01"."""
    return _utc(moment, "%Y-%m-%d", empty)


@register.filter
def ago(moment: datetime | None, empty: str = "never") -> SafeString | str:
    """How long since, or until, in the largest whole unit: "5 minutes ago", "in 3 days", "just now"."""
    if moment is None:
        return empty
    return _time(moment, distance((moment - timezone.now()).total_seconds()))


@register.filter
def days_until(moment: datetime | None) -> int | None:
    """Whole days until the moment, rounded down, so that what has passed is negative; None when there is none."""
    if moment is None:
        return None
    return math.floor((moment - timezone.now()).total_seconds() / 86_400)


def _utc(moment: datetime | None, form: str, empty: str) -> SafeString | str:
    return _time(moment, moment.astimezone(UTC).strftime(form)) if moment else empty


def _time(moment: datetime, text: str) -> SafeString:
    return format_html('<time datetime="{}">{}</time>', f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", text)


_UNITS = ((365 * 86_400, "year"), (30 * 86_400, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def distance(seconds: float) -> str:
    """Seconds from now (negative: past) in words, in the largest whole unit."""
    size = abs(seconds)
    for length, unit in _UNITS:
        if size >= length:
            words = count(int(size // length), unit)
            return f"{words} ago" if seconds < 0 else f"in {words}"
    return "just now" if seconds <= 0 else "in less than a minute"


# --- Tags ------------------------------------------------------------------------------------------------------------


@register.filter
def pairs(tags: dict[str, str]) -> list[tuple[str, str]]:
    """A dictionary's keys and values. A template's `tags.items` is the tag of that name where there is one."""
    return list(tags.items())


@register.filter
def visible(text: str) -> str:
    """The text with its line breaks and other control characters spelled out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


@register.filter
def last_part(resource_id: str) -> str:
    """The name at the end of an id of Azure's: "/subscriptions/.../workspaces/law" as "law"."""
    return resource_id.rstrip("/").rpartition("/")[2]


# --- Numbers ---------------------------------------------------------------------------------------------------------


@register.filter
def thousands(number: float | None) -> str:
    """12345 as "12,345"; nothing as a dash."""
    return DASH if number is None else f"{number:,}"


@register.filter
def label(name: str) -> str:
    """A field's name as a label: "scope_kind" is "Scope kind"."""
    return name.replace("_", " ").capitalize()


@register.filter
def count(number: int | None, noun: str) -> str:
    """A number with its noun: "1 vault", "1,234 vaults". A noun with another plural is written "entry,entries"."""
    singular, _, plural = noun.partition(",")
    return f"{thousands(number)} {singular if number == 1 else plural or singular + 's'}"
