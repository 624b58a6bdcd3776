"""Subscriptions, vaults and their settings as JSON: the forms in which ARM and Resource Graph show them."""

from __future__ import annotations

from typing import Any

from kvadmin.emulator import graph
from kvadmin.emulator.access import kind_and_verb
from kvadmin.emulator.state import Azure, Subscription, Vault, Workspace


def subscription(azure: Azure, subscription: Subscription) -> dict[str, Any]:
    """A subscription, as ARM shows it."""
    return {
        "id": subscription.resource_id,
        "authorizationSource": "RoleBased",
        "tenantId": azure.tenant_id,
        "subscriptionId": subscription.id,
        "displayName": subscription.name,
        "state": "Enabled",
    }


def vault(azure: Azure, vault: Vault) -> dict[str, Any]:
    """A vault, as ARM shows it. What was never switched on is absent, not false."""
    properties: dict[str, Any] = {
        "sku": {"family": "A", "name": "standard"},
        "tenantId": azure.tenant_id,
        "accessPolicies": [_access_policy(azure, *entry) for entry in vault.access_policies.items()],
        "enabledForDeployment": False,
        "enableSoftDelete": True,
        "softDeleteRetentionInDays": vault.soft_delete_days,
        "vaultUri": vault.uri,
        "provisioningState": "Succeeded",
        "publicNetworkAccess": "Enabled" if vault.public_network else "Disabled",
    }
    properties |= {"enableRbacAuthorization": True} if vault.rbac else {}
    properties |= {"enablePurgeProtection": True} if vault.purge_protection else {}
    properties |= {"enabledForTemplateDeployment": True} if vault.template_deployment else {}
    properties |= {"networkAcls": _network_acls(vault)} if vault.ip_rules or vault.default_action == "Deny" else {}
    if vault.private_endpoints:
        properties["privateEndpointConnections"] = [
            _connection(vault, *entry) for entry in sorted(vault.private_endpoints.items())
        ]
    return {
        "id": vault.resource_id,
        "name": vault.name,
        "type": "Microsoft.KeyVault/vaults",
        "location": vault.location,
        "tags": vault.tags,
        "properties": properties,
    }


def _network_acls(vault: Vault) -> dict[str, Any]:
    rules = [{"value": rule} for rule in vault.ip_rules]
    return {
        "bypass": "AzureServices",
        "defaultAction": vault.default_action,
        "ipRules": rules,
        "virtualNetworkRules": [],
    }


def _connection(vault: Vault, name: str, status: str) -> dict[str, Any]:
    group = f"/subscriptions/{vault.subscription_id}/resourceGroups/{vault.resource_group}"
    return {
        "id": f"{vault.resource_id}/privateEndpointConnections/{name}",
        "properties": {
            "provisioningState": "Succeeded",
            "privateEndpoint": {"id": f"{group}/providers/Microsoft.Network/privateEndpoints/{name}"},
            "privateLinkServiceConnectionState": {"status": status, "actionsRequired": "None"},
        },
    }


def _access_policy(azure: Azure, object_id: str, permissions: frozenset[str]) -> dict[str, Any]:
    held: dict[str, list[str]] = {"keys": [], "secrets": [], "certificates": [], "storage": []}
    for permission in sorted(permissions):
        kind, verb = kind_and_verb(permission)
        held[kind].append(verb)
    return {"tenantId": azure.tenant_id, "objectId": object_id, "permissions": held}


def diagnostic_setting(azure: Azure, vault: Vault) -> dict[str, Any]:
    """The vault's one setting, which sends the audit category to a workspace, a storage account, or both."""
    workspace = azure.workspace_of(vault)
    dedicated = workspace is not None and "AZKVAuditLogs" in workspace.tables
    return {
        "id": f"{vault.resource_id.lower()}/providers/microsoft.insights/diagnosticSettings/audit",
        "type": "Microsoft.Insights/diagnosticSettings",
        "name": "audit",
        "location": None,
        "kind": None,
        "tags": None,
        "properties": {
            "storageAccountId": vault.storage_account or None,
            "workspaceId": vault.workspace,
            "eventHubAuthorizationRuleId": None,
            "eventHubName": None,
            "metrics": [],
            "logs": [{"category": None, "categoryGroup": "audit", "enabled": True}],
            "logAnalyticsDestinationType": "Dedicated" if dedicated else None,
        },
        "identity": None,
    }


def graph_row(resource: dict[str, Any], vault: Vault) -> dict[str, Any]:
    """A vault as a row: Resource Graph writes types and resource groups in lower case, whatever ARM says."""
    group = vault.resource_group.lower()
    extra = {"type": graph.VAULTS, "subscriptionId": vault.subscription_id, "resourceGroup": group}
    return {**resource, **extra}


def container_row(azure: Azure, subscription: Subscription) -> dict[str, Any]:
    """A subscription as a row of resourcecontainers."""
    return {
        "id": subscription.resource_id,
        "name": subscription.name,
        "type": graph.SUBSCRIPTIONS,
        "subscriptionId": subscription.id,
        "tenantId": azure.tenant_id,
        "properties": {"state": "Enabled"},
    }


def workspace(workspace: Workspace) -> dict[str, Any]:
    """A workspace, as ARM shows it; queries name it by `customerId`."""
    return {
        "id": workspace.resource_id,
        "name": workspace.name,
        "type": "Microsoft.OperationalInsights/workspaces",
        "location": workspace.location,
        "tags": {},
        "properties": {
            "customerId": workspace.customer_id,
            "provisioningState": "Succeeded",
            "sku": {"name": "PerGB2018"},
            "retentionInDays": workspace.retention_days,
        },
    }
