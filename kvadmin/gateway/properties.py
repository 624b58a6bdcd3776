"""A vault's properties beyond its name: network rules, private endpoints, access policies. Pure reading of JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """What an access policy allows to one identity. Permissions are lower-case: Azure hands out "Get" and "get".

    `application_id`: it counts only for that application together with the signed-in user (a compound identity).
    """

    object_id: str
    application_id: str
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrivateEndpoint:
    """A connection through a private endpoint; `status` is Azure's word: Approved, Pending, Rejected, Disconnected."""

    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Properties:
    """How a vault is set up. Whatever Azure leaves out has Azure's default.

    `default_action` is "allow" or "deny" for who comes from none of `ip_rules` (CIDR) and `subnets` (ARM ids);
    `trusted_services` whether Microsoft's own services pass. While `rbac` is on, `policies` count for nothing.
    """

    rbac: bool = False
    sku: str = ""
    soft_delete: bool = True
    soft_delete_days: int = 90
    purge_protection: bool = False
    public_network: bool = True
    default_action: str = "allow"
    trusted_services: bool = True
    ip_rules: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    private_endpoints: tuple[PrivateEndpoint, ...] = ()
    template_deployment: bool = False
    policies: tuple[AccessPolicy, ...] = ()


def read_properties(found: dict[str, Any]) -> Properties:
    """The `properties` of a vault, as ARM and Resource Graph give them. To be called inside `classify.call`."""
    acls = found.get("networkAcls") or {}
    days = found.get("softDeleteRetentionInDays")
    return Properties(
        rbac=found.get("enableRbacAuthorization") is True,
        sku=str((found.get("sku") or {}).get("name") or "").lower(),
        soft_delete=found.get("enableSoftDelete") is not False,
        soft_delete_days=90 if days is None else int(days),
        purge_protection=found.get("enablePurgeProtection") is True,
        public_network=str(found.get("publicNetworkAccess") or "Enabled").lower() != "disabled",
        default_action=str(acls.get("defaultAction") or "Allow").lower(),
        trusted_services=str(acls.get("bypass") or "AzureServices").lower() == "azureservices",
        ip_rules=tuple(str(rule["value"]) for rule in acls.get("ipRules") or ()),
        subnets=tuple(str(rule["id"]) for rule in acls.get("virtualNetworkRules") or ()),
        private_endpoints=tuple(_endpoint(item) for item in found.get("privateEndpointConnections") or ()),
        template_deployment=found.get("enabledForTemplateDeployment") is True,
        policies=tuple(_policy(item) for item in found.get("accessPolicies") or ()),
    )


def _endpoint(item: dict[str, Any]) -> PrivateEndpoint:
    """Named after the endpoint, which may lie in another subscription, and not after the connection."""
    properties = item.get("properties") or {}
    resource = str((properties.get("privateEndpoint") or {}).get("id") or item.get("id") or "")
    status = (properties.get("privateLinkServiceConnectionState") or {}).get("status")
    return PrivateEndpoint(resource.rpartition("/")[2], str(status or "Unknown"))


def _policy(item: dict[str, Any]) -> AccessPolicy:
    held: Iterable[str] = (item.get("permissions") or {}).get("secrets") or ()
    secrets = tuple(sorted({str(permission).lower() for permission in held}))
    return AccessPolicy(str(item["objectId"]).lower(), str(item.get("applicationId") or "").lower(), secrets)
