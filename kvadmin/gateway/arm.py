"""The control plane: which vaults and subscriptions there are, and how each vault is set up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from azure.mgmt.resourcegraph.models import QueryRequest, QueryRequestOptions, QueryResponse, ResultFormat
from django.conf import settings

from kvadmin.gateway.classify import call
from kvadmin.gateway.client import graph_client
from kvadmin.gateway.errors import GatewayError, error_for
from kvadmin.gateway.paging import SWEEP, Page, Patience, follow
from kvadmin.gateway.properties import Properties, read_properties
from kvadmin.gateway.resources import READER, one, pages, resource_path

SUBSCRIPTIONS_API = "2022-12-01"
VAULTS_API = "2026-05-15"
GRAPH_ROWS = 1_000
# Resource Graph pages only what projects `id`.
GRAPH_QUERY = "Resources | where type =~ 'microsoft.keyvault/vaults' | project id,name,location,tags,properties"
NOTHING_SHOWN = "Azure showed kvadmin no key vault at all: its identity may be missing the role Reader."
NOT_SEEN = "KVADMIN_SUBSCRIPTIONS names it, but Azure does not show it to kvadmin."
_VAULTS = f"/providers/Microsoft.KeyVault/vaults?api-version={VAULTS_API}"
_START = "first page"  # stands for the skip token that Resource Graph's first page has not


@dataclass(frozen=True, slots=True)
class VaultInfo:
    """A vault as Azure Resource Manager describes it. `resource_id` and `subscription_id` are lower-case."""

    resource_id: str
    name: str
    uri: str
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str]
    properties: Properties


@dataclass(frozen=True, slots=True)
class Vaults:
    """The vaults that kvadmin may see. While there are problems, one that is missing is not known to be gone.

    `source` is "resource-graph" or "subscriptions", by whom they were told.
    """

    found: list[VaultInfo] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    source: str = "resource-graph"


def list_subscriptions(*, patience: Patience = SWEEP) -> dict[str, str]:
    """The subscriptions that kvadmin sees, id to name; only those of KVADMIN_SUBSCRIPTIONS, if that is set.

    Raises:
        GatewayError: they could not be listed.
    """
    wanted = _wanted()
    found: dict[str, str] = {}
    for items in pages(f"/subscriptions?api-version={SUBSCRIPTIONS_API}", patience):
        found |= _names(items)
    return {key: name for key, name in found.items() if not wanted or key in wanted}


def _names(items: list[dict[str, Any]]) -> dict[str, str]:
    return call(lambda: {item["subscriptionId"].lower(): item["displayName"] for item in items})


def _wanted() -> list[str]:
    return [subscription.lower() for subscription in settings.KVADMIN_SUBSCRIPTIONS]


def list_vaults(*, patience: Patience = SWEEP) -> Vaults:
    """The vaults of all subscriptions: from Resource Graph in a few calls, or, if that fails, one by one.

    Raises:
        GatewayError: not even the subscriptions could be listed.
    """
    try:
        found = _from_graph(patience)
    except GatewayError:
        found = None
    return _from_subscriptions(patience) if found is None else found


def _from_graph(patience: Patience) -> Vaults:
    vaults = Vaults()
    for rows in _graph_pages(patience):
        for row in rows:
            _add(vaults, row)
    if not vaults.found:
        vaults.problems.append(NOTHING_SHOWN)
    if _wanted():  # Resource Graph passes over a subscription that it may not show
        unseen = set(_wanted()) - set(list_subscriptions(patience=patience))
        vaults.problems.extend(f"Subscription {subscription}: {NOT_SEEN}" for subscription in sorted(unseen))
    return vaults


def _graph_pages(patience: Patience) -> Iterator[list[dict[str, Any]]]:
    """Resource Graph's pages; its skip tokens are guarded as links are."""

    def fetch(token: str) -> Page:
        answer = patience.call(lambda: call(lambda: _ask_graph(token.removeprefix(_START)), READER))
        if not isinstance(answer.data, list):
            raise error_for("bad-answer", status=200)
        return Page(answer.data, answer.skip_token or "")

    return follow(fetch, _START)


def _ask_graph(token: str) -> QueryResponse:
    options = QueryRequestOptions(top=GRAPH_ROWS, skip_token=token or None, result_format=ResultFormat.OBJECT_ARRAY)
    request = QueryRequest(query=GRAPH_QUERY, subscriptions=_wanted() or None, options=options)
    return graph_client().resources(request)


def _from_subscriptions(patience: Patience) -> Vaults:
    vaults = Vaults(source="subscriptions")
    subscriptions = _wanted() or list(list_subscriptions(patience=patience))
    for subscription in subscriptions:
        try:
            for items in pages(f"/subscriptions/{quote(subscription, safe='')}{_VAULTS}", patience):
                for item in items:
                    _add(vaults, item)
        except GatewayError as error:
            vaults.problems.append(f"Subscription {subscription}: {error.lasting}")
    if not subscriptions:
        vaults.problems.append(NOTHING_SHOWN)
    return vaults


def _add(vaults: Vaults, item: dict[str, Any]) -> None:
    """The item's vault, or, while Azure has not given it an address yet, a problem."""
    info = call(lambda: _info(item))
    if info.uri:
        vaults.found.append(info)
    else:
        vaults.problems.append(f"Vault {info.name}: Azure has not given it an address yet.")


def _info(item: dict[str, Any]) -> VaultInfo:
    """A vault of Resource Graph or of Resource Manager: both give the same, so far as it is read here."""
    parts, properties = item["id"].split("/"), item["properties"]
    return VaultInfo(
        resource_id=item["id"].lower(),
        name=item["name"],
        uri=properties.get("vaultUri") or "",
        subscription_id=parts[2].lower(),
        resource_group=parts[4],
        location=item.get("location") or "",
        tags={key: str(value or "") for key, value in (item.get("tags") or {}).items()},
        properties=read_properties(properties),
    )


def get_vault(resource_id: str, *, patience: Patience = SWEEP) -> VaultInfo:
    """The vault as Resource Manager describes it at this moment; Resource Graph may be minutes late.

    Raises:
        GatewayError: it is gone, or Azure could not be asked.
    """
    item = one(f"{resource_path(resource_id)}?api-version={VAULTS_API}", patience)
    return call(lambda: _info(item))
