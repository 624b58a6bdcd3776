"""Who can get at the values in a vault by Azure's own rights."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from kvadmin import actions as a
from kvadmin.gateway.errors import GatewayError
from kvadmin.http import Request
from vaults import described, policy, warned
from vaults.holders import holders
from vaults.models import AzureAccess, Vault, VaultDetail

# Each look is several calls to Azure: pressing again at once asks nobody.
JUST_NOW = timedelta(seconds=30)
# The page names people, so seeing the vault is not enough: one of these must hold for the whole of it.
NAMING = (a.SECRET_LIST, a.AUDIT_READ, a.ROLE_ASSIGN)


@require_http_methods(["GET", "HEAD", "POST"])
def access(request: Request, vault: str) -> HttpResponse:
    item = policy.require_vault(request, a.VAULT_LIST, vault)
    if not may_name_people(request, item):
        policy.require_vault(request, a.SECRET_LIST, vault)  # refuses, and puts that on record
    if request.method == "POST":
        return _look_again(request, item)
    rows = list(AzureAccess.objects.filter(vault=item))
    detail = VaultDetail.objects.filter(vault=item).first()
    context = {
        "vault": item,
        "detail": detail,
        "holders": holders(item, rows, (detail.denials if detail else None) or ()),
        "dormant": len(detail.policies) if detail and item.rbac else 0,
        "unknown": [one for one in warned.warnings_of(item, detail, rows) if one.code == "access-unknown"],
    }
    return render(request, "vaults/access.html", context)


def may_name_people(request: Request, vault: Vault) -> bool:
    """Whether the person may learn who can read in the vault."""
    return any(policy.may(request.user, action, vault) for action in NAMING)


def _look_again(request: Request, vault: Vault) -> HttpResponse:
    """Ask Azure at once; it changes nothing there."""
    recent = VaultDetail.objects.filter(vault=vault, looked_at__gt=timezone.now() - JUST_NOW).exists()
    try:
        if not recent:
            described.look(vault)
    except GatewayError as error:
        messages.error(request, f"Azure could not be asked. {error.sentence} {error.advice}")
    return redirect("access", vault.name)
