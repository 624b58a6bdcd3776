"""A restore from an archive: open it, see what would happen to each secret, start it, watch it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from kvadmin import actions as a
from kvadmin import badges
from kvadmin.http import NotThere, Request, takes_archive
from vaults import batches, policy, restores, sealing
from vaults.archive_forms import RestoreForm
from vaults.archive_reading import BadArchive, identity_of
from vaults.models import Batch, Upload, Vault
from vaults.restore_run import BROKEN
from vaults.restores import Planned
from vaults.views import steering
from vaults.views.roles import signed_in
from vaults.views.steering import PAGE, VERBS
from vaults.writing_forms import ReasonForm

REMOVED = (
    f"This archive was removed: it waited for too long, or you uploaded {restores.MOST_WAITING} newer ones. "
    "Upload it again."
)
NO_ROOM = "The archive could not be kept on this server for the worker. Look at KVADMIN_ARCHIVE_DIR: is the disk full?"


def _may_restore(request: Request, vault: str) -> Vault:
    return policy.require_vault(request, a.SECRET_RESTORE, vault)


@takes_archive(_may_restore)
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("identity")
@sensitive_variables("form", "identity")
def restore(request: Request, vault: str) -> HttpResponse:
    """The form sends the file with a script, so that a mistake leaves what was chosen where it is."""
    place = _may_restore(request, vault)
    form = RestoreForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        upload = _take_in(request, place, form)
        if upload is not None:
            where = reverse("restore-upload", args=[upload.pk])
            return HttpResponseClientRedirect(where) if request.htmx else redirect(where)
    template = "vaults/_restore_errors.html" if request.htmx else "vaults/restore.html"
    return render(
        request,
        template,
        {"vault": place, "form": form, "most_waiting": restores.MOST_WAITING},
        status=422 if form.errors else 200,
    )


@sensitive_variables("form", "identity")
def _take_in(request: Request, place: Vault, form: RestoreForm) -> Upload | None:
    """The sealed archive; None, with what is wrong at its field."""
    try:
        identity = identity_of(form.cleaned_data["identity"])
        return restores.take_in(signed_in(request), place, form.cleaned_data["archive"].file, identity)
    except BadArchive as error:
        form.add_error("identity" if error.code in {"no-key", "wrong-key"} else "archive", error.sentence)
    except OSError:
        form.add_error("archive", NO_ROOM)
    return None


def _upload(request: Request, pk: int) -> Upload:
    """What this very person has opened, as long as they may restore into that vault."""
    mine = Upload.objects.select_related("vault__subscription", "batch__asked_by").filter(by=signed_in(request))
    found = mine.filter(pk=pk).first()
    if found is None:
        raise Http404("No such restore, or none of yours.")
    policy.require_vault(request, a.SECRET_RESTORE, found.vault.name)
    return found


@require_safe
def upload(request: Request, pk: int) -> HttpResponse:
    """The preview until it is started, and then how far it is."""
    found = _upload(request, pk)
    if found.batch is not None:
        return _running(request, found, found.batch)
    return _preview(request, found, _plan(found), ReasonForm())


def _plan(found: Upload) -> list[Planned]:
    if found.removed_at:
        raise NotThere(REMOVED)
    try:
        return restores.plan(found)
    except (sealing.Broken, OSError):
        raise NotThere(BROKEN) from None


def _preview(request: Request, found: Upload, planned: list[Planned], form: ReasonForm) -> HttpResponse:
    state = request.GET.get("state", "")
    shown = [one for one in planned if one.state == state] if state in restores.STATES else planned
    counts = badges.tally("restore", (one.state for one in planned))
    context = {
        "upload": found,
        "vault": found.vault,
        "facts": found.facts,
        "made": _moment(found.facts.get("made")),
        "form": form,
        "free": restores.free(planned),
        "counts": counts,
        "why_not": [(look.label, restores.WHY_NOT[word]) for word, look, n in counts if n and word in restores.WHY_NOT],
        "here": reverse("restore-upload", args=[found.pk]),
        "state": state,
        "doubts": restores.doubts(found.vault, found.facts),
        "page": Paginator(shown, PAGE).get_page(request.GET.get("page", "1")),
    }
    return render(request, "vaults/restore_preview.html", context, status=422 if form.errors else 200)


def _moment(text: object) -> datetime | None:
    """When the archive says that it was made; it may say anything."""
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@require_POST
def start(request: Request, pk: int) -> HttpResponse:
    """Restore what is free, as the preview says; what has changed meanwhile is found out secret by secret."""
    found = _upload(request, pk)
    if found.batch is not None:
        return redirect("restore-upload", pk)
    planned, form = _plan(found), ReasonForm(request.POST)
    if not form.is_valid():
        return _preview(request, found, planned, form)
    if not restores.free(planned):
        messages.info(request, "No secret of this archive can be restored into this vault.")
        return redirect("restore-upload", pk)
    try:
        restores.ask(found, planned, policy.actor(request), reason=form.cleaned_data["reason"])
    except batches.NotNow as problem:
        messages.info(request, str(problem))
    return redirect("restore-upload", pk)


def _running(request: Request, found: Upload, batch: Batch) -> HttpResponse:
    context = _standing(found, batch)
    if alone := steering.progress(request, batch, context):
        return alone
    context |= steering.items(request, batch.items.order_by("pk"))
    return render(request, "vaults/_restored.html" if request.htmx else "vaults/restored.html", context)


def _standing(found: Upload, batch: Batch) -> dict[str, Any]:
    """How far it is, and what may be done with it now: without what was uploaded, nothing can be done again."""
    verbs = VERBS if found.removed_at is None else ("stop",)
    here = reverse("restore-upload", args=[found.pk])
    return {"upload": found, "vault": found.vault, "here": here, **steering.standing(batch, "restore", found.pk, verbs)}


@require_POST
def act(request: Request, pk: int, verb: str) -> HttpResponse:
    """Stop it, carry it on, or try its failed items again."""
    found = _upload(request, pk)
    batch = found.batch
    if batch is None or verb not in _standing(found, batch)["acts"]:
        messages.info(request, "This is not possible now.")
        return redirect("restore-upload", pk)
    steering.steer(request, batch, verb, restores.enqueue)
    return redirect("restore-upload", pk)
