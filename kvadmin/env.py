"""Reads settings from the environment; a wrong value stops the start with one line that names the variable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import environ
import pyrage
from django.core.exceptions import ImproperlyConfigured

_env = environ.Env()


def text(name: str, default: str = "") -> str:
    """The variable, or what the file named by NAME_FILE holds (container secrets), or the default."""
    file = _env.str(f"{name}_FILE", default="")
    if not file:
        return str(_env.str(name, default=default)).strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read {file!r}: {error.strerror}.") from None


def switch(name: str, *, default: bool = False) -> bool:
    value = text(name, str(default)).lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}: {value!r} is not a switch; use true or false.")


def number(name: str, default: int, *, low: int, high: int) -> int:
    value = text(name, str(default))
    try:
        found = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}: {value!r} is not a whole number.") from None
    if not low <= found <= high:
        raise ImproperlyConfigured(f"{name}: {found} is outside {low} to {high}.")
    return found


def choice(name: str, default: str, allowed: Sequence[str]) -> str:
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}: {value!r} is not one of {', '.join(allowed)}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def pairs(name: str) -> dict[str, str]:
    """`key=value, key=value` as a dictionary."""
    found: dict[str, str] = {}
    for word in words(name):
        key, _, value = (part.strip() for part in word.partition("="))
        if not key or not value:
            raise ImproperlyConfigured(f"{name}: {word!r} is not of the form KEY=VALUE.")
        if found.setdefault(key, value) != value:
            raise ImproperlyConfigured(f"{name}: {key!r} is named twice.")
    return found


def recipients(name: str) -> list[str]:
    """Public keys of age (age1...), by comma; what is typed here is never printed, for it may be a private one."""
    found = words(name)
    for number, key in enumerate(found, 1):
        try:
            pyrage.x25519.Recipient.from_str(key)
        except pyrage.RecipientError:
            sentence = f"{name}: entry {number} is no public key of age, such as age1..."
            raise ImproperlyConfigured(sentence) from None
    return found


def url_config(name: str, default: str, parse: Callable[[str], Any]) -> dict[str, Any]:
    """A URL such as DATABASE_URL as Django's dictionary; the URL itself may hold a password and is never printed."""
    try:
        found = parse(text(name, default))
    except Exception:  # noqa: BLE001 - each parser raises its own kinds, and their texts may quote the URL
        raise ImproperlyConfigured(f"{name}: cannot be read as a URL of that kind.") from None
    # django-environ passes a scheme that it does not know on as it is, and takes a database without a name.
    config: dict[str, Any] = found if isinstance(found, dict) else {}
    kind = config.get("ENGINE") or config.get("BACKEND") or config.get("EMAIL_BACKEND")
    if "." not in str(kind) or config.get("NAME") == "":
        raise ImproperlyConfigured(f"{name}: cannot be read as a URL of that kind.")
    return config
