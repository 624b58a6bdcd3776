"""Changing what is there: properties of a version, and an old version written anew. No value is typed or shown.

Both work as plain pages: the first POST shows what will change, and the second one, with the hash of that, does it.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from audit.ledger import LedgerUnavailable
from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.http import Request
from vaults import keeping, policy
from vaults.models import Secret
from vaults.newest import newest_and, one_version
from vaults.rules import Refusal
from vaults.views.browsing import version_of
from vaults.views.writing import AGAIN, CONFIRM, STATUS
from vaults.wishes import Wish, changes, expiry_question
from vaults.writing_forms import PropertiesForm, RollBackForm, UpdateForm

Failure = GatewayError | Refusal | LedgerUnavailable
FAILURES = (GatewayError, Refusal, LedgerUnavailable)


@require_http_methods(["GET", "HEAD", "POST"])
def update(request: Request, vault: str, secret: str) -> HttpResponse:
    """New properties of one version, without a new one."""
    item, template = policy.require_secret(request, a.SECRET_UPDATE, vault, secret), "vaults/update.html"
    try:
        found, is_newest = one_version(item.vault, item.name, version_of(request))
    except FAILURES as error:
        return _page(request, template, item, error=error)
    before = Wish.like(found)
    form = UpdateForm(request.POST or None, before=before, initial={"version": found.version})
    about: dict[str, Any] = {"found": found, "is_newest": is_newest, "form": None if found.managed else form}
    if request.method != "POST" or not form.is_valid():
        return _page(request, template, item, **about)
    about |= _shown(item, form, before, found.version)
    try:
        keeping.changed(before, form.wish)
        if form.cleaned_data["seen"] != about["seen"]:
            return _page(request, template, item, stale=bool(form.cleaned_data["seen"]), **about)
        reason = form.cleaned_data["reason"]
        keeping.update(policy.actor(request), item, found.version, form.wish, before=before, reason=reason)
    except FAILURES as error:
        return _page(request, template, item, error=error, **about)
    messages.success(request, f"The properties of {item.name} are changed.")
    return redirect("secret", item.vault.name, item.name)


@require_http_methods(["GET", "HEAD", "POST"])
def roll_back(request: Request, vault: str, secret: str) -> HttpResponse:
    """The value of an old version as a new one, with the old version's properties or others."""
    item, template = policy.require_secret(request, a.SECRET_SET, vault, secret), "vaults/roll_back.html"
    try:
        found, old = newest_and(item.vault, item.name, version_of(request))
    except FAILURES as error:
        return _page(request, template, item, error=error)
    first = {"version": old.version, "mark": found.mark, "enabled": True}
    form = RollBackForm(request.POST or None, before=Wish.like(old), initial=first)
    about: dict[str, Any] = {"found": found, "old": old, "form": None if old.managed else form}
    if request.method != "POST" or not form.is_valid():
        return _page(request, template, item, **about)
    question = expiry_question(found.wish, form.wish, timezone.now())
    about |= _shown(item, form, found.wish, old.version, found.mark) | {"question": question}
    if form.cleaned_data["seen"] != about["seen"]:
        return _page(request, template, item, stale=bool(form.cleaned_data["seen"]), **about)
    if question and not form.cleaned_data["keep_expiry"]:
        form.add_error("keep_expiry", CONFIRM)
        return _page(request, template, item, **about)
    try:
        reason = form.cleaned_data["reason"]
        keeping.roll_back(policy.actor(request), item, old.version, form.wish, mark=found.mark, reason=reason)
    except FAILURES as error:
        return _page(request, template, item, error=error, **about)
    messages.success(request, f"{item.name} has the value of version {old.version} again, as a new version.")
    return redirect("secret", item.vault.name, item.name)


def _shown(item: Secret, form: PropertiesForm, before: Wish | None, *about: str) -> dict[str, Any]:
    """What will change, and the hash of it: of what is there now, too, so that a later change makes it stale."""
    was = before.digest() if before else ""
    seen = form.wish.digest(was, item.vault.name, item.key, *about)
    return {"changes": changes(before, form.wish), "seen": seen}


def _page(
    request: Request, template: str, item: Secret, *, error: Failure | None = None, stale: bool = False, **about: Any
) -> HttpResponse:
    """The page with all that was typed, and with what stands in the way; without a form only that."""
    form = about.get("form")
    status = status_of(error) if error else 422 if form and form.errors else 409 if stale else 200
    if error and form and (field := getattr(error, "field", "")) in form.fields:
        form.add_error(field, str(error))
    context = {
        "secret": item, "vault": item.vault, "form": form, "refusal": told(error) if error else AGAIN if stale else "",
        **about,
    }  # fmt: skip
    return render(request, template, context, status=status)


def told(error: Failure) -> str:
    """What did not happen and why; and where Azure may have done it all the same, that it may have."""
    if not isinstance(error, GatewayError):
        return error.sentence
    if not error.definite and error.status != 429:
        return f"{error.sentence} {keeping.UNKNOWN}"
    return f"{error.sentence} {error.advice}".strip()


def status_of(error: Failure) -> int:
    if isinstance(error, Refusal):
        return error.status
    return STATUS.get(error.code, 502)
