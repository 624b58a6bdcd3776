"""Asking to see a value."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.http import Request
from vaults import policy, requests
from vaults.access import held
from vaults.models import RevealPolicy, RevealRequest, Secret
from vaults.request_forms import AskForm
from vaults.rules import Refusal
from vaults.views.reveal import STATUS
from vaults.views.roles import signed_in
from vaults.words import policy_words

REVEAL = RevealRequest.Act.REVEAL


class NoVersion(Exception):
    """Azure does not tell which version is the latest, so none can be pinned."""


@require_http_methods(["GET", "POST"])
def ask(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_REQUEST, vault, secret)
    if request.method == "GET" and (refusal := _refused(request, item)):
        return _page(request, item, None, refusal=refusal.sentence, status=refusal.status)
    again = _again(request, item)
    rule = policy.policy_for(item.vault, item.key) or RevealPolicy()
    form = AskForm(request.POST or None, rule=rule, initial=_initial(again))
    if request.method != "POST" or not form.is_valid():
        return _page(request, item, form, rule, again=again, status=422 if form.errors else 200)
    return _ask(request, item, rule, form, again)


def _refused(request: Request, item: Secret) -> Refusal | None:
    """Why asking would lead nowhere, before anybody types a word."""
    try:
        requests.askable(signed_in(request), item)
    except Refusal as refusal:
        return refusal
    mine, _ = held(signed_in(request), item)
    if mine and mine.kind == RevealRequest.Kind.APPROVAL:
        return Refusal("duplicate", requests.already_open(mine.pk))
    return None


def _ask(
    request: Request, item: Secret, rule: RevealPolicy, form: AskForm, again: RevealRequest | None
) -> HttpResponse:
    """Ask, or say on the same page, with all that was typed, why not."""
    sentence, status = "", 200
    try:
        version = _version(item, rule)
        asked = requests.ask(
            signed_in(request), policy.actor(request), item, **form.cleaned_data, version=version, again=again
        )
    except Refusal as refusal:
        sentence, status = refusal.sentence, refusal.status
        if refusal.field in form.fields:
            form.add_error(refusal.field, sentence)
    except GatewayError as error:
        sentence, status = f"{error.sentence} {error.advice}".strip(), STATUS.get(error.code, 502)
    except NoVersion as error:
        sentence, status = str(error), 409
    else:
        messages.success(request, "Asked. You can follow it here, and withdraw it if you no longer need the value.")
        return redirect("request", asked.pk)
    return _page(request, item, form, rule, again=again, refusal=sentence, status=status)


def _version(item: Secret, rule: RevealPolicy) -> str:
    """The version to pin, where the policy says so: looked up without reading any value."""
    if rule.version_rule != RevealPolicy.VersionRule.PINNED:
        return ""
    listed = keyvault.list_properties_of_secret_versions(item.vault.uri, item.name)
    if listed.cut:
        raise NoVersion("This secret has more versions than Azure lists in order, so the latest cannot be pinned.")
    if not listed.versions:
        raise NoVersion("Azure shows no version of this secret any more, so there is nothing to ask for.")
    return listed.versions[0].version


def _again(request: Request, item: Secret) -> RevealRequest | None:
    """The person's own earlier request for this secret, from which they ask again."""
    number = request.POST.get("again") or request.GET.get("again") or ""
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return RevealRequest.objects.filter(requester=signed_in(request), secret=item, act=REVEAL, pk=int(number)).first()


def _initial(again: RevealRequest | None) -> dict[str, Any]:
    if again is None:
        return {}
    return {"reason": again.reason, "ticket": again.ticket, "minutes": again.minutes, "use": again.use}


def _page(
    request: Request,
    item: Secret,
    form: AskForm | None,
    rule: RevealPolicy | None = None,
    *,
    again: RevealRequest | None = None,
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "secret": item,
        "vault": item.vault,
        "form": form,
        "again": again,
        "refusal": refusal,
    }
    if rule and rule.pk:
        context["words"] = policy_words(rule, rule.approver_groups.values_list("name", flat=True))
    mine = RevealRequest.objects.filter(requester=signed_in(request), secret=item, act=REVEAL)
    context["latest"] = mine.first()
    return render(request, "vaults/ask.html", context, status=status)
