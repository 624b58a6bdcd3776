"""A new secret, and a new version of one. The value comes as JSON, so that no browser changes a byte of it.

First what will change is shown: without the value, which is not sent for that. Then the value is sent, once, with what
was confirmed; it goes into its wrapper at once, and into no form, no page and no row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from audit.ledger import LedgerUnavailable
from kvadmin import actions as a
from kvadmin.gateway import deleted, rules
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.values import SecretValue
from kvadmin.http import Request
from vaults import keeping, limbo, policy
from vaults.generator_forms import GeneratorForm
from vaults.models import DeletedSecret, Secret, Vault
from vaults.newest import Newest, newest
from vaults.rules import Refusal
from vaults.views.reveal import STATUS as READ_STATUS
from vaults.wishes import changes, expiry_question
from vaults.writing_forms import NewForm, SetForm

# The status that each error of Azure travels with; every other code means that Azure, behind us, failed: 502.
STATUS = READ_STATUS | {
    "deleted-recoverable": 409, "being-deleted": 409, "conflict": 409, "not-deleted": 409, "managed": 409,
    "purge-protected": 409, "refused": 422,
}  # fmt: skip
AGAIN = "What will change is not what was shown any more. Look at it again, then write it."
CONFIRM = "Confirm that, or give another date."
NO_SCRIPT = "Writing a value needs JavaScript: a plain form would change its line breaks. Nothing was written."


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("sent")
def new_secret(request: Request, vault: str) -> HttpResponse:
    place = policy.require_within(request, a.SECRET_SET, vault)
    if request.method != "POST":
        initial = {"name": request.GET.get("name", "")[:127]}
        return _page(request, place, NewForm(initial=initial), Newest(None, ""))
    sent = _sent(request)
    if sent is None:
        return _error(NO_SCRIPT, 400)
    form = NewForm(sent.data)
    if not form.is_valid():
        return _unclear(form)
    name = form.cleaned_data["name"]
    reason = form.cleaned_data["reason"]
    policy.require_name(request, a.SECRET_SET, place, name.lower(), reason=reason)
    return _answer(request, place, name, form, sent, None)


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("sent")
def set_secret(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_SET, vault, secret)
    sent = _sent(request) if request.method == "POST" else None
    if request.method == "POST" and sent is None:
        return _error(NO_SCRIPT, 400)
    try:
        found = newest(item.vault, item.name)
    except GatewayError as error:
        return _failed(error) if sent else _page(request, item.vault, None, None, item=item, error=error)
    if sent is None:
        form = SetForm(before=found.wish, initial={"mark": found.mark})
        return _page(request, item.vault, form, found, item=item)
    form = SetForm(sent.data, before=found.wish)
    return _answer(request, item.vault, item.name, form, sent, found) if form.is_valid() else _unclear(form)


@dataclass(frozen=True, slots=True)
class Sent:
    """What came: the form's fields and, when it is to be written, the value in its wrapper."""

    data: QueryDict
    value: SecretValue | None


@sensitive_variables("document")
def _sent(request: Request) -> Sent | None:
    """What the page's script sent; None for anything else, such as a plain form."""
    if not request.htmx:
        return None
    if request.content_type != "application/json":
        return Sent(request.POST, None)
    try:
        document = json.loads(request.body)
        return Sent(QueryDict(document["form"]), SecretValue(document["value"] + ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


@sensitive_variables("sent")
def _answer(request: Request, vault: Vault, name: str, form: SetForm, sent: Sent, found: Newest | None) -> JsonResponse:
    """Show what will change; or, with a value, write it if that is what was shown."""
    try:
        found = found or newest(vault, name)
        if found.mark != form.cleaned_data["mark"] or sent.value is None:
            return _review(request, vault, name, form, found)
        if refused := _not_so(vault, name, form, found):
            return refused
        keeping.set_secret(
            policy.actor(request), vault, name, sent.value, form.wish, mark=found.mark,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
    except Refusal as refusal:
        return _error(refusal.sentence, refusal.status, overtaken=refusal.code == "newer-version")
    except GatewayError as error:
        return _failed(error, *_way_out(request, vault, name, error))
    except LedgerUnavailable as error:
        return _error(error.sentence, 503)
    messages.success(request, f"{'A new version of ' if found.mark else ''}{name} is written.")
    return JsonResponse({"next": reverse("secret", args=[vault.name, name])})


def _review(request: Request, vault: Vault, name: str, form: SetForm, found: Newest) -> JsonResponse:
    """What will change, on top of what is there now; 409 when that is not what the form was filled in for."""
    overtaken = found.mark != form.cleaned_data["mark"]
    who = keeping.writer(vault, name.lower(), found.properties) if overtaken and found.properties else ""
    exists = overtaken and isinstance(form, NewForm)
    context = {
        "vault": vault, "name": name, "found": found, "overtaken": overtaken, "exists": exists, "who": who,
        "changes": changes(found.wish, form.wish),
        "question": expiry_question(found.wish, form.wish, timezone.now()),
    }  # fmt: skip
    html = render_to_string("vaults/_review.html", context, request)
    seen = "" if overtaken else _digest(vault, name, form, found)
    return JsonResponse({"html": html, "seen": seen, "mark": found.mark}, status=409 if overtaken else 200)


def _digest(vault: Vault, name: str, form: SetForm, found: Newest) -> str:
    return form.wish.digest("set", vault.name, name.lower(), found.mark)


def _not_so(vault: Vault, name: str, form: SetForm, found: Newest) -> JsonResponse | None:
    """Why it is not written as it was sent: it was not shown like this, or a question is open."""
    if form.cleaned_data["seen"] != _digest(vault, name, form, found):
        return _error(AGAIN, 409)
    question = expiry_question(found.wish, form.wish, timezone.now())
    if question and not form.cleaned_data["keep_expiry"]:
        return _error(f"{question} {CONFIRM}", 422, field="keep_expiry")
    return None


def _unclear(form: SetForm) -> JsonResponse:
    errors = {name: str(found[0]) for name, found in form.errors.items()}
    return JsonResponse({"errors": errors, "error": "Nothing was written. What is wrong stands beside it."}, status=422)


def _failed(error: GatewayError, html: str = "") -> JsonResponse:
    """What Azure did not do; and where that is not certain, that it is not."""
    sentence = f"{error.sentence} {error.advice}".strip()
    if not error.definite and error.status != 429:
        sentence = f"{error.sentence} {keeping.UNKNOWN}"
    return _error(sentence, STATUS.get(error.code, 502), html=html)


def _error(sentence: str, status: int, **facts: Any) -> JsonResponse:
    return JsonResponse({"error": sentence, **facts}, status=status)


def _way_out(request: Request, vault: Vault, name: str, error: GatewayError) -> tuple[str]:
    """For a name that a deleted secret holds: since when and until when, and for whoever may, how to bring it back."""
    if error.code != "deleted-recoverable":
        return ("",)
    item = _deleted(vault, name)
    may = bool(policy.may(request.user, a.SECRET_RECOVER, vault, name.lower()))
    return (render_to_string("vaults/_taken_name.html", {"item": item, "vault": vault, "name": name, "may": may}),)


def _deleted(vault: Vault, name: str) -> DeletedSecret | None:
    """The deleted secret of this name, asked from Azure where no list has shown it yet."""
    known = DeletedSecret.objects.filter(vault=vault, key=name.lower()).first()
    try:
        found = None if known else deleted.get_deleted_secret(vault.uri, name)
    except GatewayError:
        found = None
    return known or (limbo.found(vault, found) if found else None)


def _page(
    request: Request,
    vault: Vault,
    form: SetForm | None,
    found: Newest | None,
    *,
    item: Secret | None = None,
    error: GatewayError | None = None,
) -> HttpResponse:
    managed = bool(found and found.properties and found.properties.managed)
    context = {
        "vault": vault, "secret": item, "form": None if managed else form, "found": found, "error": error,
        "managed": managed, "most_bytes": rules.MOST_BYTES, "generator": GeneratorForm(),
        "post_url": reverse("set", args=[vault.name, item.name]) if item else reverse("new-secret", args=[vault.name]),
    }  # fmt: skip
    return render(request, "vaults/set.html", context, status=STATUS.get(error.code, 502) if error else 200)
