"""One vault's line on the coverage page: what its log is complete for, what is wrong with it, and what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from audit.coverage import Logged, blind, gaps_of, watermarks
from audit.ingest import COLUMNS
from audit.models import Watermark

TABLES = ("AZKVAuditLogs", "AzureDiagnostics")
# What a column tells, for people; the names are those of audit.ingest.COLUMNS.
TELLS = {
    "Status": "the outcome",
    "CorrelationId": "Azure's request id",
    "CallerIp": "the caller's address",
    "ClientInfo": "the client",
    "RequestUri": "the request",
    "ObjectUrl": "the object",
    "Claims": "the identity",
}
TROUBLE = frozenset({"blind", "failing", "no-table", "gaps", "no-columns"})
_BY_CODE = {"no-table": "no-table"}


@dataclass(frozen=True, slots=True)
class VaultCoverage:
    """What the page says of one vault. `text` is one or two sentences, `command` what makes a blind one seen, or "".

    `state` is the worst that is wrong with it: a word of badges' table "coverage".
    """

    vault: Logged
    mark: Watermark | None
    state: str
    text: str
    command: str
    gaps: list[tuple[datetime, datetime]]
    absent: list[str]  # what no row of a table ever told, in words
    tables: list[str]

    @property
    def complete_from(self) -> datetime | None:
        return self.mark.complete_from if self.mark else None

    @property
    def complete_up_to(self) -> datetime | None:
        return self.mark.complete_up_to if self.mark else None


def vault_coverage(vaults: Iterable[Logged]) -> list[VaultCoverage]:
    """A line for each vault, in the order given. One query beside the vaults' own."""
    watched = list(vaults)
    marks = watermarks(watched)
    return [_line(vault, marks.get(vault.name)) for vault in watched]


def _line(vault: Logged, mark: Watermark | None) -> VaultCoverage:
    absent = _absent(mark.columns) if mark else []
    state = _state(vault, mark, absent)
    return VaultCoverage(
        vault,
        mark,
        state,
        _text(state, vault, mark),
        command(vault) if state == "blind" and vault.log_state != "unreadable" else "",
        gaps_of(mark) if mark else [],
        absent,
        sorted(mark.columns) if mark else [],
    )


def _state(vault: Logged, mark: Watermark | None, absent: list[str]) -> str:
    if blind(vault, mark):
        return "blind"
    if mark is None:
        return "waiting" if vault.log_state == "ok" else "unchecked"
    wrong = {
        _BY_CODE.get(mark.code, "failing"): mark.code not in {"", "behind"},
        "waiting": mark.complete_up_to is None,
        "gaps": bool(mark.gaps),
        "no-columns": bool(absent),
        "behind": mark.code == "behind",
        "no-rows": not mark.columns,
    }
    return next((state for state, holds in wrong.items() if holds), "ok")


def _absent(columns: dict[str, list[str]]) -> list[str]:
    """What no row of a table ever told: Azure makes a column of AzureDiagnostics only when something fills it."""
    return [
        f"{TELLS[name]} ({table})" for table, seen in sorted(columns.items()) for name in COLUMNS if name not in seen
    ]


def _text(state: str, vault: Logged, mark: Watermark | None) -> str:
    if state == "blind":
        return _blind_text(vault)
    if state in {"failing", "behind"} and mark is not None:
        return mark.note
    return {
        "no-table": "The workspace has never received an access log of a key vault: neither table exists there.",
        "gaps": "Azure answered these stretches only in part, or kept their rows no longer when kvadmin asked.",
        "no-columns": "No row that came in has ever told what is named here.",
        "waiting": "The next look at the log takes it in.",
        "unchecked": "The next sweep asks where the vault sends its log.",
        "no-rows": "The log is answered, and holds no row yet. That is no proof that nobody called the vault.",
    }.get(state, "")


def _blind_text(vault: Logged) -> str:
    if vault.log_state == "no-setting":
        return "The vault has no diagnostic setting, so Azure writes no access log of it. This makes one:"
    if vault.log_state == "not-to-workspace":
        return "The vault sends its log to a storage account or an event hub only. This sends it to a workspace, too:"
    return (
        "kvadmin may see neither the vault's workspace nor its log. Give its identity Log Analytics Data Reader on the "
        "workspace, and Reader, or Monitoring Reader, on the vault and the workspace."
    )


def command(vault: Logged) -> str:
    """The Azure CLI command that lets the vault log its accesses; "" for a vault without an ARM id.

    `$WORKSPACE` is left to whoever runs it: only they know which workspace it should be.
    """
    if not vault.resource_id:
        return ""
    return (
        f"az monitor diagnostic-settings create --name kvadmin --resource {shlex.quote(vault.resource_id)} "
        '--workspace "$WORKSPACE" '
        """--logs '[{"category": "AuditEvent", "enabled": true}]' --export-to-resource-specific true"""
    )
