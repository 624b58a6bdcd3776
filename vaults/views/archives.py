"""Backups of whole vaults: ask for one, watch it, fetch the file, have it removed."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import backups, batches, paging, policy
from vaults.archive_forms import BackupForm
from vaults.models import Archive, BatchItem, DeletedSecret, Secret, Vault
from vaults.views import steering
from vaults.views.roles import signed_in
from vaults.views.steering import PAGE

VERBS = ("stop", "go-on", "remove")
NO_SUCH = "No such archive, or none that you may see."
NOT_YOURS = "An archive is handed to whoever asked for it, so that the ledger tells who holds what. Make your own."


@require_http_methods(["GET", "HEAD", "POST"])
def backup(request: Request, vault: str) -> HttpResponse:
    """What a backup will hold and leave out, and the form that asks for one."""
    place = policy.require_vault(request, a.SECRET_BACKUP, vault)
    form = BackupForm(request.POST or None)
    running = backups.under_way(place)
    if request.method == "POST" and running:
        return _under_way(request, running)
    if request.method == "POST" and form.is_valid():
        keys, reason = form.cleaned_data["recipients"], form.cleaned_data["reason"]
        try:
            made = backups.ask(signed_in(request), policy.actor(request), place, keys, reason=reason)
        except batches.NotNow:
            return _under_way(request, backups.under_way(place))
        return redirect("archive", made.pk)
    live = Secret.objects.filter(vault=place, vanished_at=None)
    context = {
        "vault": place,
        "form": form,
        "running": running,
        "total": live.count(),
        "managed": live.filter(managed=True).count(),
        "deleted": DeletedSecret.objects.filter(vault=place).count(),
        "days": settings.KVADMIN_ARCHIVE_DAYS,
        "always": settings.KVADMIN_BACKUP_RECIPIENTS,
        "archives": _visible(request).filter(vault=place)[:5],
    }
    return render(request, "vaults/backup.html", context, status=422 if form.errors else 200)


def _under_way(request: Request, running: Archive | None) -> HttpResponse:
    messages.info(request, backups.UNDER_WAY)
    return redirect("archive", running.pk) if running else redirect("archives")


def _visible(request: Request) -> QuerySet[Archive]:
    """The archives of the vaults that this person may back up as a whole: a role for a part of one is not enough."""
    person = signed_in(request)
    vaults = [vault.pk for vault in policy.vaults_for(person, a.SECRET_BACKUP) if _may(request, vault)]
    return Archive.objects.filter(vault__in=vaults).select_related("vault", "batch__asked_by")


def _may(request: Request, vault: Vault) -> bool:
    return policy.may(request.user, a.SECRET_BACKUP, vault).allowed


@require_safe
def archive_list(request: Request) -> HttpResponse:
    policy.require(request, a.SECRET_BACKUP)
    page = paging.numbered(_visible(request), request.GET.get("page", "1"))
    return render(request, "vaults/archives.html", {"page": page})


def _archive(request: Request, pk: int) -> Archive:
    """The archive, for somebody who may back its vault up. 404 when they may not know of it; else 403, recorded."""
    found = Archive.objects.select_related("vault__subscription", "batch__asked_by").filter(pk=pk).first()
    if found is None or not policy.visible_vaults(request.user).filter(pk=found.vault_id).exists():
        raise Http404(NO_SUCH)
    policy.require_vault(request, a.SECRET_BACKUP, found.vault.name)
    return found


@require_safe
def archive(request: Request, pk: int) -> HttpResponse:
    found = _archive(request, pk)
    context = _standing(request, found)
    if alone := steering.progress(request, found.batch, context):
        return alone
    left_out = found.batch.items.filter(state__in=[BatchItem.State.SKIPPED, BatchItem.State.FAILED]).order_by("pk")
    context["page"] = paging.numbered(left_out, request.GET.get("page", "1"), size=PAGE)
    return render(request, "vaults/_archive.html" if request.htmx else "vaults/archive.html", context)


def _standing(request: Request, found: Archive) -> dict[str, Any]:
    """How far it is, and what may be done with it now."""
    batch, there = found.batch, found.removed_at is None
    verbs = ("stop", "go-on") if there and batches.may_steer(signed_in(request), batch) else ()
    return {
        **steering.standing(batch, "archive", found.pk, verbs),
        "archive": found,
        "here": reverse("archive", args=[found.pk]),
        "mine": batch.asked_by_id == request.user.pk,
        "may_remove": there and not batch.is_open,
    }


@require_POST
def download(request: Request, pk: int) -> HttpResponse | StreamingHttpResponse:
    """The file, streamed, for whoever asked for it: what they hold is on record under their name, secret by secret."""
    found = _archive(request, pk)
    if found.batch.asked_by_id != request.user.pk:
        raise NotThere(NOT_YOURS)
    if not found.is_there:
        raise NotThere("This archive is not there: it is not done yet, or was removed.")
    try:
        chunks = backups.hand_out(found, policy.actor(request))
    except OSError:
        raise NotThere("The file is not where it should be. Do web and worker share KVADMIN_ARCHIVE_DIR?") from None
    response = StreamingHttpResponse(chunks, content_type="application/x-tar")
    response["Content-Length"] = str(found.size)
    name = f"{found.vault.name}-{found.made_at:%Y%m%dT%H%MZ}.kvadmin.tar"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_POST
def act(request: Request, pk: int, verb: str) -> HttpResponse:
    """Stop it, carry it on, or remove the file."""
    found = _archive(request, pk)
    if verb == "remove":
        if found.batch.is_open:
            messages.info(request, "It is still being made: stop it first.")
        else:
            backups.remove(found, policy.actor(request))
        return redirect("archive", pk)
    if verb not in _standing(request, found)["acts"]:
        messages.info(request, "This is not possible now, or not for you: only whoever asked for it can steer it.")
        return redirect("archive", pk)
    steering.steer(request, found.batch, verb, backups.enqueue)
    return redirect("archive", pk)
