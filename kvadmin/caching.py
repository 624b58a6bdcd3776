"""The shared cache: entries lie in it as JSON, for with pickle, Django's way, whoever writes there could run code here;
and what it means when it does not answer."""

from __future__ import annotations

import json
import sys
from typing import Any

AWAY = "Bad sign-ins cannot be counted at the moment, so nobody can sign in with a password. Try again shortly."


class JsonSerializer:
    """For Django's Redis backend. What the cache holds here are counts, times and marks; anything else is refused."""

    def dumps(self, value: Any) -> bytes:
        """The entry as it is stored; a whole number as its digits, which Redis can count up. Raises TypeError."""
        return json.dumps(value).encode()

    def loads(self, stored: bytes) -> Any:
        """The entry again. Raises ValueError for what is none: nothing of it is believed."""
        return json.loads(stored)


def is_away(error: Exception) -> bool:
    """Whether the shared cache failed. Its client's exceptions exist only where it is installed, and in use."""
    redis = sys.modules.get("redis")
    return redis is not None and isinstance(error, redis.RedisError)
