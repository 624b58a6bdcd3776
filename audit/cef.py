"""Rows as ArcSight's Common Event Format, which every SIEM reads: a header of seven fields, then key=value pairs.

Escapes are those of the CEF Implementation Standard: a backslash before \\ and | in the header, before \\ and = in a
value; line breaks in a value as \\n and \\r, in the header as blanks.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from audit.models import AccessEvent, LedgerEntry
from audit.queries import EPOCH
from kvadmin import __version__
from kvadmin.actions import ACTIONS

_SEVERITY = {"unexplained": 9, "around": 5, "explained": 3, "other": 2}
_LEDGER_SEVERITY = {"refused": 5, "failed": 4, "withheld": 4}
_BREAKS = re.compile(r"[\r\n\x0b\x0c\x85\u2028\u2029]+")


def event_to_cef(event: AccessEvent) -> str:
    """One row of Azure's log. Its severity follows the list that it stands on; a refused call weighs 4 at least."""
    severity = _SEVERITY.get(event.match, 2)
    if event.outcome in {AccessEvent.Outcome.DENIED, AccessEvent.Outcome.FAILED}:
        severity = max(severity, 4)
    pairs = {
        "rt": _millis(event.at),
        "externalId": event.fingerprint,
        "act": event.operation,
        "cat": event.action,
        "outcome": event.outcome,
        **_address(event.address),
        "suser": event.who,
        "suid": event.object_id,
        "requestClientApplication": event.agent,
        "reason": event.reason,
        **_labelled(1, "vault", event.vault),
        **_labelled(2, "secret", event.name),
        **_labelled(3, "version", event.version),
        **_labelled(4, "list", event.match if event.is_read else ""),
        **_labelled(5, "person", event.person),
        **_labelled(6, "requestId", event.correlation_id),
    }
    name = event.get_match_display() if event.is_read else "Call to a key vault"
    return _line(event.operation, name, severity, pairs)


def ledger_to_cef(entry: LedgerEntry) -> str:
    """One row of the ledger; cs6 is its hash."""
    action = ACTIONS.get(entry.action)
    pairs = {
        "rt": _millis(entry.at),
        "externalId": str(entry.seq),
        "act": entry.action,
        "outcome": entry.phase,
        **_address(entry.address),
        "suser": entry.person,
        "suid": entry.person_id,
        "reason": entry.reason,
        "msg": " ".join(filter(None, [entry.code, entry.note])),
        **_labelled(1, "vault", entry.vault),
        **_labelled(2, "secret", entry.secret),
        **_labelled(3, "version", entry.version),
        **_labelled(4, "request", "" if entry.request is None else str(entry.request)),
        **_labelled(5, "requestId", entry.request_id),
        **_labelled(6, "hash", entry.hash),
    }
    return _line(entry.action, action.label if action else entry.action, _LEDGER_SEVERITY.get(entry.phase, 3), pairs)


def _line(kind: str, name: str, severity: int, pairs: dict[str, str]) -> str:
    header = "|".join(["CEF:0", "kvadmin", "kvadmin", _head(__version__), _head(kind), _head(name), str(severity)])
    return f"{header}|{' '.join(f'{key}={_value(text)}' for key, text in pairs.items() if text)}"


def _head(text: str) -> str:
    return _BREAKS.sub(" ", text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
    return _BREAKS.sub(" ", text)


def _address(address: str) -> dict[str, str]:
    """`src` holds IPv4 only; an IPv6 address has a field of its own."""
    if ":" in address:
        return {"c6a2": address, "c6a2Label": "Source IPv6 Address"}
    return {"src": address}


def _labelled(number: int, label: str, text: str) -> dict[str, str]:
    return {f"cs{number}": text, f"cs{number}Label": label} if text else {}


def _millis(at: datetime) -> str:
    return str((at - EPOCH) // timedelta(milliseconds=1))
