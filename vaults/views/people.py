"""People who can sign in, and what each of them holds."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import leaving, paging, policy, roles
from vaults.leaving_forms import EndAccessForm
from vaults.models import Person
from vaults.role_forms import NameFilter
from vaults.views.roles import signed_in, visible


@require_safe
def people(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    form = NameFilter(request.GET)
    found = Person.objects.filter(form.names) if form.is_valid() else Person.objects.none()
    held = Count("role_assignments", filter=Q(role_assignments__in=visible(request).in_force()))
    found = found.annotate(held=held).order_by("username")
    context = {"form": form, "page": paging.numbered(found, request.GET.get("page", "1"))}
    template = "vaults/_people_table.html" if request.htmx else "vaults/people.html"
    return render(request, template, context, status=422 if form.errors else 200)


@require_safe
def person(request: Request, person_id: int) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    somebody = get_object_or_404(Person.objects.prefetch_related("groups"), pk=person_id)
    found = visible(request).filter(Q(person=somebody) | Q(group__in=somebody.groups.all()))
    theirs = found.select_related("vault", "subscription", "group", "person", "created_by", "ended_by").order_by("-id")
    in_force = set(found.in_force().values_list("pk", flat=True))
    held = [role for role in theirs if role.pk in in_force]
    own = [role for role in held if role.person]  # a group's role is ended for the whole group, on the roles page
    context = {
        "somebody": somebody,
        "held": held,
        "endable": roles.within_reach(signed_in(request), a.ROLE_ASSIGN, own),
        "past": [role for role in theirs if role.pk not in in_force],
        "may_end_sessions": policy.may_everywhere(request.user, a.SESSION_REVOKE).allowed,
        "may_end": leaving.may_end(signed_in(request), somebody).allowed,
    }
    return render(request, "vaults/person.html", context)


@require_http_methods(["GET", "POST"])
def end_access(request: Request, person_id: int) -> HttpResponse:
    for action in leaving.NEEDED:
        policy.require(request, action)
    somebody = get_object_or_404(Person, pk=person_id)
    form = EndAccessForm(somebody, request.POST or None)
    if request.method == "POST" and form.is_valid():
        ended = leaving.end_access(
            signed_in(request), policy.actor(request), somebody, reason=form.cleaned_data["reason"]
        )
        messages.success(request, f"The account of {somebody} is closed. Ended: {ended}.")
        return redirect("person", somebody.pk)
    context = {
        "form": form,
        "somebody": somebody,
        "standing": leaving.standing(signed_in(request), somebody),
        "decision": leaving.may_end(signed_in(request), somebody),
    }
    return render(request, "vaults/end_access.html", context, status=422 if form.errors else 200)
