"""What somebody wants a version to look like besides its value, and how that differs from what is there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from kvadmin.gateway import rules
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.templatetags.kv import visible


@dataclass(frozen=True, slots=True)
class Wish:
    """The properties of a version. Times are in UTC, to the second, as Azure keeps them."""

    content_type: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    enabled: bool = True
    not_before: datetime | None = None
    expires_on: datetime | None = None

    @classmethod
    def like(cls, properties: SecretProperties) -> Wish:
        """The properties that a version has."""
        return cls(
            properties.content_type,
            dict(properties.tags),
            properties.enabled,
            properties.not_before,
            properties.expires_on,
        )

    def digest(self, *about: str) -> str:
        """A hash of the wish and of what it is about: whoever confirms it, confirms exactly what was shown."""
        times = [moment.isoformat() if moment else "" for moment in (self.not_before, self.expires_on)]
        said = [self.content_type, sorted(self.tags.items()), self.enabled, *times, *about]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


NOTHING = Wish()


@dataclass(frozen=True, slots=True)
class Change:
    """One property before and after, as texts for a person; "" is nothing there."""

    label: str
    before: str
    after: str

    @property
    def kind(self) -> str:
        if self.before == self.after:
            return "kept"
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


def changes(before: Wish | None, after: Wish) -> list[Change]:
    """Every property that is there before or after, changed or not; before is None for a secret that does not exist."""
    old = before or NOTHING
    found = [
        Change("Content type", old.content_type, after.content_type),
        *_tags(old.tags, after.tags),
        Change("Valid from", _moment(old.not_before), _moment(after.not_before)),
        Change("Expires", _moment(old.expires_on), _moment(after.expires_on)),
    ]
    enabled = Change("State", _state(old.enabled) if before else "", _state(after.enabled))
    return [change for change in found if change.before or change.after] + [enabled]


def _tags(old: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        yield Change(f"Tag {visible(name)}", _tag(old, name), _tag(new, name))


def _tag(tags: dict[str, str], name: str) -> str:
    """The tag's value, so that an empty one is told from none."""
    return (visible(tags[name]) or "(empty)") if name in tags else ""


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else ""


def _state(enabled: bool) -> str:  # noqa: FBT001 - its one argument
    return "enabled" if enabled else "disabled"


def in_words(found: list[Change]) -> str:
    """What changes, for the ledger: names, tags and dates, which are no secret."""
    said = [f"{one.label}: {one.before or 'none'} → {one.after or 'none'}" for one in found if one.kind != "kept"]
    return "; ".join(said) or "properties as before"


def expiry_question(before: Wish | None, after: Wish, now: datetime) -> str:
    """What has to be confirmed about the expiry of a new version; "" when there is nothing to ask.

    Azure would take either without a word: a new value that counts as expired at once, or on the old value's day.
    """
    if after.expires_on is None:
        return ""
    if after.expires_on <= now:
        return "The new version would be expired from its first moment on. Azure serves it all the same."
    if before and before.expires_on == after.expires_on:
        return "The new version would keep the old one's expiry."
    return ""


def problem(wish: Wish) -> str:
    """The first rule of Azure that the wish breaks, as a sentence; "" when it keeps them all."""
    try:
        rules.check_content_type(wish.content_type)
        rules.check_tags(wish.tags)
    except GatewayError as error:
        return error.sentence
    if wish.not_before and wish.expires_on and wish.expires_on <= wish.not_before:
        return "It would expire before it is valid."
    return ""
