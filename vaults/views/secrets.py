"""One secret, without its value, and its versions. Neither page reads a value; only the second asks Azure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.queries import LastReads, last_reads
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import GatewayError
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.http import NotThere, Request
from vaults import policy, rotations
from vaults.models import DeletedSecret, Secret
from vaults.views.reveal import STATUS, reveal_context
from vaults.views.roles import signed_in


@require_safe
def secret(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_LIST, vault, secret)
    version = request.GET.get("version", "").lower()
    if version and not keyvault.valid_version(version):
        raise NotThere("No version can be called so: a version has 32 characters, 0 to 9 and a to f.")
    rotation, watched = rotations.about(signed_in(request), item)
    limbo = DeletedSecret.objects.filter(vault=item.vault_id, key=item.key).first() if item.vanished_at else None
    context = {
        "secret": item,
        "rotation": rotation,
        "watched": watched,
        "vault": item.vault,
        "now": timezone.now(),
        "reads": _reads(request, item),
        "may": _may(request, item),
        "may_browse": bool(policy.may(request.user, a.SECRET_LIST, item.vault)),
        "limbo": limbo,
    }
    if limbo is None:  # of a deleted secret Azure gives out neither a value nor a list of versions
        context |= reveal_context(request, item, version)
    return render(request, "vaults/secret.html", context)


def _may(request: Request, item: Secret) -> dict[str, bool]:
    """What the person may do to this secret: its page offers nothing else. Costs no query."""
    acts = {"set": a.SECRET_SET, "update": a.SECRET_UPDATE, "delete": a.SECRET_DELETE, "recover": a.SECRET_RECOVER}
    acts["copy"] = a.SECRET_COPY
    return {word: bool(policy.may(request.user, act, item.vault, item.key)) for word, act in acts.items()}


def _reads(request: Request, item: Secret) -> LastReads | None:
    allowed = policy.may(request.user, a.AUDIT_READ, item.vault, item.key)
    return last_reads(item.vault, item.key) if allowed else None


@require_safe
def versions(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_LIST, vault, secret)
    context: dict[str, Any] = {"secret": item, "vault": item.vault, "most": keyvault.MOST_VERSIONS}
    context["may"] = _may(request, item)
    try:
        listed = keyvault.list_properties_of_secret_versions(item.vault.uri, item.name)
        context |= {"rows": _rows(listed.versions), "cut": listed.cut}
        context["tied"] = any(row.tied for row in context["rows"])
    except GatewayError as error:
        context["error"] = error
    if request.htmx:  # htmx puts the sentence in its place only when the status is a good one
        return render(request, "vaults/_versions.html", context)
    failed: GatewayError | None = context.get("error")
    return render(request, "vaults/versions.html", context, status=STATUS.get(failed.code, 502) if failed else 200)


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version. `tied`: another was created in the same second, and Azure does not tell which came first."""

    properties: SecretProperties
    newest: bool
    tied: bool


def _rows(versions: list[SecretProperties]) -> list[VersionRow]:
    """Newest created first, as the gateway sorts them."""
    times = [version.created_on for version in versions]
    newest = times[0] if times else None
    return [_row(version, times, newest) for version in versions]


def _row(version: SecretProperties, times: list[datetime | None], newest: datetime | None) -> VersionRow:
    return VersionRow(version, version.created_on == newest, times.count(version.created_on) > 1)
