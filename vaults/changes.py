"""What can be changed on many secrets at once, and what it comes to for each: before, after, or why not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db.models import TextChoices

from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.rules import check_tags
from vaults.policy import Decision


class Kind(TextChoices):
    """What is changed; the word stands in the address of the preview."""

    ADD_TAGS = "add-tags", "Add tags, or give them new values"
    REPLACE_TAGS = "replace-tags", "Replace all tags"
    REMOVE_TAGS = "remove-tags", "Remove tags"
    EXPIRY = "expiry", "Set the expiry date"
    ENABLE = "enable", "Enable"
    DISABLE = "disable", "Disable"


class Described(Protocol):
    """A secret as the inventory (Secret) or the gateway (SecretProperties) describes it."""

    @property
    def tags(self) -> dict[str, str]: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def managed(self) -> bool: ...
    @property
    def expires_on(self) -> datetime | None: ...
    @property
    def created_on(self) -> datetime | None: ...


Facts = dict[str, Any]  # the one property that a change touches, as JSON has it


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `tags` are those to add, or all that shall be; `names` those to remove."""

    kind: Kind
    tags: dict[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    expires_on: datetime | None = None

    def before(self, secret: Described) -> Facts:
        """The property as it is."""
        if self.kind == Kind.EXPIRY:
            return {"expires_on": _text(secret.expires_on)}
        if self.kind in {Kind.ENABLE, Kind.DISABLE}:
            return {"enabled": secret.enabled}
        return {"tags": dict(secret.tags)}

    def after(self, secret: Described) -> Facts:
        """The property as it shall be."""
        match self.kind:
            case Kind.EXPIRY:
                return {"expires_on": _text(self.expires_on)}
            case Kind.ENABLE | Kind.DISABLE:
                return {"enabled": self.kind == Kind.ENABLE}
            case Kind.ADD_TAGS:
                return {"tags": {**secret.tags, **self.tags}}
            case Kind.REMOVE_TAGS:
                return {"tags": {name: value for name, value in secret.tags.items() if name not in self.names}}
        return {"tags": dict(self.tags)}

    def to_json(self) -> dict[str, Any]:
        """What a batch keeps as its parameters."""
        return {
            "kind": str(self.kind),
            "tags": self.tags,
            "names": list(self.names),
            "expires_on": _text(self.expires_on),
        }

    @classmethod
    def from_json(cls, parameters: dict[str, Any]) -> Change:
        """A batch's parameters, read again."""
        moment = parameters.get("expires_on")
        expires_on = datetime.fromisoformat(moment) if moment else None
        return cls(Kind(parameters["kind"]), dict(parameters["tags"]), tuple(parameters["names"]), expires_on)

    def __str__(self) -> str:
        pairs = ", ".join(f"{name}={value}" for name, value in self.tags.items())
        match self.kind:
            case Kind.EXPIRY:
                return f"Set the expiry date to {self.expires_on:%Y-%m-%d %H:%M:%S}Z"
            case Kind.ADD_TAGS:
                return f"Set the tags {pairs}"
            case Kind.REPLACE_TAGS:
                return f"Replace all tags by {pairs}" if pairs else "Replace all tags by none"
            case Kind.REMOVE_TAGS:
                return f"Remove the tags {', '.join(self.names)}"
        return str(self.kind.label)


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def sent(after: Facts) -> dict[str, Any]:
    """The facts of a change as update_secret_properties takes them."""
    if moment := after.get("expires_on"):
        return {"expires_on": datetime.fromisoformat(moment)}
    return after


# --- For one secret ------------------------------------------------------------------------------------------------
WHY_NOT = {
    "managed": "It belongs to a certificate, which it follows: change the certificate.",
    "unchanged": "It is so already.",
    "tags": "Azure would not take the tags that come out.",
    "gone": "Azure does not list it any more.",
    "changed": "It was changed after the preview, so that the preview no longer holds. Look at it, and choose it anew.",
    "no-right": "You may not change it.",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """What a change comes to for one secret; with a `code` of WHY_NOT nothing is done, and `sentence` says why."""

    before: Facts
    after: Facts
    code: str = ""
    sentence: str = ""


def plan(change: Change, secret: Described, decision: Decision) -> Planned:
    """What would be done to this secret, by somebody of whom the policy says `decision`."""
    before, after = change.before(secret), change.after(secret)
    if secret.managed:
        return Planned(before, before, "managed", WHY_NOT["managed"])
    if not decision:
        return Planned(before, before, "no-right", decision.reason)
    if before == after:
        return Planned(before, after, "unchanged", WHY_NOT["unchanged"])
    try:
        check_tags(after.get("tags", {}))
    except GatewayError as error:
        return Planned(before, before, "tags", error.sentence)
    return Planned(before, after)


# --- As words ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Difference:
    """One line of what changes: `sign` is "+", "-" or "~", `old` and `new` are texts, empty where there is none."""

    sign: str
    old: str
    new: str


def difference(before: Facts, after: Facts) -> list[Difference]:
    """What changes from `before` to `after`, property by property and tag by tag; nothing where they are the same."""
    if "tags" in before or "tags" in after:
        return _tags_differ(before.get("tags", {}), after.get("tags", {}))
    return [
        Difference("~", _said(before.get(name)), _said(after.get(name)))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def _tags_differ(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    lines = []
    for name in sorted({**before, **after}):
        old, new = (f"{name}={tags[name]}" if name in tags else "" for tags in (before, after))
        if old != new:
            lines.append(Difference("~" if old and new else "+" if new else "-", old, new))
    return lines


def _said(fact: Any) -> str:
    if isinstance(fact, bool):
        return "enabled" if fact else "disabled"
    return f"{datetime.fromisoformat(fact):%Y-%m-%d %H:%M:%S}Z" if fact else "no expiry"


def shown_hash(change: Change, rows: Iterable[tuple[str, str, datetime | None, Planned]]) -> str:
    """SHA-256 over a preview: the change, and of each secret its vault, name, version's time and what is to come."""
    digest = hashlib.sha256(_json(change.to_json()))
    for vault, key, created_on, planned in rows:
        digest.update(_json([vault, key, _text(created_on), planned.before, planned.after, planned.code]))
    return digest.hexdigest()


def _json(facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()
