"""Deleting a secret, and the deleted ones: which there are, what Azure is still doing with them, recover, purge."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from audit import ledger
from audit.queries import last_reads
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import keeping, paging, policy, purge_rules, purges, step_up
from vaults.models import DeletedSecret, Health, Secret, Vault
from vaults.rules import Refusal
from vaults.views.roles import signed_in
from vaults.views.versions import FAILURES, Failure, status_of, told
from vaults.words import policy_words
from vaults.writing_forms import AskPurgeForm, DeletedFilter, PurgeForm, ReasonForm

NAMED = 20  # vaults whose deleted secrets are not known


# --- Lists -----------------------------------------------------------------------------------------------------------
@require_safe
def deleted(request: Request) -> HttpResponse:
    """The deleted secrets of all vaults that the person may see."""
    return _list(request, policy.visible_deleted(request.user), None)


@require_safe
def vault_deleted(request: Request, vault: str) -> HttpResponse:
    place = policy.require_within(request, a.SECRET_LIST, vault)
    return _list(request, policy.visible_deleted(request.user).filter(vault=place), place)


def _list(request: Request, found: QuerySet[DeletedSecret], vault: Vault | None) -> HttpResponse:
    form = DeletedFilter(request.GET)
    asked = form.cleaned_data["q"].lower() if form.is_valid() else ""
    found = found.filter(key__contains=asked) if form.is_valid() else found.none()
    page = paging.numbered(found.select_related("vault").order_by("key", "id"), request.GET.get("page", "1"))
    context: dict[str, Any] = {
        "page": page,
        "form": form,
        "filtered": bool(asked or form.errors),
        "vault": vault,
        "rows": [(item, _acts(request, item)) for item in page],
        "pending": any(item.is_pending for item in page),
        "unlisted": [] if vault else _unlisted(request),
        "here": reverse("vault-deleted", args=[vault.name]) if vault else reverse("deleted"),
    }
    template = "vaults/_deleted_table.html" if request.htmx else "vaults/deleted.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _unlisted(request: Request) -> list[Vault]:
    """Vaults whose deleted secrets the last sweep did not list: one that fails by its secrets is not asked for them."""
    listed = Q(deleted_note="", deleted_listed_at__isnull=False, health=Health.OK)
    return list(policy.visible_vaults(request.user).filter(~listed, vanished_at=None).order_by("name")[: NAMED + 1])


def _acts(request: Request, item: DeletedSecret) -> dict[str, Any]:
    """What this person may do with it: recover, purge, and why a purge is not possible."""
    may_purge = bool(policy.may(request.user, a.SECRET_PURGE, item.vault, item.key))
    recoverable = not item.is_pending and not item.managed
    return {
        "recover": recoverable and bool(policy.may(request.user, a.SECRET_RECOVER, item.vault, item.key)),
        "purge": may_purge,
        "why_not": purge_rules.why_not(item),
    }


# --- Delete ----------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_DELETE, vault, secret)
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _delete_page(request, item, form)
    try:
        keeping.delete(policy.actor(request), item, reason=form.cleaned_data["reason"])
    except FAILURES as error:
        return _delete_page(request, item, form, error)
    messages.info(request, f"Azure is deleting {item.name}. It can be recovered as soon as that is done.")
    return redirect("vault-deleted", item.vault.name)


def _delete_page(request: Request, item: Secret, form: ReasonForm, error: Failure | None = None) -> HttpResponse:
    allowed = policy.may(request.user, a.AUDIT_READ, item.vault, item.key)
    context = {
        "secret": item, "vault": item.vault, "form": form, "gone": item.vanished_at,
        "refusal": told(error) if error else "",
        "reads": last_reads(item.vault, item.key) if allowed else None,
    }  # fmt: skip
    return render(request, "vaults/delete.html", context, status=_status(error, form))


# --- Recover ---------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def recover(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_deleted(request, a.SECRET_RECOVER, vault, secret)
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _recover_page(request, item, form, _possible(item))
    try:
        keeping.recover(policy.actor(request), item, reason=form.cleaned_data["reason"])
    except FAILURES as error:
        return _recover_page(request, item, form, error)
    messages.info(request, f"Azure is recovering {item.name}. It takes some seconds until it can be read again.")
    return redirect("vault-deleted", item.vault.name)


def _possible(item: DeletedSecret) -> Refusal | None:
    try:
        keeping.recoverable(item)
    except Refusal as refusal:
        return refusal
    return None


def _recover_page(
    request: Request, item: DeletedSecret, form: ReasonForm, error: Failure | None = None
) -> HttpResponse:
    possible = _possible(item) is None
    context = {
        "item": item, "vault": item.vault, "form": form if possible else None, "refusal": told(error) if error else "",
    }  # fmt: skip
    posted = request.method == "POST"
    return render(request, "vaults/recover.html", context, status=_status(error if posted else None, form))


# --- Purge -----------------------------------------------------------------------------------------------------------
@require_http_methods(["GET", "HEAD", "POST"])
def purge(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_deleted(request, a.SECRET_PURGE, vault, secret)
    if url := _stale(request, item):
        return redirect(url)
    needs = purge_rules.approval_rule(item) is not None
    grant = purges.granted(signed_in(request), item) if needs else None
    if needs and grant is None:
        return _ask(request, item)
    form = PurgeForm(request.POST or None, name=item.name, by_grant=grant is not None, initial=_typed(request, item))
    if request.method != "POST" or not form.is_valid():
        return _purge_page(request, item, form=form, grant=grant)
    try:
        reason = grant.reason if grant else form.cleaned_data["reason"]
        purges.purge(signed_in(request), policy.actor(request), item, reason=reason)
    except FAILURES as error:
        return _purge_page(request, item, form=form, grant=grant, error=error)
    step_up.forget(request)
    messages.info(request, f"Azure is purging {item.name}. Its name stays taken for a while after that.")
    return redirect("vault-deleted", item.vault.name)


def _stale(request: Request, item: DeletedSecret) -> str:
    """Where to sign in again, if the policy wants a fresher sign-in for this; what the form held comes back then."""
    rule = policy.policy_for(item.vault, item.key)
    minutes = rule.sign_in_minutes if rule and request.method == "POST" else 0
    target = ledger.Target(item.vault.name, item.key)
    return step_up.require_fresh(request, minutes, _address(item), a.SECRET_PURGE, target)


def _address(item: DeletedSecret) -> str:
    return reverse("purge", args=[item.vault.name, item.name])


def _typed(request: Request, item: DeletedSecret) -> dict[str, str]:
    return step_up.draft(request, _address(item))


def _ask(request: Request, item: DeletedSecret) -> HttpResponse:
    """The policy wants an approval: the page asks for it, or says that it is being waited for."""
    waiting = purges.held(signed_in(request), item)
    ask = AskPurgeForm(request.POST or None, initial=_typed(request, item))
    error: Failure | None = None
    if request.method == "POST" and ask.is_valid():
        try:
            asked = purges.ask(signed_in(request), policy.actor(request), item, **ask.cleaned_data)
        except Refusal as refusal:
            error = refusal
            if refusal.field in ask.fields:
                ask.add_error(refusal.field, refusal.sentence)
        else:
            messages.success(request, "Asked. Once it is approved, you can purge the secret, once.")
            return redirect("request", asked.pk)
    return _purge_page(request, item, ask=None if waiting else ask, waiting=waiting, error=error)


def _purge_page(request: Request, item: DeletedSecret, *, error: Failure | None = None, **about: Any) -> HttpResponse:
    why_not = purge_rules.why_not(item)
    rule = purge_rules.approval_rule(item)
    form = about.get("form") or about.get("ask")
    context = {
        "item": item, "vault": item.vault, "why_not": why_not, "refusal": told(error) if error else "",
        "words": policy_words(rule, rule.approver_groups.values_list("name", flat=True)) if rule else [],
        **({} if why_not else about),
    }  # fmt: skip
    return render(request, "vaults/purge.html", context, status=_status(error, form))


def _status(error: Failure | None, form: Any) -> int:
    if error:
        return status_of(error)
    return 422 if form is not None and form.errors else 200
