"""The reveal: the one view through which a value leaves kvadmin, in one answer that nothing may store."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from audit.ledger import LedgerUnavailable
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import Read
from kvadmin.http import Request
from vaults import policy, reveals
from vaults.models import Secret
from vaults.reveal_forms import RevealForm

# The status that each refusal travels with; every other code means that Azure, behind us, failed: 502.
STATUS = {
    "not-found": 404,
    "disabled": 409,
    "too-many": 429,
    "throttled": 503,
    "ledger-unavailable": 503,
    "timeout": 504,
}


@require_POST
@sensitive_variables("read")
def reveal(request: Request, vault: str, secret: str) -> JsonResponse:
    asked = request.POST.get("reason", "")[:500]
    item = policy.require_secret(request, a.SECRET_REVEAL, vault, secret, reason=asked)
    form = RevealForm(request.POST)
    if not request.htmx:
        return _not_a_page()
    if not form.is_valid():
        return _unclear(form)
    try:
        read = reveals.reveal(policy.actor(request), item, **form.cleaned_data)
    except (GatewayError, LedgerUnavailable, reveals.TooManyReveals) as error:
        return _refused(error)
    html = _around(item, read)
    return JsonResponse({"value": read.value.expose(), "html": html})


def _not_a_page() -> JsonResponse:
    """A plain form would open the answer, and the value in it, as a page with an address and a history."""
    error = "A value is shown within the secret's page only. Open that page, with JavaScript switched on."
    return JsonResponse({"error": error, "advice": "", "field": ""}, status=400)


def _unclear(form: RevealForm) -> JsonResponse:
    field, errors = next(iter(form.errors.items()))
    return JsonResponse({"error": errors[0], "advice": "", "field": field}, status=422)


def _refused(error: GatewayError | LedgerUnavailable | reveals.TooManyReveals) -> JsonResponse:
    facts = {"error": error.sentence, "advice": getattr(error, "advice", ""), "field": ""}
    response = JsonResponse(facts, status=STATUS.get(error.code, 502))
    if retry_after := getattr(error, "retry_after", None):
        response["Retry-After"] = str(retry_after)
    return response


def _around(item: Secret, read: Read) -> str:
    """What stands around the value: facts and controls. The value itself is not among what the template gets."""
    context = {"secret": item, "properties": read.properties, "hide_after": settings.KVADMIN_REVEAL_SECONDS}
    return render_to_string("vaults/_secret_value.html", context)


def reveal_context(request: HttpRequest, item: Secret, version: str = "") -> dict[str, Any]:
    """What `vaults/_reveal.html` needs: the decision for this person, and the form where it is a yes."""
    decision = policy.may(request.user, a.SECRET_REVEAL, item.vault, item.key)
    return {
        "reveal_decision": decision,
        "reveal_form": RevealForm(initial={"version": version}) if decision else None,
        "reveal_version": version,
        "hide_after": settings.KVADMIN_REVEAL_SECONDS,
    }
