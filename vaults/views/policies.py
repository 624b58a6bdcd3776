"""Reveal policies: whether values in a scope are shown directly, after an approval, or not at all."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy, roles
from vaults.models import RevealPolicy
from vaults.preview import Preview, preview
from vaults.role_forms import PolicyForm
from vaults.views.roles import signed_in
from vaults.words import policy_words


@require_http_methods(["GET", "HEAD", "POST"])
def policy_list(request: Request) -> HttpResponse:
    """The policies in force; a POST puts one in force or, with `preview`, only counts what that would touch."""
    policy.require(request, a.POLICY_EDIT)
    form = PolicyForm(request.POST or None, by=signed_in(request))
    valid = request.method == "POST" and form.is_valid()
    if "preview" in request.POST:
        return _previewed(request, form)
    if valid:
        new = roles.set_policy(signed_in(request), policy.actor(request), form.policy(), form.groups)
        messages.success(request, f"In force: {new}.")
        return redirect("policies")
    return render(request, "vaults/policies.html", _context(request, form), status=422 if form.errors else 200)


def _previewed(request: Request, form: PolicyForm) -> HttpResponse:
    """The preview alone for htmx, which asks while the form is being filled in; else within the whole page."""
    context: dict[str, Any] = {"form": form, "preview": None if form.errors else _preview(request, form)}
    if request.htmx:
        return render(request, "vaults/_policy_preview.html", context)
    return render(
        request, "vaults/policies.html", _context(request, form) | context, status=422 if form.errors else 200
    )


def _preview(request: Request, form: PolicyForm) -> Preview | None:
    """Counted only as far as the person's own role reaches: beyond it, numbers would tell what they may not know."""
    new = form.policy()
    return preview(new, form.groups) if roles.reaches(signed_in(request), a.POLICY_EDIT, new) else None


def _context(request: Request, form: PolicyForm) -> dict[str, Any]:
    visible = _visible(request).filter(ended_at=None)
    in_force = list(visible.select_related("created_by").prefetch_related("approver_groups"))
    ordered = sorted(in_force, key=lambda one: one.specificity)
    return {
        "form": form,
        "policies": [(one, policy_words(one, (group.name for group in one.approver_groups.all()))) for one in ordered],
        "endable": roles.within_reach(signed_in(request), a.POLICY_EDIT, in_force),
        "vault_names": form.vaults.filter(vanished_at=None).values_list("name", flat=True)[:1000],
    }


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
