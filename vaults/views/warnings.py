"""The board: which vaults have which warnings."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import Case, Count, IntegerField, Max, Prefetch, Q, QuerySet, Value, When
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import paging, policy
from vaults.forms import TOO_LONG
from vaults.models import Vault, VaultDetail, VaultWarning

Level = VaultWarning.Level
# What each rule is called where warnings are chosen by their kind.
LABELS = {
    "no-soft-delete": "No soft delete",
    "no-logs": "No access log",
    "no-purge-protection": "No purge protection",
    "open-network": "Open network",
    "wide-firewall": "Wide firewall",
    "access-policies": "Access policies",
    "access-unknown": "Readers unknown",
    "across-environments": "Identity across environments",
    "mixed-environments": "Mixed environments",
    "wide-roles": "Wide roles",
    "wide-policies": "Wide access policies",
    "template-deployment": "Template deployments",
    "no-environment": "No environment",
}
# The loudest first, with the words and the tone of its figure.
LEVELS = (
    (Level.SERIOUS, "vaults with a serious warning", "bad"),
    (Level.WARNING, "vaults with a warning", "warn"),
    (Level.NOTE, "vaults with a note", ""),
)
RANK = Case(
    When(warnings__level=Level.SERIOUS, then=Value(3)),
    When(warnings__level=Level.WARNING, then=Value(2)),
    default=Value(1),
    output_field=IntegerField(),
)


class WarningsForm(forms.Form):
    """The filter above the board. Its environments are those of the person's own vaults."""

    q = forms.CharField(label="Name contains", required=False, max_length=200, error_messages=TOO_LONG)
    level = forms.ChoiceField(required=False, choices=[("", "Any"), *Level.choices])
    kind = forms.ChoiceField(required=False, choices=[("", "Any"), *LABELS.items()])
    environment = forms.ChoiceField(required=False)

    def __init__(self, data: Any, vaults: QuerySet[Vault]) -> None:
        super().__init__(data)
        names = vaults.exclude(environment="").order_by("environment").values_list("environment", flat=True).distinct()
        field: Any = self.fields["environment"]
        field.choices = [("", "Any"), *((name, name) for name in names)]

    @property
    def wanted(self) -> Q:
        """The warnings that the valid form asks for."""
        asked = self.cleaned_data
        wanted = Q(level=asked["level"]) if asked["level"] else Q()
        return wanted & Q(code=asked["kind"]) if asked["kind"] else wanted

    def narrow(self, vaults: QuerySet[Vault]) -> QuerySet[Vault]:
        """The vaults that have such a warning, those with the most serious ones first."""
        asked = self.cleaned_data
        vaults = vaults.filter(vanished_at=None, warnings__in=VaultWarning.objects.filter(self.wanted))
        if asked["q"]:
            vaults = vaults.filter(name__contains=asked["q"].lower())
        if asked["environment"]:
            vaults = vaults.filter(environment=asked["environment"])
        shown = Prefetch("warnings", VaultWarning.objects.filter(self.wanted), to_attr="shown_warnings")
        loudest = vaults.annotate(loudest=Max(RANK), rings=Count("warnings"))
        return loudest.order_by("-loudest", "-rings", "name").prefetch_related(shown)


@require_safe
def warning_list(request: Request) -> HttpResponse:
    policy.require(request, a.VAULT_LIST)
    visible = policy.visible_vaults(request.user)
    form = WarningsForm(request.GET, visible)
    found = form.narrow(visible) if form.is_valid() else visible.none()
    context = {
        "form": form,
        "page": paging.numbered(found.select_related("subscription"), request.GET.get("page", "1")),
        "counts": _counts(visible),
        "known": _known(visible),
        "labels": LABELS,
        "filtered": any(form.cleaned_data.values()) or bool(form.errors),
    }
    template = "vaults/_warnings_table.html" if request.htmx else "vaults/warnings.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _counts(visible: QuerySet[Vault]) -> list[tuple[str, str, str, int]]:
    """How many of the person's vaults have a warning of each level."""
    rows = VaultWarning.objects.filter(vault__in=visible.filter(vanished_at=None)).order_by()
    found = dict(rows.values_list("level").annotate(Count("vault", distinct=True)))
    return [(level, words, tone, found.get(level, 0)) for level, words, tone in LEVELS]


def _known(visible: QuerySet[Vault]) -> dict[str, Any]:
    """How much of what the person sees the rules could look at, and as of when."""
    there = visible.filter(vanished_at=None)
    described = VaultDetail.objects.filter(vault__in=there)
    unread = ~Q(access_state="ok")
    return {
        "vaults": there.count(),
        **described.aggregate(
            described=Count("pk"), unread=Count("pk", filter=unread), as_of=Max("described_at"), looked=Max("access_at")
        ),
    }
