"""Names of ids: administrators fill them in, auditors look them up."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from audit import ledger, names
from audit.finding_forms import NamesForm
from audit.finding_models import DirectoryName
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy
from vaults.models import ScopeKind
from vaults.policy import Decision, Refused

PAGE = 50
EVERYWHERE = "Names are shown on every page, so only who may assign roles everywhere fills them in."


@require_http_methods(["GET", "HEAD", "POST"])
def name_list(request: Request) -> HttpResponse:
    if not _may_read(request):
        policy.require(request, a.ROLE_ASSIGN)
    if request.method == "POST":
        return _fill(request)
    return _page(request, NamesForm())


def _page(request: Request, form: NamesForm, status: int = 200) -> HttpResponse:
    text = request.GET.get("q", "")[:200].replace("\x00", "")
    page = Paginator(_named(text), PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "q": text, "form": form, "may_fill": may_fill(request), "may_read": _may_read(request)}
    template = "audit/_names_table.html" if request.htmx and request.method != "POST" else "audit/names.html"
    return render(request, template, context, status=status)


def _named(text: str) -> QuerySet[DirectoryName]:
    return DirectoryName.objects.filter(Q(name__icontains=text) | Q(identifier__startswith=text.lower()))


def _may_read(request: Request) -> bool:
    return policy.may(request.user, a.AUDIT_READ).allowed


def may_fill(request: Request) -> bool:
    held = policy.assignments(request.user)
    return any(a.ROLE_ASSIGN in role.actions and role.scope_kind == ScopeKind.EVERYTHING for role in held)


def _fill(request: Request) -> HttpResponse:
    policy.require(request, a.ROLE_ASSIGN)
    if not may_fill(request):
        ledger.refuse(a.ROLE_ASSIGN, policy.actor(request), code="beyond-reach", note=EVERYWHERE)
        raise Refused(Decision(allowed=False, reason=EVERYWHERE, code="beyond-reach"))
    form = NamesForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form, status=422)
    added, changed = names.fill(policy.actor(request), form.rows)
    messages.success(request, f"{added} name{'s' if added != 1 else ''} added, {changed} changed.")
    return redirect("names")
