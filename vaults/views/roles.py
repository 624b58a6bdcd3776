"""Roles: who holds which, where, until when; assign one, end one."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy, roles
from vaults.models import Person, Role, RoleAssignment, Vault
from vaults.models.role import ROLE_ACTIONS
from vaults.role_forms import RoleForm

PAGE = 50


@require_GET
def role_list(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    found = _filtered(request.GET.get("q", ""), request.GET.get("role", ""), ended="ended" in request.GET)
    context = {
        "page": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "roles": Role.choices,
        "meaning": [(Role(role).label, sorted(map(str, acts))) for role, acts in ROLE_ACTIONS.items()],
        "q": request.GET.get("q", "")[:200],
        "role": request.GET.get("role", ""),
        "ended": "ended" in request.GET,
    }
    return render(request, "vaults/_roles_table.html" if request.htmx else "vaults/roles.html", context)


def _filtered(text: str, role: str, *, ended: bool) -> QuerySet[RoleAssignment]:
    every = RoleAssignment.objects.all()
    found = every.exclude(pk__in=every.in_force().values("pk")) if ended else every.in_force()
    if role in Role.values:
        found = found.filter(role=role)
    if text := text[:200].replace("\x00", ""):
        names = Q()
        for field in ("person__username", "person__first_name", "person__last_name", "group__name", "vault__name"):
            names |= Q(**{f"{field}__icontains": text})
        found = found.filter(names)
    return found.select_related("person", "group", "vault", "subscription", "created_by", "ended_by").order_by("-id")


@require_http_methods(["GET", "POST"])
def assign_role(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    form = RoleForm(request.POST or None, initial={"holder": request.GET.get("holder", "")[:170]})
    if request.method == "POST" and form.is_valid():
        given = roles.assign_role(signed_in(request), policy.actor(request), form.assignment())
        messages.success(request, f"{given.holder} is now {given}.")
        return redirect("roles")
    return render(request, "vaults/assign_role.html", {"form": form, **_suggestions()}, status=_status(form))


@require_POST
def end_role(request: Request, assignment_id: int) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    assignment = get_object_or_404(RoleAssignment.objects.select_related("vault", "subscription"), pk=assignment_id)
    if roles.end_role(signed_in(request), policy.actor(request), assignment):
        messages.success(request, f"Ended: {assignment}, of {assignment.holder}.")
    else:
        messages.info(request, "This role had ended already.")
    return redirect("roles")


def signed_in(request: Request) -> Person:
    """The signed-in person; policy.require has let them pass, so nobody anonymous gets here."""
    assert isinstance(request.user, Person)  # noqa: S101 - for the type checker only
    return request.user


def _status(form: RoleForm) -> int:
    return 422 if form.errors else 200


def _suggestions() -> dict[str, Any]:
    people = Person.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)
    groups = Group.objects.order_by("name").values_list("name", flat=True)
    return {
        "holder_names": [*people[:500], *(f"group:{name}" for name in groups[:200])],
        "vault_names": Vault.objects.filter(vanished_at=None).values_list("name", flat=True)[:1000],
    }
