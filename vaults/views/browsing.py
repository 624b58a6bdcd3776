"""What pages share that ask Azure when they are opened, of keys, of certificates, of versions: it may not answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django import forms
from django.http import HttpResponse
from django.shortcuts import redirect, render

from kvadmin.gateway import keyvault
from kvadmin.gateway.browsing import Listed, Part, Versions
from kvadmin.gateway.errors import GatewayError
from kvadmin.http import NotThere, Request
from vaults.models import Vault
from vaults.views.reveal import STATUS

T = TypeVar("T")
L = TypeVar("L", bound=Listed)


class NameForm(forms.Form):
    """Leads to one object by its name: Azure's lists go forward only, and can't be searched."""

    name = forms.CharField(
        label="Open one by its name",
        max_length=127,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not keyvault.valid_name(name):
            raise forms.ValidationError("A name has 1 to 127 letters, digits and hyphens.")
        return name


def name_form(request: Request) -> NameForm:
    """The form as it was sent, or empty."""
    return NameForm(request.GET if "name" in request.GET else None)


def show(
    request: Request, page: str, fragment: str, context: dict[str, Any], ask: Callable[[], dict[str, Any]]
) -> HttpResponse:
    """The page with what `ask` brings from Azure, or with the sentence that says why not.

    htmx gets the `fragment` alone, and with a good status, because it puts nothing in its place otherwise.
    """
    failed = None
    try:
        context |= ask()
    except GatewayError as error:
        if error.code == "refused" and request.GET.get("page"):
            raise NotThere("This list has no such page. Open it again and page from its start.") from None
        failed = context["error"] = error
    if request.htmx:
        return render(request, fragment, context)
    wrong = "form" in context and context["form"].errors
    status = STATUS.get(failed.code, 502) if failed else 422 if wrong else 200
    return render(request, page, context, status=status)


def show_list(request: Request, vault: Vault, noun: str, ask: Callable[..., Part[Any]]) -> HttpResponse:
    """A part of a vault's keys or certificates, or the way to the one whose name was typed.

    `noun` is "key" or "certificate": addresses and templates are called after it.
    """
    token, form = request.GET.get("page", ""), name_form(request)
    if form.is_valid():
        return redirect(noun, vault.name, form.cleaned_data["name"])
    page, fragment = f"vaults/{noun}s.html", f"vaults/_{noun}s_table.html"
    context = {"vault": vault, "token": token, "form": form}
    return show(request, page, fragment, context, lambda: {"part": ask(vault.uri, token=token)})


def show_versions(
    request: Request, vault: Vault, noun: str, name: str, ask: Callable[[str, str], Versions[L]]
) -> HttpResponse:
    """The versions of a key or of a certificate; `noun` as for `show_list`."""

    def asked() -> dict[str, Any]:
        found = ask(vault.uri, name)
        return {"rows": ranked(found.items, lambda version: version.common.created_on), "cut": found.cut}

    page, fragment = f"vaults/{noun}_versions.html", f"vaults/_{noun}_versions.html"
    context = {"vault": vault, "name": name, "most": keyvault.MOST_VERSIONS}
    return show(request, page, fragment, context, asked)


def version_of(request: Request) -> str:
    """The version that form or address names, "" for the newest; 404 for what no version can be called."""
    version = (request.POST.get("version") or request.GET.get("version") or "").lower()
    if version and not keyvault.valid_version(version):
        raise NotThere("No version can be called so: a version has 32 characters, 0 to 9 and a to f.")
    return version


@dataclass(frozen=True, slots=True)
class VersionRow(Generic[T]):
    """One version. `tied`: another was created in the same second, and Azure does not tell which came first."""

    item: T
    newest: bool
    tied: bool


def ranked(items: list[T], created: Callable[[T], datetime | None]) -> list[VersionRow[T]]:
    """Versions, newest created first as the gateway sorts them, with what can be said of their order."""
    times = [created(item) for item in items]
    return [
        VersionRow(item, moment == times[0], times.count(moment) > 1) for item, moment in zip(items, times, strict=True)
    ]
