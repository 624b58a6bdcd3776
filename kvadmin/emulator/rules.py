"""What Key Vault accepts: names, api-versions, bodies and page sizes. Anything else is a 400 BadParameter."""

from __future__ import annotations

import json
import re
from typing import Any

from kvadmin.emulator.answers import bad_parameter
from kvadmin.emulator.http import Request

API_VERSIONS = frozenset({"2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"})
NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
VERSION = re.compile(r"[0-9a-fA-F]{32}")
PAGE_SIZE = 25
VALUE_BYTES = 25 * 1024
CONTENT_TYPE_LENGTH = 255
TAGS = 15
TAG_LENGTH = 512
INVALID = "Property  has invalid value\r\n"  # so the service writes it, without the property's name


def check_api_version(request: Request) -> str:
    """The request's api-version."""
    version = request.query.get("api-version", "")
    if not version:
        raise bad_parameter("api-version must be specified")
    if version not in API_VERSIONS:
        latest = max(API_VERSIONS)
        raise bad_parameter(
            f"The specified version ({version}) is not recognized. "
            f"Consider using the latest supported version ({latest})."
        )
    return version


def check_name(name: str) -> None:
    """Raise for a name that breaks the rule."""
    if not NAME.fullmatch(name):
        raise bad_parameter(f"The request URI contains an invalid name: {name}")


def page_size(request: Request) -> int:
    """How many items a page holds: `maxresults`, from 1 to 25."""
    text = request.query.get("maxresults", str(PAGE_SIZE))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= PAGE_SIZE:
        raise bad_parameter(f"Invalid maxresults: {text[:20]}. It must be from 1 to {PAGE_SIZE}.")
    return int(text)


def json_body(request: Request) -> dict[str, Any]:
    """The body as a JSON object; a body that was lost on the way is refused too."""
    try:
        body = request.json()
        json.dumps(body, ensure_ascii=False).encode()  # half a surrogate pair is no text: nobody could answer with it
    except ValueError:
        raise bad_parameter(INVALID) from None
    if not isinstance(body, dict):
        raise bad_parameter(INVALID)
    return body


def check_value(body: dict[str, Any]) -> str:
    """The value to store: a string of at most 25 KiB in UTF-8."""
    value = body.get("value")
    if not isinstance(value, str) or len(value.encode()) > VALUE_BYTES:
        raise bad_parameter(INVALID)
    return value


def check_content_type(body: dict[str, Any]) -> str | None:
    """The content type, or None when the body has none."""
    content_type = body.get("contentType")
    if content_type is None:
        return None
    if not isinstance(content_type, str) or len(content_type) > CONTENT_TYPE_LENGTH:
        raise bad_parameter(f"The contentType must be a string of at most {CONTENT_TYPE_LENGTH} characters.")
    return content_type


def check_tags(body: dict[str, Any]) -> dict[str, str] | None:
    """The tags, or None when the body has none."""
    tags = body.get("tags")
    if tags is None:
        return None
    if not isinstance(tags, dict) or len(tags) > TAGS:
        raise bad_parameter(f"A secret can have at most {TAGS} tags.")
    if any(not isinstance(text, str) or len(text) > TAG_LENGTH for pair in tags.items() for text in pair):
        raise bad_parameter(f"A tag's name and value can have at most {TAG_LENGTH} characters each.")
    return tags


def check_attributes(body: dict[str, Any]) -> dict[str, Any]:
    """`enabled`, `not_before` and `expires_on`, as far as the body has them.

    A null is taken as "not sent": whether the service lets it clear a date is not known.
    """
    given = body.get("attributes") or {}
    if not isinstance(given, dict):
        raise bad_parameter(INVALID)
    found = {ours: given[theirs] for theirs, (ours, _) in ATTRIBUTES.items() if given.get(theirs) is not None}
    kinds = dict(ATTRIBUTES.values())
    if any(type(value) is not kinds[name] for name, value in found.items()):
        raise bad_parameter(INVALID)
    return found


ATTRIBUTES: dict[str, tuple[str, type]] = {
    "enabled": ("enabled", bool),
    "nbf": ("not_before", int),
    "exp": ("expires_on", int),
}
