"""The keys of a vault, asked from Azure when a page is opened: what is public of them. They can't be used from here."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from kvadmin import actions as a
from kvadmin.gateway import keys
from kvadmin.gateway.errors import GatewayError
from kvadmin.http import Request
from vaults import lifetimes, policy
from vaults.models import Vault
from vaults.views.browsing import show, show_list, show_versions, version_of


@require_safe
def key_list(request: Request, vault: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    return show_list(request, item, "key", keys.list_properties_of_keys)


@require_safe
def key(request: Request, vault: str, key: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    version = version_of(request)
    context = {"vault": item, "name": key, "version": version}
    return show(request, "vaults/key.html", "vaults/_key.html", context, lambda: _key(item, key, version))


def _key(vault: Vault, name: str, version: str) -> dict[str, Any]:
    return {"key": keys.get_key(vault.uri, name, version), **({} if version else _rotation(vault, name))}


def _rotation(vault: Vault, name: str) -> dict[str, Any]:
    """How the key is rotated; that kvadmin may not know it hides nothing else."""
    try:
        found = keys.get_key_rotation_policy(vault.uri, name)
    except GatewayError as error:
        return {"rotation_error": error}
    rotation = [lifetimes.rotation(action) for action in found.actions]
    return {"rotation": rotation, "expires_in": lifetimes.duration(found.expires_in)}


@require_safe
def versions(request: Request, vault: str, key: str) -> HttpResponse:
    item = policy.require_vault(request, a.SECRET_LIST, vault)
    return show_versions(request, item, "key", key, keys.list_properties_of_key_versions)
