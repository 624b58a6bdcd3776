"""What Azure's log can and cannot know, vault by vault; and taking in older rows of it.

For whoever reads the audit pages, and for whoever runs the sweeps and could mend what is wrong: no row of a log is
shown here.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import trigger_client_event

from audit import backfill, ledger
from audit.coverage import kept_from
from audit.coverage_forms import BackfillForm, CoverageFilter
from audit.models import Backfill
from audit.vault_coverage import TROUBLE, VaultCoverage, vault_coverage
from kvadmin import actions as a
from kvadmin import badges
from kvadmin.http import Request
from vaults import policy, tasks
from vaults.models import Vault

PAGE = 50


@require_safe
def coverage(request: Request) -> HttpResponse:
    _require(request)
    if request.htmx and request.htmx.target == "backfill-progress":
        return _progress(request)
    form = CoverageFilter(request.GET)
    template = "audit/_coverage_table.html" if request.htmx else "audit/coverage.html"
    return render(request, template, _context(request, form), status=200 if form.is_valid() else 422)


def _require(request: Request) -> None:
    """Let in whoever may read the log, or mend it; anybody else is refused as a reader of the log is."""
    if not policy.may(request.user, a.VAULT_SYNC):
        policy.require(request, a.AUDIT_READ)


def _context(request: Request, form: CoverageFilter) -> dict[str, Any]:
    lines = vault_coverage(_vaults(request))
    found = _asked(lines, form.cleaned_data) if form.is_valid() else []
    return {
        "form": form,
        "counts": badges.tally("coverage", (line.state for line in lines)),
        "total": len(lines),
        "blind": [line for line in lines if line.state == "blind"],
        "lines": found[:PAGE],
        "next_after": found[PAGE - 1].vault.name if len(found) > PAGE else "",
        **_kept(request),
    }


def _vaults(request: Request) -> list[Vault]:
    names = policy.vaults_for(request.user, a.AUDIT_READ) | policy.vaults_for(request.user, a.VAULT_SYNC)
    return list(names.filter(vanished_at=None).order_by("name"))


def _asked(lines: list[VaultCoverage], asked: dict[str, Any]) -> list[VaultCoverage]:
    if asked["show"] == "trouble":
        lines = [line for line in lines if line.state in TROUBLE]
    elif asked["show"]:
        lines = [line for line in lines if line.state == asked["show"]]
    word = asked["vault"].lower()
    return [line for line in lines if word in line.vault.name and line.vault.name > asked["after"]]


def _kept(request: Request) -> dict[str, Any]:
    """From when on events are kept, and the back-fills, for whoever may start one."""
    may_fill = policy.may_everywhere(request.user, a.VAULT_SYNC).allowed
    return {
        "kept_days": settings.KVADMIN_AUDIT_DAYS,
        "kept_from": kept_from(),
        "may_fill": may_fill,
        "run": backfill.running() if may_fill else None,
        "last": Backfill.objects.exclude(finished_at=None).first() if may_fill else None,
        "fill_form": BackfillForm(),
    }


def _progress(request: Request) -> HttpResponse:
    """The progress alone, asked for every second; when it is over, the page is told so that it shows the result."""
    policy.require_everywhere(request, a.VAULT_SYNC)
    run = backfill.running()
    response = render(request, "audit/_backfill_progress.html", {"run": run})
    return response if run else trigger_client_event(response, "filled")


@require_POST
def fill(request: Request) -> HttpResponse:
    """Queue a back-fill of every log, its row and its job together, unless one is under way."""
    policy.require_everywhere(request, a.VAULT_SYNC)
    form = BackfillForm(request.POST)
    if not form.is_valid():
        context = _context(request, CoverageFilter({})) | {"fill_form": form}
        return render(request, "audit/coverage.html", context, status=422)
    with transaction.atomic():
        if backfill.running() is not None:
            messages.info(request, backfill.BUSY)
            return redirect("coverage")
        run = Backfill.objects.create(days=form.cleaned_data["days"], asked_by=str(request.user)[:150])
        tasks.backfill_audit.enqueue(run.pk)
        ledger.record(a.VAULT_SYNC, policy.actor(request), note=f"back-fill {run.pk}: {run.days} days of the log")
    return redirect("coverage")
