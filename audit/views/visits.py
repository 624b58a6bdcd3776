"""Whoever reads the audit is on record too: once per visit and filter, so that the ledger is not flooded by it."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from django.forms import Form

from audit import ledger
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy

SESSION_KEY = "audit-visits"
SAME_VISIT = 15 * 60  # seconds for which the same filter is the same visit
MOST = 60  # filters in that time; from then on one row says that there were more
PLACES = frozenset({"cursor", "before", "after"})  # paging is the same visit
_MANY = "many"


def on_record(request: Request, page: str, asked: dict[str, str], target: ledger.Target = ledger.NOTHING) -> None:
    """Put on record that the person reads this page of the audit with this filter, unless that just was.

    `page` is a word such as "timeline"; `asked` what the page was asked for. To be called before anything is shown.
    Raises LedgerUnavailable.
    """
    filters = {name: value for name, value in sorted(asked.items()) if value and name not in PLACES}
    recent = _recent(request)
    key = _digest(page, filters)
    if key in recent or _MANY in recent:
        return
    note = f"{page}: {describe(filters)}"
    if len(recent) >= MOST:
        key, note = _MANY, f"More than {MOST} filters within a quarter of an hour: the others are not listed."
    ledger.record(a.AUDIT_READ, policy.actor(request), target, note=note)
    request.session[SESSION_KEY] = recent | {key: int(time.time())}


def filters_of(request: Request, form: Form) -> dict[str, str]:
    """What was asked for in the address, as typed: only what the form knows, and no place in a list."""
    known = {name: request.GET.get(name, "") for name in sorted(form.fields) if name not in PLACES}
    return {name: value for name, value in known.items() if value}


def target_of(asked: dict[str, Any]) -> ledger.Target:
    """The vault and the secret that a filter names in full, so that the visit stands in their history."""
    vault, secret = str(asked.get("vault") or ""), str(asked.get("secret") or "")
    if not vault or vault.endswith("*"):
        return ledger.NOTHING
    return ledger.Target(vault, "" if secret.endswith("*") else secret)


def describe(filters: dict[str, str]) -> str:
    """A filter in words, as it stands in the ledger."""
    return ", ".join(f"{name} {value}" for name, value in filters.items()) or "no filter"


def _recent(request: Request) -> dict[str, int]:
    since = int(time.time()) - SAME_VISIT
    return {key: at for key, at in request.session.get(SESSION_KEY, {}).items() if at > since}


def _digest(page: str, filters: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps([page, filters], sort_keys=True).encode()).hexdigest()[:16]
