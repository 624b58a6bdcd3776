"""People who can sign in, and what each of them holds."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import leaving, policy
from vaults.leaving_forms import EndAccessForm
from vaults.models import Person, RoleAssignment
from vaults.views.roles import signed_in

PAGE = 50


@require_GET
def people(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    text = request.GET.get("q", "")[:200]
    context = {"page": Paginator(_named(text), PAGE).get_page(request.GET.get("page")), "q": text}
    return render(request, "vaults/_people_table.html" if request.htmx else "vaults/people.html", context)


def _named(text: str) -> QuerySet[Person]:
    names = Q()
    if text := text.replace("\x00", ""):
        names = Q(username__icontains=text) | Q(first_name__icontains=text) | Q(last_name__icontains=text)
    now = timezone.now()
    mine = Q(role_assignments__ended_at=None) & (
        Q(role_assignments__ends_at=None) | Q(role_assignments__ends_at__gt=now)
    )
    return Person.objects.filter(names).annotate(held=Count("role_assignments", filter=mine)).order_by("username")


@require_GET
def person(request: Request, person_id: int) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    somebody = get_object_or_404(Person.objects.prefetch_related("groups"), pk=person_id)
    theirs = RoleAssignment.objects.filter(Q(person=somebody) | Q(group__in=somebody.groups.all()))
    roles = theirs.select_related("vault", "subscription", "group", "person", "created_by", "ended_by").order_by("-id")
    in_force = set(theirs.in_force().values_list("pk", flat=True))
    context = {
        "somebody": somebody,
        "held": [role for role in roles if role.pk in in_force],
        "past": [role for role in roles if role.pk not in in_force],
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
        "standing": leaving.standing(somebody),
        "decision": leaving.may_end(signed_in(request), somebody),
    }
    return render(request, "vaults/end_access.html", context, status=422 if form.errors else 200)
