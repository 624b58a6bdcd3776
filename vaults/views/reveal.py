"""The reveal: the one view through which a value leaves kvadmin, in one answer that nothing may store."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from audit import ledger
from audit.ledger import LedgerUnavailable
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import Read
from kvadmin.gateway.on_behalf import OnBehalfOf
from kvadmin.http import Request
from vaults import drafts, grants, policy, reveals, rights, step_up
from vaults.access import access
from vaults.models import RevealRequest, Secret, State
from vaults.reveal_forms import RevealForm
from vaults.rules import Refusal
from vaults.views.roles import signed_in

OTHER_VERSION = "Your grant is not for this version. Open the secret's page without a version, and show it there."
# The status that each refusal travels with; every other code means that Azure, behind us, failed: 502.
STATUS = {
    "not-found": 404,
    "disabled": 409,
    "withheld": 409,
    "own-sign-in": 401,
    "too-many": 429,
    "throttled": 503,
    "ledger-unavailable": 503,
    "timeout": 504,
}


@require_POST
@sensitive_variables("read")
def reveal(request: Request, vault: str, secret: str) -> JsonResponse:
    item = policy.require_secret(request, a.SECRET_LIST, vault, secret)
    if not request.htmx:
        return _not_a_page()
    grant = _grant(request, item)
    if grant is None:
        asked = request.POST.get("reason", "")[:500]
        policy.require_secret(request, a.SECRET_REVEAL, vault, secret, reason=asked)
    form = RevealForm(request.POST, by_grant=grant is not None)
    if not form.is_valid():
        return _unclear(form)
    if refused := _not_so(request, item, grant, form):
        return refused
    own: OnBehalfOf | None = None
    try:
        own = rights.of(request, grant, ledger.Target(item.vault.name, item.key))
        read = _read(request, item, grant, form, own)
    except Refusal as refusal:
        return _error(refusal.sentence, refusal.status)
    except (GatewayError, LedgerUnavailable, reveals.TooManyReveals, grants.Withheld) as error:
        return _refused(request, item, error)
    html = _around(item, read, own)
    step_up.forget(request)
    return JsonResponse({"value": read.value.expose(), "html": html})


def _grant(request: Request, item: Secret) -> RevealRequest | None:
    """The grant that this reveal uses: an open one, unless it is for another version and none is needed.

    One that has just ended is used as well where nothing else allows the reveal: its refusal says why it ended.
    """
    me = signed_in(request)
    held = grants.held(me, item.pk)
    if held is None or held.state == State.PENDING:
        return None
    other = request.POST.get("version", "").lower() not in ("", held.version)
    ended = access(me, item).grant is None
    return None if (other or ended) and policy.may(me, a.SECRET_REVEAL, item.vault, item.key) else held


def _not_so(request: Request, item: Secret, grant: RevealRequest | None, form: RevealForm) -> JsonResponse | None:
    """A grant is for one version; and 401, with an address that leads back, where the sign-in has to be fresher."""
    if grant and form.cleaned_data["version"] not in {"", grant.version}:
        return _error(OTHER_VERSION, 409)
    rule = grant.policy if grant else policy.policy_for(item.vault, item.key)
    minutes = rule.sign_in_minutes if rule else 0
    back = reverse("secret", args=[item.vault.name, item.name])
    target = ledger.Target(item.vault.name, item.key)
    url = step_up.require_fresh(request, minutes, back, a.SECRET_REVEAL, target)
    return _error(step_up.sentence(minutes), 401, sign_in=url) if url else None


def _read(
    request: Request, item: Secret, grant: RevealRequest | None, form: RevealForm, own: OnBehalfOf | None
) -> Read:
    if grant:
        return grants.reveal(signed_in(request), policy.actor(request), grant.pk, own)
    return reveals.reveal(policy.actor(request), item, own=own, **form.cleaned_data)


def _not_a_page() -> JsonResponse:
    """A plain form would open the answer, and the value in it, as a page with an address and a history."""
    return _error("A value is shown within the secret's page only. Open that page, with JavaScript switched on.", 400)


def _unclear(form: RevealForm) -> JsonResponse:
    field, errors = next(iter(form.errors.items()))
    return _error(str(errors[0]), 422, field=field)


def _refused(
    request: Request, item: Secret, error: GatewayError | LedgerUnavailable | reveals.TooManyReveals | grants.Withheld
) -> JsonResponse:
    facts = {"advice": getattr(error, "advice", "")}
    if error.code == "own-sign-in" and signed_in(request).object_id:
        back = reverse("secret", args=[item.vault.name, item.name])
        drafts.keep(request, back)
        facts["sign_in"] = f"{reverse('sign-in-again')}?{urlencode({'next': back})}"
    response = _error(error.sentence, STATUS.get(error.code, 502), **facts)
    if retry_after := getattr(error, "retry_after", None):
        response["Retry-After"] = str(retry_after)
    return response


def _error(sentence: str, status: int, **facts: str) -> JsonResponse:
    return JsonResponse({"error": sentence, "advice": "", "field": "", **facts}, status=status)


def _around(item: Secret, read: Read, own: OnBehalfOf | None) -> str:
    """What stands around the value: facts and controls. The value itself is not among what the template gets."""
    used = rights.used(own)
    context = {"secret": item, "properties": read.properties, "rights": used}
    context |= {"hide_after": settings.KVADMIN_REVEAL_SECONDS}
    return render_to_string("vaults/_secret_value.html", context)


def reveal_context(request: Request, item: Secret, version: str = "") -> dict[str, Any]:
    """What `vaults/_reveal.html` needs: what this person can do now, and the form where they can see the value."""
    mine = access(signed_in(request), item)
    version = mine.grant.version if mine.grant else version
    shows = mine.kind in {"grant", "direct"}
    typed = step_up.draft(request, reverse("secret", args=[item.vault.name, item.name])) if shows else {}
    form = RevealForm(by_grant=mine.grant is not None, initial={"version": version, **typed}) if shows else None
    return {
        "access": mine,
        "reveal_decision": mine.decision,
        "reveal_form": form,
        "reveal_version": version,
        "rights": rights.said(mine.grant) if shows else None,
        "hide_after": settings.KVADMIN_REVEAL_SECONDS,
    }
