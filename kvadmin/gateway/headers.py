"""What headers of Azure's answers tell: when to come back, and from which address the call was seen to come."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str]) -> int | None:
    """The whole seconds of Retry-After (a number or a date), rounded up; None when it is absent or unreadable."""
    text = headers.get("Retry-After") or ""
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    return -int(-seconds // 1) if 0 <= seconds < 1e9 else None


def _seconds_until(text: str) -> float:
    """Seconds until an HTTP date, 0 when it is past, -1 when it is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return -1
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def seen_address(headers: Mapping[str, str]) -> str:
    """The address that the vault saw the call come from, out of `x-ms-keyvault-network-info`, or ""."""
    for part in headers.get("x-ms-keyvault-network-info", "").split(";"):
        name, _, address = part.partition("=")
        if name.strip() == "addr":
            return _address(address.strip())
    return ""


def _address(text: str) -> str:
    try:
        return f"{ipaddress.ip_address(text)} (the address that the vault saw)"
    except ValueError:
        return ""
