"""Import of values from a file: previewed, confirmed, written, and forgotten. Nothing of a value is ever sent back."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, JsonResponse, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from kvadmin import actions as a
from kvadmin.http import Request, takes_files
from vaults import import_files, imports, policy
from vaults.import_files import Parsed
from vaults.import_forms import ImportForm
from vaults.imports import MOST_ROWS, Plan
from vaults.models import Vault
from vaults.views.roles import signed_in

MOST_FILE = 1_000_000  # bytes of a file
MOST_SENT = 1_500_000  # of it as base64, with what was typed
NO_SCRIPT = (
    "An import needs JavaScript: a plain form would leave the file with the browser's history. Nothing was read."
)
TOO_LARGE = f"A file may have {MOST_FILE:,} bytes. Nothing was read: split it."
CHANGED = "The file, the choice or the vault is not what was previewed any more. Nothing was written; look at it again."


@takes_files
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("sent", "parsed")
def import_values(request: Request, vault: str) -> HttpResponse:
    place = policy.require_within(request, a.SECRET_SET, vault)
    if request.method != "POST":
        return render(request, "vaults/import.html", _page(place))
    sent = _sent(request)
    if isinstance(sent, str):
        return _error(sent)
    form = ImportForm(sent.data, previewing=not sent.data.get("seal"))
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        return _error(str(errors[0]), field=field)
    parsed = import_files.read(sent.content, form.cleaned_data["format"] or import_files.format_of(sent.name))
    if len(parsed.entries) > MOST_ROWS:
        return _error(f"This file has {len(parsed.entries):,} rows; {MOST_ROWS} are taken at a time. Split it.")
    return _answer(request, place, form, parsed)


def _page(place: Vault) -> dict[str, Any]:
    return {"vault": place, "form": ImportForm(), "most_rows": MOST_ROWS, "most_bytes": MOST_FILE}


@sensitive_variables("parsed", "planned", "results")
def _answer(request: Request, place: Vault, form: ImportForm, parsed: Parsed) -> JsonResponse:
    """The preview; or, with the seal of exactly this preview, the writing and its results."""
    planned = imports.plan(signed_in(request), place, parsed, form.choice)
    seal = form.cleaned_data["seal"]
    if not seal or seal != planned.seal or not planned.todo:
        told = {"problems": parsed.problems, "unit": parsed.unit}
        context = {"planned": planned, "vault": place, "changed": bool(seal), **told}
        return _fragment("vaults/_import_preview.html", context, planned, 409 if seal else 200)
    results = imports.write(policy.actor(request), place, planned, reason=form.cleaned_data["reason"])
    counts = dict.fromkeys(("done", "failed", "left", "skipped"), 0) | Counter(result.state for result in results)
    return _fragment("vaults/_import_result.html", {"results": results, "counts": counts, "vault": place}, None, 200)


def _fragment(template: str, context: dict[str, Any], planned: Plan | None, status: int) -> JsonResponse:
    """What the page shows; with a plan, also its seal, and how many rows it would write."""
    html = render_to_string(template, context)
    notice = CHANGED if context.get("changed") else ""
    seal, todo = (planned.seal, len(planned.todo)) if planned else ("", 0)
    return JsonResponse({"html": html, "seal": seal, "todo": todo, "error": notice}, status=status)


def _error(sentence: str, *, field: str = "") -> JsonResponse:
    return JsonResponse({"error": sentence, "field": field, "html": "", "seal": ""}, status=422)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the page's script sent: the form's fields, the file's name, and its content."""

    data: QueryDict
    name: str
    content: bytes


@sensitive_variables("text", "document", "content")
def _sent(request: Request) -> Sent | str:
    """What came, read once and never put on a disk, as an uploaded file would be; or the sentence that refuses it."""
    if not request.htmx or request.content_type != "application/json":
        return NO_SCRIPT
    text = request.read(MOST_SENT + 1)
    if len(text) > MOST_SENT:
        return TOO_LARGE
    try:
        document = json.loads(text)
        content = base64.b64decode(document["content"], validate=True)
        sent = Sent(QueryDict(document["form"]), str(document["name"])[:300], content)
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error):
        return NO_SCRIPT
    return sent if len(content) <= MOST_FILE else TOO_LARGE
