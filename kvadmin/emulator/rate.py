"""How many calls a vault takes in a while; beyond it Azure answers 429, and does not count what it refused."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from kvadmin.emulator.answers import throttled
from kvadmin.emulator.resources import Vault


def count(vault: Vault, now: datetime) -> None:
    """Count one call; raises the 429 when the vault's `limit` is used up, with Retry-After if it says when."""
    if vault.limit is None:
        return
    calls, seconds = vault.limit
    begun, span = vault.counted, timedelta(seconds=seconds)
    while begun and begun[0] <= now - span:
        begun.popleft()
    if len(begun) >= calls:
        wait = (begun[0] + span - now).total_seconds()
        raise throttled(max(1, math.ceil(wait)) if vault.limit_says_when else None)
    begun.append(now)
