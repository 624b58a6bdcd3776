"""What Azure does by itself with keys and certificates, in words."""

from __future__ import annotations

import re

from kvadmin.gateway.certificates import LifetimeAction
from kvadmin.gateway.keys import RotationAction

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
_UNITS = ("year", "month", "week", "day")
_ROTATION = {"rotate": "Azure makes a new version", "notify": "Azure sends an event"}
_LIFETIME = {"AutoRenew": "Azure renews it", "EmailContacts": "Azure writes to the vault's certificate contacts"}


def duration(text: str) -> str:
    """An ISO 8601 duration in whole days and more, as "1 year and 6 months"; another is shown as it is."""
    found = _DURATION.fullmatch(text)
    parts = (
        [(int(number), unit) for number, unit in zip(found.groups(), _UNITS, strict=True) if number] if found else []
    )
    words = [f"{number} {unit}" if number == 1 else f"{number} {unit}s" for number, unit in parts]
    return " and ".join(words) or text


def rotation(action: RotationAction) -> str:
    """What happens to a key, and when, as a sentence."""
    what = _ROTATION.get(action.action.lower(), action.action or "Azure does nothing")
    if action.after_creation:
        return f"{what} {duration(action.after_creation)} after the last one was made."
    if action.before_expiry:
        return f"{what} {duration(action.before_expiry)} before the key expires."
    return f"{what}."


def lifetime(action: LifetimeAction) -> str:
    """What happens to a certificate, and when, as a sentence."""
    what = _LIFETIME.get(action.action, action.action or "Azure does nothing")
    if action.days_before_expiry:
        days = "1 day" if action.days_before_expiry == 1 else f"{action.days_before_expiry} days"
        return f"{what} {days} before it expires."
    if action.lifetime_percentage:
        return f"{what} once {action.lifetime_percentage}% of its lifetime is over."
    return f"{what}."


def issuer(name: str) -> str:
    """Who issues a certificate, by the vault's name of it."""
    return {
        "": "not told",
        "Self": "the vault itself: self-signed",
        "Unknown": "an authority that the vault does not know: renewed by hand",
    }.get(name, name)
