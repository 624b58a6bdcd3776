"""What the pages of batches share: how far one is, what came of each item, and the verbs that steer it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django_htmx.http import trigger_client_event

from kvadmin.http import Request
from vaults import batches, paging, policy
from vaults.models import Batch, BatchItem

PAGE = 50
VERBS = ("stop", "go-on", "retry")


def standing(batch: Batch, noun: str, pk: int, verbs: Iterable[str]) -> dict[str, Any]:
    """How far it is, and the addresses of those verbs that are possible now. `noun` ends the names of the addresses."""
    silent = batches.is_silent(batch)
    possible = {
        "stop": batch.state in {"queued", "running"},
        "go-on": batch.state in {"stopped", "failed"} or silent,
        "retry": not batch.is_open and batch.failed > 0,
    }
    acts = {verb: reverse(f"{verb}-{noun}", args=[pk]) for verb in verbs if possible[verb]}
    return {"batch": batch, "silent": silent, "acts": acts}


def progress(
    request: Request, batch: Batch, context: dict[str, Any], template: str = "vaults/_work_progress.html"
) -> HttpResponse | None:
    """The progress alone, as a page asks for it every second; None where the whole page is wanted.

    When it is over, the page is told so that it shows the result.
    """
    if not (request.htmx and request.htmx.target == "work-progress"):
        return None
    response = render(request, template, context)
    return response if batch.is_open else trigger_client_event(response, "work-over")


def items(request: Request, found: QuerySet[BatchItem]) -> dict[str, Any]:
    """A page of the items, of all or of those in the state that the address names."""
    state = request.GET.get("state", "")
    rows = found.filter(state=state) if state in BatchItem.State.values else found
    page = paging.numbered(rows, request.GET.get("page", "1"), size=PAGE)
    return {"page": page, "state": state, "states": BatchItem.State.choices}


def steer(request: Request, batch: Batch, verb: str, queue: batches.Queue) -> None:
    """Stop it, carry it on, or try its failed items again; the person is told when that is not possible now."""
    actor = policy.actor(request)
    try:
        if verb == "stop":
            batches.stop(batch, actor)
        else:
            (batches.go_on if verb == "go-on" else batches.retry)(batch, actor, queue)
    except batches.NotNow as problem:
        messages.info(request, str(problem))
