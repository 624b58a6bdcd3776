"""The `az` commands that mend what is missing. Roles are those of the README, and no wider."""

from __future__ import annotations

from shlex import quote

from django.conf import settings

from kvadmin.gateway.arm import VaultInfo
from kvadmin.gateway.errors import GatewayError

UNKNOWN = "OBJECT_ID"  # stands where kvadmin's identity is not known


def role(object_id: str, name: str, scope: str) -> str:
    """Give kvadmin's identity a role. `scope` is quoted already, where it needs to be."""
    return (
        f"az role assignment create --assignee-object-id {object_id or UNKNOWN} "
        f'--assignee-principal-type ServicePrincipal --role "{name}" --scope {scope}'
    )


def reader(object_id: str) -> str:
    """Reader on the subscriptions that the settings name, or on one that is left to whoever runs it."""
    wanted = settings.KVADMIN_SUBSCRIPTIONS or ["SUBSCRIPTION_ID"]
    return "\n".join(role(object_id, "Reader", f"/subscriptions/{quote(one)}") for one in wanted)


def workspace(object_id: str, workspace_id: str) -> str:
    """The right to query a workspace that is known by its GUID only."""
    found = f"az monitor log-analytics workspace list --query \"[?customerId=='{workspace_id}'].id\" --output tsv"
    return role(object_id, "Log Analytics Data Reader", f'"$({found})"')


def credential() -> str:
    """What shows, or renews, the credential that the settings name."""
    app = quote(settings.KVADMIN_CLIENT_ID or "CLIENT_ID")
    return {
        "managed-identity": f"az identity list --query \"[?clientId=='{settings.KVADMIN_CLIENT_ID or 'CLIENT_ID'}']\"",
        "workload-identity": "az identity federated-credential list --identity-name IDENTITY --resource-group GROUP",
        "client-secret": f"az ad app credential reset --id {app} --append",
        "client-certificate": f"az ad app credential list --id {app} --cert",
        "azure-cli": "az login",
    }.get(settings.KVADMIN_CREDENTIAL, "")


def vault(error: GatewayError, info: VaultInfo, object_id: str) -> str:
    """What lets kvadmin list this vault; "" where no command helps."""
    name, identity = quote(info.name), object_id or UNKNOWN
    return {
        "rbac": role(object_id, "Key Vault Reader", quote(info.resource_id)),
        "denied": role(object_id, "Key Vault Reader", quote(info.resource_id)),
        "access-policy": f"az keyvault set-policy --name {name} --object-id {identity} --secret-permissions list",
        "firewall": f"az keyvault network-rule add --name {name} --ip-address {error.address or 'ADDRESS'}",
        "private-link": f"az network private-endpoint-connection list --id {quote(info.resource_id)} --output table",
        "dns": f"az keyvault show --name {name} --query properties.vaultUri",
        "credential": credential(),
    }.get(error.code, "")
