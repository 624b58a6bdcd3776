"""The sweep: ask for one, watch it, see the last ones. A sweep's counts cover all vaults: only for vault:sync."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from audit import ledger
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy, tasks
from vaults.models import SyncRun
from vaults.sync import running

FEW = 20


@require_http_methods(["GET", "HEAD", "POST"])
def sync(request: Request) -> HttpResponse:
    policy.require_everywhere(request, a.VAULT_SYNC)
    if request.method == "POST":
        return _ask(request)
    run = running()
    if request.htmx and request.htmx.target == "sync-progress":
        return _progress(request, run)
    context = {"run": run, "runs": SyncRun.objects.all()[:FEW]}
    return render(request, "vaults/_sync_runs.html" if request.htmx else "vaults/sync.html", context)


def _progress(request: Request, run: SyncRun | None) -> HttpResponse:
    """The progress alone, asked for every second; when it is over, the page is told so that it shows the result."""
    response = render(request, "vaults/_sync_progress.html", {"run": run})
    return response if run else trigger_client_event(response, "swept")


def _ask(request: Request) -> HttpResponse:
    """Queue a sweep, its row and its job together, unless one is under way."""
    with transaction.atomic():
        if running() is not None:
            messages.info(request, "A sweep is already running: this is how far it is.")
            return redirect("sync")
        run = SyncRun.objects.create(asked_by=str(request.user)[:150])
        tasks.sync_inventory.enqueue(run.pk)
        ledger.record(a.VAULT_SYNC, policy.actor(request), note=f"sweep {run.pk}")
    return redirect("sync")
