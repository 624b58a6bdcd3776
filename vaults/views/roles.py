"""Roles: who holds which, where, until when; assign one, end one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import paging, policy, roles
from vaults.models import Person, Role, RoleAssignment
from vaults.models.role import ROLE_ACTIONS, RoleAssignmentQuerySet
from vaults.role_forms import RoleForm, RolesFilter


@require_safe
def role_list(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    form, every = RolesFilter(request.GET), visible(request)
    found = form.narrow(every) if form.is_valid() else every.none()
    found = found.select_related("person", "group", "vault", "subscription", "created_by", "ended_by").order_by("-id")
    page = paging.numbered(found, request.GET.get("page", "1"))
    ended = form.cleaned_data.get("ended", False)
    context = {
        "form": form,
        "page": page,
        "endable": set() if ended else roles.within_reach(signed_in(request), a.ROLE_ASSIGN, page),
        "meaning": [(Role(role).label, sorted(map(str, acts))) for role, acts in ROLE_ACTIONS.items()],
        "ended": ended,
        "filtered": any(form.cleaned_data.values()) or bool(form.errors),
    }
    template = "vaults/_roles_table.html" if request.htmx else "vaults/roles.html"
    return render(request, template, context, status=422 if form.errors else 200)


def visible(request: Request) -> RoleAssignmentQuerySet:
    """The assignments that the person may know of."""
    return RoleAssignment.objects.filter(policy.visible_scopes(request.user, a.ROLE_ASSIGN))


@require_http_methods(["GET", "HEAD", "POST"])
def assign_role(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    initial = {"holder": request.GET.get("holder", "")[:170]}
    form = RoleForm(request.POST or None, by=signed_in(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        given = roles.assign_role(signed_in(request), policy.actor(request), form.assignment())
        messages.success(request, f"{given.holder} is now {given}.")
        return redirect("roles")
    context = {"form": form, **_suggestions(form)}
    return render(request, "vaults/assign_role.html", context, status=422 if form.errors else 200)


@require_POST
def end_role(request: Request, assignment_id: int) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    assignment = get_object_or_404(visible(request).select_related("vault", "subscription"), pk=assignment_id)
    if roles.end_role(signed_in(request), policy.actor(request), assignment):
        messages.success(request, f"Ended: {assignment}, of {assignment.holder}.")
    else:
        messages.info(request, "This role had ended already.")
    return redirect("roles")


def signed_in(request: Request) -> Person:
    """The signed-in person; policy.require has let them pass, so nobody anonymous gets here."""
    assert isinstance(request.user, Person)  # noqa: S101 - for the type checker only
    return request.user


def _suggestions(form: RoleForm) -> dict[str, Any]:
    people = Person.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)
    groups = Group.objects.order_by("name").values_list("name", flat=True)
    return {
        "holder_names": [*people[:500], *(f"group:{name}" for name in groups[:200])],
        "vault_names": form.vaults.filter(vanished_at=None).values_list("name", flat=True)[:1000],
    }
