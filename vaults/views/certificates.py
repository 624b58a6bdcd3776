"""The certificates of a vault, asked from Azure when a page is opened. Their private keys are never asked for."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from kvadmin import actions as a
from kvadmin.gateway import certificates, keyvault
from kvadmin.http import Request
from vaults import lifetimes, policy
from vaults.models import Vault
from vaults.views.browsing import name_form, ranked, show, version_of


@require_safe
def certificate_list(request: Request, vault: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    token, form = request.GET.get("page", ""), name_form(request)
    if form.is_valid():
        return redirect("certificate", item.name, form.cleaned_data["name"])

    def ask() -> dict[str, Any]:
        return {"part": certificates.list_properties_of_certificates(item.uri, token=token)}

    template, fragment = "vaults/certificates.html", "vaults/_certificates_table.html"
    return show(request, template, fragment, {"vault": item, "token": token, "form": form}, ask)


@require_safe
def certificate(request: Request, vault: str, certificate: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    version = version_of(request)
    context = {"vault": item, "name": certificate, "version": version}
    template, fragment = "vaults/certificate.html", "vaults/_certificate.html"
    return show(request, template, fragment, context, lambda: _certificate(item, certificate, version))


def _certificate(vault: Vault, name: str, version: str) -> dict[str, Any]:
    """The certificate, its policy in words, and its secret, if the inventory has it."""
    found = certificates.get_certificate(vault.uri, name, version)
    context: dict[str, Any] = {"certificate": found, "secret": vault.secrets.filter(key=name.lower()).first()}
    if found.policy is not None:
        context["issuer"] = lifetimes.issuer(found.policy.issuer)
        context["actions"] = [lifetimes.lifetime(action) for action in found.policy.actions]
    return context


@require_safe
def versions(request: Request, vault: str, certificate: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    context = {"vault": item, "name": certificate, "most": keyvault.MOST_VERSIONS}

    def ask() -> dict[str, Any]:
        found = certificates.list_properties_of_certificate_versions(item.uri, certificate)
        return {"rows": ranked(found.items, lambda version: version.common), "cut": found.cut}

    return show(request, "vaults/certificate_versions.html", "vaults/_certificate_versions.html", context, ask)
