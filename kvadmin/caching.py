"""How entries lie in a shared cache: as JSON. With pickle, Django's way, whoever writes there could run code here."""

from __future__ import annotations

import json
from typing import Any


class JsonSerializer:
    """For Django's Redis backend. What the cache holds here are counts, times and marks; anything else is refused."""

    def dumps(self, value: Any) -> bytes:
        """The entry as it is stored; a whole number as its digits, which Redis can count up. Raises TypeError."""
        return json.dumps(value).encode()

    def loads(self, stored: bytes) -> Any:
        """The entry again. Raises ValueError for what is none: nothing of it is believed."""
        return json.loads(stored)
