"""Breaking the glass: a value at once, for its named holders, in the open."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit import ledger
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import break_glass as glass
from vaults import policy, step_up
from vaults.approvers import approvers
from vaults.models import RevealPolicy, Secret
from vaults.request_forms import BreakGlassForm
from vaults.rules import Refusal
from vaults.views.roles import signed_in
from vaults.words import span


@require_http_methods(["GET", "POST"])
def break_glass(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_BREAK_GLASS, vault, secret)
    rule = policy.policy_for(item.vault, item.key) or RevealPolicy()
    if request.method == "GET" and (refusal := _refused(request, item)):
        return _page(request, item, None, rule, refusal=refusal, status=refusal.status)
    if url := _stale(request, item, rule):
        return redirect(url)
    path = reverse("break-glass", args=[item.vault.name, item.name])
    form = BreakGlassForm(request.POST or None, rule=rule, initial=step_up.draft(request, path))
    if request.method != "POST" or not form.is_valid():
        return _page(request, item, form, rule, status=422 if form.errors else 200)
    return _break(request, item, rule, form)


def _stale(request: Request, item: Secret, rule: RevealPolicy) -> str:
    """An emergency asks for a sign-in within five minutes, or fewer where the policy says so."""
    minutes = min(step_up.BREAK_GLASS_MINUTES, rule.sign_in_minutes or step_up.BREAK_GLASS_MINUTES)
    back = reverse("break-glass", args=[item.vault.name, item.name])
    return step_up.require_fresh(request, minutes, back, a.SECRET_BREAK_GLASS, ledger.Target(item.vault.name, item.key))


def _refused(request: Request, item: Secret) -> Refusal | None:
    try:
        glass.open_here(signed_in(request), item)
    except Refusal as refusal:
        return refusal
    return None


def _break(request: Request, item: Secret, rule: RevealPolicy, form: BreakGlassForm) -> HttpResponse:
    """Break it, or say on the same page, with all that was typed, why not."""
    try:
        glass.break_glass(signed_in(request), policy.actor(request), item, **form.cleaned_data)
    except Refusal as refusal:
        if refusal.field in form.fields:
            form.add_error(refusal.field, refusal.sentence)
        return _page(request, item, form, rule, refusal=refusal, status=refusal.status)
    step_up.forget(request)
    messages.warning(request, f"The glass is broken for {span(rule.break_glass_minutes)}. Every approver is told now.")
    return redirect("secret", item.vault.name, item.name)


def _page(
    request: Request,
    item: Secret,
    form: BreakGlassForm | None,
    rule: RevealPolicy,
    *,
    refusal: Refusal | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "secret": item,
        "vault": item.vault,
        "form": form,
        "refusal": refusal.sentence if refusal else "",
        "span": span(rule.break_glass_minutes),
        "told": len(approvers(item, signed_in(request))) if form else 0,
    }
    return render(request, "vaults/break_glass.html", context, status=status)
