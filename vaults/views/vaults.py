"""The list of vaults, one vault with its secrets, and the registering of a vault that ARM does not show."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Page as NumberedPage
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from audit import ledger
from kvadmin import actions as a
from kvadmin.http import NotThere, Request
from vaults import paging, policy
from vaults.forms import RegisterForm, SecretsForm, VaultsForm
from vaults.holders import summary
from vaults.models import AzureAccess, Secret, Vault, VaultDetail
from vaults.standing import standing
from vaults.views.access import may_name_people
from vaults.warned import rung, warnings_of


@require_safe
def vault_list(request: Request) -> HttpResponse:
    visible = policy.visible_vaults(request.user)
    form = VaultsForm(request.GET, visible)
    found = form.narrow(visible) if form.is_valid() else visible.none()
    context = {
        "form": form,
        "page": _counted(request, paging.numbered(found.select_related("subscription"), request.GET.get("page", "1"))),
        "standing": standing(visible),
        "filtered": any(form.cleaned_data.get(name) for name in form.fields if name != "sort") or bool(form.errors),
        "may_register": bool(policy.may_everywhere(request.user, a.VAULT_SYNC)),
    }
    template = "vaults/_vaults_table.html" if request.htmx else "vaults/vaults.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _counted(request: Request, page: NumberedPage[Vault]) -> NumberedPage[Vault]:
    """Gives each vault `shown_count`: how many secrets the person may see, which by a prefix is only a part. And
    `rung`: its warnings; None where nobody could look.
    """
    rows = list(page)
    warned = rung(rows)
    partly = [item for item in rows if not policy.may(request.user, a.SECRET_LIST, item)]
    mine = policy.visible_secrets(request.user).filter(vault__in=partly, vanished_at=None).order_by()
    counts = dict(mine.values_list("vault").annotate(Count("pk"))) if partly else {}
    for item in rows:
        shown = counts.get(item.pk, 0) if item in partly else item.secret_count
        item.shown_count = shown if item.listed_at else None  # type: ignore[attr-defined] # None: not known
        item.rung = warned.get(item.pk)  # type: ignore[attr-defined]
    page.object_list = rows
    return page


@require_safe
def vault(request: Request, vault: str) -> HttpResponse:
    item = policy.require_vault(request, a.VAULT_LIST, vault)
    secrets = policy.visible_secrets(request.user).filter(vault=item)
    form = SecretsForm(request.GET)
    found = form.narrow(secrets) if form.is_valid() else secrets.none()
    context = {
        "vault": item,
        "form": form,
        "slice": _slice(found, form, request.GET.get("at", "")),
        "total": found.count(),
        "may_change": bool(policy.may_within(request.user, a.SECRET_UPDATE, item)),
        "may_set": bool(policy.may_within(request.user, a.SECRET_SET, item)) and not item.vanished_at,
        "may_list": bool(policy.may_within(request.user, a.SECRET_LIST, item)),
        "may_back_up": bool(policy.may(request.user, a.SECRET_BACKUP, item)) and not item.vanished_at,
        "may_restore": bool(policy.may(request.user, a.SECRET_RESTORE, item)) and not item.vanished_at,
        "may_browse": bool(policy.may(request.user, a.SECRET_LIST, item)),
        "filtered": any(form.cleaned_data.get(name) for name in ("q", "state")) or bool(form.errors),
    }
    if request.htmx:
        return render(request, "vaults/_secrets_table.html", context, status=422 if form.errors else 200)
    return render(request, "vaults/vault.html", context | _described(request, item), status=422 if form.errors else 200)


def _described(request: Request, item: Vault) -> dict[str, Any]:
    """What Azure says of the vault's set-up, what is amiss with it, and how many can read in it."""
    detail = VaultDetail.objects.filter(vault=item).first()
    rows = list(AzureAccess.objects.filter(vault=item))
    return {
        "detail": detail,
        "warnings": [] if item.vanished_at else warnings_of(item, detail, rows),
        "access": summary(rows),
        "may_name": may_name_people(request, item),
    }


def _slice(found: QuerySet[Secret], form: SecretsForm, cursor: str) -> paging.Slice:
    try:
        return paging.keyset(found, form.order, cursor)
    except paging.BadCursor:
        raise NotThere("This list has no such page. Open the vault again and page from its start.") from None


@require_http_methods(["GET", "HEAD", "POST"])
def register(request: Request) -> HttpResponse:
    policy.require_everywhere(request, a.VAULT_SYNC)
    form = RegisterForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _register(request, form):
        messages.success(request, f"{form.name} is registered. The next sweep lists it.")
        return redirect("sync")
    return render(request, "vaults/register_vault.html", {"form": form}, status=422 if form.errors else 200)


def _register(request: Request, form: RegisterForm) -> bool:
    """Adds the vault, or has one that vanished looked at again; False when it is known already."""
    uri, environment = form.cleaned_data["uri"], form.cleaned_data["environment"]
    known = Vault.objects.filter(name=form.name).first()
    if known is not None and known.vanished_at is None:
        form.add_error("uri", "kvadmin knows this vault already.")
        return False
    with transaction.atomic():
        item = known or Vault(name=form.name, shown_name=form.name)
        item.uri, item.registered, item.vanished_at = uri, True, None
        item.environment = environment or item.environment
        item.save()
        ledger.record(a.VAULT_SYNC, policy.actor(request), ledger.Target(item.name), note=f"registered {uri}")
    return True


def no_such_name(request: HttpRequest, rest: str) -> HttpResponse:
    """Every address below /vaults/ that holds a name which Azure would not allow, or leads nowhere."""
    raise NotThere("Names in Key Vault have 1 to 127 letters, digits and hyphens; this address holds no such name.")
