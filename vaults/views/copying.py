"""A secret into another vault: first what it comes to, then the copy itself. The value never comes to the browser."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from audit import ledger
from kvadmin import actions as a
from kvadmin.gateway.keyvault import valid_name
from kvadmin.http import Request
from vaults import copying, policy, step_up
from vaults.copying import Plan
from vaults.models import Secret, Vault
from vaults.views.roles import signed_in
from vaults.views.versions import FAILURES, Failure, status_of, told
from vaults.views.writing import AGAIN
from vaults.wishes import changes
from vaults.writing_forms import NAME_RULE, ReasonForm


class CopyForm(ReasonForm):
    """Where to, under which name, and why. `seen` is the hash of what was shown and is confirmed."""

    vault = forms.ModelChoiceField(
        Vault.objects.none(), label="Into the vault", to_field_name="name", empty_label="Choose"
    )
    name = forms.CharField(
        max_length=127, widget=forms.TextInput({"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"})
    )
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    laxer = forms.BooleanField(required=False)
    field_order = ("vault", "name", "reason")

    def __init__(self, *args: Any, vaults: QuerySet[Vault], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["vault"]
        assert isinstance(field, forms.ModelChoiceField)  # noqa: S101 - for the type checker
        field.queryset = vaults

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not valid_name(name):
            raise forms.ValidationError(NAME_RULE)
        return name


@require_http_methods(["GET", "HEAD", "POST"])
def copy(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_COPY, vault, secret)
    vaults = policy.vaults_for(request.user, a.SECRET_SET).filter(vanished_at=None).select_related("subscription")
    back = reverse("copy", args=[item.vault.name, item.name])
    first = {"name": item.name, **step_up.draft(request, back)}
    form = CopyForm(request.POST or None, vaults=vaults, initial=first)
    if request.method != "POST" or not form.is_valid():
        return _page(request, item, form)
    place, name, reason = (form.cleaned_data[field] for field in ("vault", "name", "reason"))
    policy.require_name(request, a.SECRET_SET, place, name.lower(), reason=reason)
    return redirect(url) if (url := _stale(request, item, back)) else _confirmed(request, item, form)


def _confirmed(request: Request, item: Secret, form: CopyForm) -> HttpResponse:
    """What would change, to be looked at; done, where that is what was looked at."""
    place, name = form.cleaned_data["vault"], form.cleaned_data["name"]
    try:
        planned = copying.plan(item, place, name)
    except FAILURES as error:
        return _page(request, item, form, error)
    shown = _shown(item, place, name, planned)
    if form.cleaned_data["seen"] != shown["seen"]:
        return _page(request, item, form, stale=bool(form.cleaned_data["seen"]), **shown)
    try:
        person, actor = signed_in(request), policy.actor(request)
        confirmed, reason = form.cleaned_data["laxer"], form.cleaned_data["reason"]
        copying.copy(person, actor, item, place, name, planned, confirmed=confirmed, reason=reason)
    except FAILURES as error:
        return _page(request, item, form, error, **shown)
    messages.success(request, f"{item.name} is copied into {place}. Nobody was shown its value.")
    return redirect("secret", place.name, name)


def _stale(request: Request, item: Secret, back: str) -> str:
    """Where to sign in again, if the policy here wants a fresher sign-in for showing a value: a copy is no less."""
    rule = policy.policy_for(item.vault, item.key)
    minutes = rule.sign_in_minutes if rule else 0
    return step_up.require_fresh(request, minutes, back, a.SECRET_COPY, ledger.Target(item.vault.name, item.key))


def _shown(item: Secret, place: Vault, name: str, planned: Plan) -> dict[str, Any]:
    """What will change there, and the hash of it: of both sides, so that a later change makes it stale."""
    about = (item.vault.name, item.key, planned.source.version, place.name, name.lower(), planned.found.mark)
    return {
        "place": place,
        "planned": planned,
        "found": planned.found,
        "changes": changes(planned.found.wish, planned.wish),
        "seen": planned.wish.digest(*about, *planned.laxer),
    }


def _page(
    request: Request, item: Secret, form: CopyForm, error: Failure | None = None, *, stale: bool = False, **shown: Any
) -> HttpResponse:
    refusal = told(error) if error else AGAIN if stale else ""
    status = status_of(error) if error else 422 if form.errors else 409 if stale else 200
    context = {"secret": item, "vault": item.vault, "form": form, "refusal": refusal, **shown}
    return render(request, "vaults/copy.html", context, status=status)
