"""Findings: the list, one of them with its evidence, and taking note."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, Q, QuerySet, When
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit import findings, names, queries
from audit.finding_forms import AcknowledgeForm, FindingFilter
from audit.finding_models import DirectoryName, Finding, SavedView, Severity
from audit.ledger import Target
from audit.models import AccessEvent
from audit.rules import BY_WORD, RULES
from audit.views import visits
from audit.views.saved import saved_context
from audit.views.scope import entries_for, events_for, findings_for
from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy

PAGE = 50
MOST_AT_ONCE = 200
LOUDNESS = Case(*(When(severity=word, then=rank) for rank, word in enumerate(Severity.values)), default=9)
NOTHING_CHOSEN = "Choose the findings that you take note of."


@require_safe
def finding_list(request: Request) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    form = FindingFilter(request.GET)
    template = "audit/_findings_table.html" if request.htmx else "audit/findings.html"
    context = {"form": form, "rules": RULES, **saved_context(request, SavedView.Page.FINDINGS, form)}
    if not form.is_valid():
        return render(request, template, context, status=422)
    visits.on_record(request, "findings", visits.filters_of(request, form), visits.target_of(form.cleaned_data))
    return render(request, template, context | _listed(request, form))


def _listed(request: Request, form: FindingFilter) -> dict[str, Any]:
    mine = findings_for(request.user)
    page = Paginator(filtered(mine, form.cleaned_data), PAGE).get_page(request.GET.get("page"))
    return {"page": page, "rows": dressed(page.object_list), "counts": findings.open_counts(mine)}


def filtered(found: QuerySet[Finding], asked: dict[str, Any]) -> QuerySet[Finding]:
    """Those that the filter lets through: the loudest first, and of these the latest."""
    if asked["state"] != "any":
        found = found.filter(acknowledged_at__isnull=asked["state"] != "acknowledged")
    if asked["person"]:
        ids = DirectoryName.objects.filter(name__icontains=asked["person"]).values("identifier")
        found = found.filter(Q(who__icontains=asked["person"]) | Q(object_id__in=ids))
    exact = {name: asked[name] for name in ("rule", "severity") if asked[name]}
    places = queries.named("vault", asked["vault"]) & queries.named("secret", asked["secret"])
    return found.filter(places, **exact).order_by(LOUDNESS, "-last_at", "-id")


def dressed(found: Any) -> list[dict[str, Any]]:
    """Each finding with its rule, and the name that somebody filled in for its identity. One query."""
    rows = list(found)
    known = names.names_of(finding.object_id for finding in rows)
    return [{"finding": one, "rule": BY_WORD.get(one.rule), "named": known.get(one.object_id, "")} for one in rows]


@require_safe
def finding(request: Request, finding_id: int) -> HttpResponse:
    policy.require(request, a.AUDIT_READ)
    found = get_object_or_404(findings_for(request.user), pk=finding_id)
    visits.on_record(request, "finding", {"number": str(finding_id)}, Target(found.vault, found.secret))
    return render(request, "audit/finding.html", {"form": AcknowledgeForm(), **_one(request, found)})


def _one(request: Request, found: Finding) -> dict[str, Any]:
    evidence = list(found.evidence.order_by("-pk").values_list("event", "ledger_seq")[:PAGE])
    events = _events(request, [event for event, _ in evidence if event is not None])
    seqs = [seq for _, seq in evidence if seq is not None]
    entries = list(entries_for(request.user).filter(seq__in=seqs).order_by("-seq"))
    row = dressed([found])[0]
    return {**row, "row": row, "events": events, "entries": entries, "shown": len(events) + len(entries)}


def _events(request: Request, ids: list[int]) -> list[AccessEvent]:
    rows = list(events_for(request.user).filter(pk__in=ids).defer("raw").order_by("-at", "-id"))
    names.attach(rows)
    return rows


@require_POST
def acknowledge(request: Request) -> HttpResponse:
    """Take note of those that were chosen. Which they are, and the list's filters, come with the form."""
    policy.require(request, a.AUDIT_READ)
    form = AcknowledgeForm(request.POST)
    chosen = [int(pk) for pk in request.POST.getlist("finding") if pk.isascii() and pk.isdigit() and len(pk) < 19]
    back = f"{reverse('findings')}?{QueryDict(request.POST.get('back', '')[:4000]).urlencode()}"
    if not form.is_valid() or not chosen:
        why = NOTHING_CHOSEN if not chosen else "Say why, in a few words."
        if len(chosen) == 1:
            return _again(request, chosen[0], form)
        messages.error(request, f"Nothing was acknowledged. {why}")
        return redirect(back)
    mine = findings_for(request.user).filter(pk__in=chosen[:MOST_AT_ONCE])
    count = findings.acknowledge(policy.actor(request), mine, form.cleaned_data["reason"])
    messages.success(request, f"You took note of {count} finding{'s' if count != 1 else ''}.")
    return redirect(back)


def _again(request: Request, finding_id: int, form: AcknowledgeForm) -> HttpResponse:
    """The finding's own page, with what is wrong beside the field and what was typed in it."""
    found = get_object_or_404(findings_for(request.user), pk=finding_id)
    return render(request, "audit/finding.html", {"form": form, **_one(request, found)}, status=422)
