"""A generated value: made here, sent once in an answer that nothing may store, and forgotten."""

from __future__ import annotations

from django.http import JsonResponse
from django.views.decorators.http import require_POST

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy
from vaults.generator import generate as make
from vaults.generator_forms import GeneratorForm

NOT_A_PAGE = "A value is made within the form that takes it only, with JavaScript switched on."


@require_POST
def generate(request: Request) -> JsonResponse:
    """For whoever may write a secret somewhere. It is no secret's value yet, so that nothing goes on record."""
    policy.require(request, a.SECRET_SET)
    if not request.htmx:  # a plain form would open the answer as a page with an address and a history
        return JsonResponse({"error": NOT_A_PAGE, "field": ""}, status=400)
    form = GeneratorForm(request.POST)
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        return JsonResponse({"error": str(errors[0]), "field": field}, status=422)
    return JsonResponse({"value": make(form.rules), "words": f"{form.rules}; about {form.rules.bits:,} bits."})
