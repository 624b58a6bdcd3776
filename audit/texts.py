"""Texts of Azure's as every database takes them: cut to their columns, without NUL or half a surrogate pair."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def text(row: Mapping[str, Any], key: str) -> str:
    """A cell's text; "" when absent. The SDK writes the word None for an empty cell of type guid."""
    value = row.get(key)
    return "" if value is None or value == "None" or isinstance(value, (dict, list)) else str(value)


def fit(value: str, width: int) -> str:
    """Cut to the column, without what PostgreSQL cannot store: NUL and half a surrogate pair."""
    return value.replace("\x00", "�").encode("utf-8", "replace").decode()[:width]


def storable(value: Any) -> Any:
    """JSON that every database takes: no NUL, no half surrogates, no NaN; times as text."""
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return _storable(value)
    # What is in order already, as nearly every record is, is kept as it is: looking takes a tenth of the time.
    suspect = len(text) > 100_000 or "\\u0000" in text or "\\ud" in text
    return _storable(value) if suspect else value


def _storable(value: Any) -> Any:
    if isinstance(value, dict):
        return {fit(str(key), 500): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return fit(value.isoformat() if isinstance(value, datetime) else str(value), 100_000)
