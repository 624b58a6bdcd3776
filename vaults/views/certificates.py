"""The certificates of a vault, asked from Azure when a page is opened. Their private keys are never asked for."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from kvadmin import actions as a
from kvadmin.gateway import certificates
from kvadmin.http import Request
from vaults import lifetimes, policy
from vaults.models import Vault
from vaults.views.browsing import show, show_list, show_versions, version_of


@require_safe
def certificate_list(request: Request, vault: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    return show_list(request, item, "certificate", certificates.list_properties_of_certificates)


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
    ask = certificates.list_properties_of_certificate_versions
    return show_versions(request, item, "certificate", certificate, ask)
