"""The leaver's list. Duties are separate: an auditor sees what was read, an administrator what is held, and ends it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from audit import export, leavers, ledger
from audit.coverage import coverage
from audit.leavers import Line
from audit.readers import Reader
from audit.views import visits
from audit.views.export import Recorded, as_file, refused
from audit.views.readers import is_known, resolve
from audit.views.scope import audits_everything, entries_for, events_for
from kvadmin import actions as a
from kvadmin import badges
from kvadmin.http import Request
from vaults import leaving, policy
from vaults.inventory import StoredInventory
from vaults.models import Person

LONGEST = 300
CUT = (
    "The list is cut, so it is not exported: a file would not show that. The timeline's export, filtered by this name, "
    "has every read."
)
COLUMNS = (
    "vault", "secret", "version", "state", "state_since", "why", "first_read", "last_read", "reads_around_kvadmin",
    "reads_through_kvadmin", "inventory_as_of",
)  # fmt: skip


@require_safe
def leaver(request: Request) -> HttpResponse:
    reads, ends = _duties(request)
    asked = request.GET.get("person", "").strip()[:LONGEST].replace("\x00", "")
    context: dict[str, Any] = {"asked": asked, "may_read": reads, "may_end": ends}
    if asked:
        if reads:
            visits.on_record(request, "leavers", {"person": asked})
        context |= _found(request, asked, reads=reads, ends=ends)
    return render(request, "audit/leavers.html", context)


def _duties(request: Request) -> tuple[bool, bool]:
    """Whether this person may see what was read, and whether what is held. Whoever may do neither is refused."""
    reads = policy.may(request.user, a.AUDIT_READ).allowed
    ends = all(policy.may(request.user, action) for action in leaving.NEEDED)
    if not ends:
        policy.require(request, a.AUDIT_READ)
    return reads, ends


def _found(request: Request, asked: str, *, reads: bool, ends: bool) -> dict[str, Any]:
    found, account = resolve(asked)
    context: dict[str, Any] = {"reader": found, "known": is_known(found, account)}
    if reads:
        context |= _list(request, found, account)
    if ends and account:
        context |= {
            "account": account,
            "standing": leaving.standing(_me(request), account),
            "decision": leaving.may_end(_me(request), account),
        }
    return context


def _list(request: Request, found: Reader, account: Person | None) -> dict[str, Any]:
    """Who is nowhere in what this auditor may see goes by what was typed: their names are nobody's business."""
    rows = _lines(request, found, a.AUDIT_READ)
    hidden = not rows and not audits_everything(request.user)
    return {
        "lines": rows,
        "counts": badges.tally("leaver", (line.state for line in rows)),
        "called": found.address if hidden else str(found),
        "coverage": coverage(policy.vaults_for(request.user, a.AUDIT_READ).filter(vanished_at=None)),
        "export": policy.may(request.user, a.AUDIT_EXPORT).allowed,
        "cut": rows.cut,
    }


def _lines(request: Request, found: Reader, action: a.Action) -> leavers.Lines:
    events, entries = events_for(request.user, action), entries_for(request.user, action)
    return leavers.lines(found, events, entries, StoredInventory())


def _me(request: Request) -> Person:
    assert isinstance(request.user, Person)  # noqa: S101 - for the type checker: policy has let them pass
    return request.user


@require_POST
def export_list(request: Request) -> HttpResponse | StreamingHttpResponse:
    """The list as CSV that no spreadsheet takes for formulas; the export is on record."""
    policy.require(request, a.AUDIT_EXPORT)
    asked = request.GET.get("person", "").strip()[:LONGEST].replace("\x00", "")
    if not asked:
        return redirect("leavers")
    found, _ = resolve(asked)
    rows = _lines(request, found, a.AUDIT_EXPORT)
    if rows.cut:
        return refused(request, "leavers", CUT)
    lines = export.table(COLUMNS, map(_cells, rows))
    act = ledger.start(a.AUDIT_EXPORT, policy.actor(request), note=f"leaver's list as csv: {asked}")
    return as_file(Recorded(lines, act, "csv"), "leaver", "csv")


def _cells(line: Line) -> Iterable[Any]:
    version = line.version or ("every version (backup through kvadmin)" if line.backed_up else "every version (backup)")
    since = line.at if line.state in {"rotated", "gone"} else None
    state = badges.find("leaver", line.state).label
    return (
        line.vault, line.secret, version, state, since, line.why, line.first_read, line.last_read, line.around,
        line.through, line.as_of,
    )  # fmt: skip
