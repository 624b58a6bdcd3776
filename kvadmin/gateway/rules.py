"""What Azure accepts as a secret, checked before anything is sent; sentences for people.

Source of the limits: "About Azure Key Vault secrets" and "Azure Key Vault service limits" (learn.microsoft.com).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from kvadmin.gateway.errors import refused
from kvadmin.gateway.values import SecretValue

MOST_BYTES = 25_600  # of a value, in UTF-8
MOST_CONTENT_TYPE = 255  # characters
MOST_TAGS = 15
MOST_TAG_TEXT = 512  # characters of a tag's name, and of its value


def size_of(value: SecretValue) -> int:
    """The bytes that a value has in UTF-8, as Azure counts them; -1 when it is no text (half a surrogate pair)."""
    try:
        return len(value.expose().encode())
    except UnicodeEncodeError:
        return -1


def check_value(value: SecretValue) -> None:
    """Raise for a value that Azure would not take.

    Raises:
        Refused: with the size, and never with the value.
    """
    size = size_of(value)
    if size < 0:
        raise refused("The value holds half a character, which no text can.")
    if size > MOST_BYTES:
        raise refused(f"The value has {size:,} bytes in UTF-8; Azure takes {MOST_BYTES:,} at most.")


def check_content_type(content_type: str) -> None:
    """Raise for a content type that is too long.

    Raises:
        Refused: as it says.
    """
    if len(content_type) > MOST_CONTENT_TYPE:
        raise refused(f"The content type can have {MOST_CONTENT_TYPE} characters at most.")


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise for tags that Azure would not take: too many, without a name, too long, or two names alike.

    Raises:
        Refused: with the rule that is broken.
    """
    if len(tags) > MOST_TAGS:
        raise refused(f"A secret can have {MOST_TAGS} tags at most, and these are {len(tags)}.")
    if any(not name for name in tags):
        raise refused("A tag needs a name.")
    if any(len(text) > MOST_TAG_TEXT for pair in tags.items() for text in pair):
        raise refused(f"A tag's name and its value can have {MOST_TAG_TEXT} characters each at most.")


def seconds_of(moment: datetime) -> int:
    """A date as Azure takes it: whole seconds since 1970.

    Raises:
        Refused: it has no time zone, so that nobody could say which moment it is.
    """
    if moment.tzinfo is None:
        raise refused("A date needs a time zone.")
    return int(moment.astimezone(UTC).timestamp() // 1)
