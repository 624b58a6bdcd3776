"""Reveal policies: whether values in a scope are shown directly, after an approval, or not at all."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy, roles
from vaults.models import RevealPolicy
from vaults.role_forms import PolicyForm
from vaults.views.roles import signed_in


@require_http_methods(["GET", "HEAD", "POST"])
def policy_list(request: Request) -> HttpResponse:
    policy.require(request, a.POLICY_EDIT)
    form = PolicyForm(request.POST or None, by=signed_in(request))
    if request.method == "POST" and form.is_valid():
        new = roles.set_policy(signed_in(request), policy.actor(request), form.policy())
        messages.success(request, f"In force: {new}.")
        return redirect("policies")
    in_force = list(_visible(request).filter(ended_at=None).select_related("created_by"))
    context = {
        "form": form,
        "policies": sorted(in_force, key=lambda p: p.specificity),
        "endable": roles.within_reach(signed_in(request), a.POLICY_EDIT, in_force),
        "vault_names": form.vaults.filter(vanished_at=None).values_list("name", flat=True)[:1000],
    }
    return render(request, "vaults/policies.html", context, status=422 if form.errors else 200)


def _visible(request: Request) -> QuerySet[RevealPolicy]:
    shown = policy.visible_scopes(request.user, a.POLICY_EDIT)
    return RevealPolicy.objects.filter(shown).select_related("vault", "subscription")


@require_POST
def end_policy(request: Request, policy_id: int) -> HttpResponse:
    policy.require(request, a.POLICY_EDIT)
    old = get_object_or_404(_visible(request), pk=policy_id)
    if roles.end_policy(signed_in(request), policy.actor(request), old):
        messages.success(request, f"Ended: {old}. Where no other policy reaches, nobody sees a value now.")
    else:
        messages.info(request, "This policy had ended already.")
    return redirect("policies")
