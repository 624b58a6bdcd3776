"""One secret, without its value, and its versions. Neither page reads a value; only the second asks Azure."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit.queries import LastReads, last_reads
from kvadmin import actions as a
from kvadmin.gateway import keyvault
from kvadmin.http import Request
from vaults import policy, rotations
from vaults.models import DeletedSecret, Secret
from vaults.views.browsing import ranked, show, version_of
from vaults.views.reveal import reveal_context
from vaults.views.roles import signed_in


@require_safe
def secret(request: Request, vault: str, secret: str) -> HttpResponse:
    item = policy.require_secret(request, a.SECRET_LIST, vault, secret)
    version = version_of(request)
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
    context = {"secret": item, "vault": item.vault, "most": keyvault.MOST_VERSIONS, "may": _may(request, item)}

    def ask() -> dict[str, Any]:
        listed = keyvault.list_properties_of_secret_versions(item.vault.uri, item.name)
        rows = ranked(listed.versions, lambda version: version.created_on)
        return {"rows": rows, "cut": listed.cut, "tied": any(row.tied for row in rows)}

    return show(request, "vaults/versions.html", "vaults/_versions.html", context, ask)
