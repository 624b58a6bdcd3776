"""One event of the access log in the two shapes that a workspace keeps it in: AZKVAuditLogs and AzureDiagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvadmin.emulator.identities import Identity
    from kvadmin.emulator.resources import AuditRow, Workspace

DEDICATED, SHARED = "AZKVAuditLogs", "AzureDiagnostics"

SIGNATURES = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}

# DuckDB's types for the columns of https://learn.microsoft.com/azure/azure-monitor/reference/tables/azkvauditlogs
DEDICATED_COLUMNS = {
    "TenantId": "VARCHAR",
    "TimeGenerated": "TIMESTAMP",
    "OperationName": "VARCHAR",
    "OperationVersion": "VARCHAR",
    "ResultType": "VARCHAR",
    "ResultSignature": "VARCHAR",
    "ResultDescription": "VARCHAR",
    "DurationMs": "INTEGER",
    "CallerIpAddress": "VARCHAR",
    "CorrelationId": "VARCHAR",
    "Identity": "JSON",
    "Id": "VARCHAR",
    "ClientInfo": "VARCHAR",
    "HttpStatusCode": "INTEGER",
    "RequestUri": "VARCHAR",
    "IsAccessPolicyMatch": "BOOLEAN",
    "IsRbacAuthorized": "BOOLEAN",
    "AppliedAssignmentId": "VARCHAR",
    "IsAddressAuthorized": "BOOLEAN",
    "AddressAuthorizationType": "VARCHAR",
    "Tlsversion": "VARCHAR",
    "SubnetId": "VARCHAR",
    "TrustedService": "VARCHAR",
    "Algorithm": "VARCHAR",
    "Properties": "JSON",
    "SecretProperties": "JSON",
    "KeyProperties": "JSON",
    "CertificateProperties": "JSON",
    "CertificatePolicyProperties": "JSON",
    "CertificateIssuerProperties": "JSON",
    "CertificateRequestProperties": "JSON",
    "VaultProperties": "JSON",
    "NetworkAcls": "JSON",
    "Nsp": "JSON",
    "Sku": "JSON",
    "StorageAccountProperties": "JSON",
    "StorageSasDefinitionProperties": "JSON",
    "EnabledForDeployment": "BOOLEAN",
    "EnabledForDiskEncryption": "BOOLEAN",
    "EnabledForTemplateDeployment": "BOOLEAN",
    "EnablePurgeProtection": "BOOLEAN",
    "EnableRbacAuthorization": "BOOLEAN",
    "EnableSoftDelete": "BOOLEAN",
    "SoftDeleteRetentionInDays": "INTEGER",
    "HsmPoolResourceId": "VARCHAR",
    "SourceSystem": "VARCHAR",
    "Type": "VARCHAR",
    "_ResourceId": "VARCHAR",
    "_SubscriptionId": "VARCHAR",
    "_BilledSize": "DOUBLE",
    "_IsBillable": "VARCHAR",
}
# The columns of AzureDiagnostics that are there from the first row on ...
SHARED_COLUMNS = {
    "TenantId": "VARCHAR",
    "TimeGenerated": "TIMESTAMP",
    "ResourceId": "VARCHAR",
    "Category": "VARCHAR",
    "ResourceGroup": "VARCHAR",
    "SubscriptionId": "VARCHAR",
    "ResourceProvider": "VARCHAR",
    "Resource": "VARCHAR",
    "ResourceType": "VARCHAR",
    "OperationName": "VARCHAR",
    "OperationVersion": "VARCHAR",
    "ResultType": "VARCHAR",
    "ResultSignature": "VARCHAR",
    "ResultDescription": "VARCHAR",
    "CorrelationId": "VARCHAR",
    "DurationMs": "BIGINT",
    "CallerIPAddress": "VARCHAR",
    "SourceSystem": "VARCHAR",
    "Type": "VARCHAR",
    "_ResourceId": "VARCHAR",
    "AdditionalFields": "JSON",
    "clientInfo_s": "VARCHAR",
    "httpStatusCode_d": "DOUBLE",
    "id_s": "VARCHAR",
    "requestUri_s": "VARCHAR",
    "identity_claim_appid_g": "UUID",
    "identity_claim_ipaddr_s": "VARCHAR",
    "isAccessPolicyMatch_b": "BOOLEAN",
}
# ... and those that are made when the first row needs them. A query that names one before that is refused.
MADE_ON_FIRST_USE = {
    "identity_claim_oid_g": "UUID",
    "identity_claim_upn_s": "VARCHAR",
    "identity_claim_unique_name_s": "VARCHAR",
    "identity_claim_scp_s": "VARCHAR",
    "identity_claim_idtyp_s": "VARCHAR",
    "identity_claim_appidacr_s": "VARCHAR",
    "identity_claim_amr_s": "VARCHAR",
    "identity_claim_xms_mirid_s": "VARCHAR",
    "identity_claim_xms_az_nwperimid_s": "VARCHAR",
    "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s": "VARCHAR",
    "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_name_s": "VARCHAR",
    "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g": "UUID",
    "isRbacAuthorized_b": "BOOLEAN",
    "appliedAssignmentId_g": "UUID",
    "tlsVersion_s": "VARCHAR",
}
COLUMNS: dict[str, dict[str, str]] = {DEDICATED: DEDICATED_COLUMNS, SHARED: SHARED_COLUMNS | MADE_ON_FIRST_USE}

OBJECT_ID_URI = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN_URI = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
NAME_URI = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
# A claim's column in AzureDiagnostics. The suffix follows the type of the value.
CLAIM_COLUMNS = {
    "oid": "identity_claim_oid_g",
    "appid": "identity_claim_appid_g",
    "upn": "identity_claim_upn_s",
    "unique_name": "identity_claim_unique_name_s",
    "scp": "identity_claim_scp_s",
    "idtyp": "identity_claim_idtyp_s",
    "appidacr": "identity_claim_appidacr_s",
    "amr": "identity_claim_amr_s",
    "ipaddr": "identity_claim_ipaddr_s",
    "xms_mirid": "identity_claim_xms_mirid_s",
    OBJECT_ID_URI: "identity_claim_http_schemas_microsoft_com_identity_claims_objectidentifier_g",
    UPN_URI: "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_upn_s",
    NAME_URI: "identity_claim_http_schemas_xmlsoap_org_ws_2005_05_identity_claims_name_s",
}


def claims(row: AuditRow) -> dict[str, Any]:
    """The claims that Key Vault writes into its log for the caller of that row; {} for a call without a token."""
    if row.identity is None:
        return {}
    # VaultGet, VaultPut, ... come through the resource manager.
    return dict(_claims(row.identity, control_plane=row.operation.startswith("Vault")))


@lru_cache(maxsize=1024)
def _claims(identity: Identity, *, control_plane: bool) -> dict[str, Any]:
    shown = {key: value for key, value in identity.claims().items() if key != "name"}
    if "#" in shown.get("upn", ""):
        # A guest with a Microsoft account has no upn, only "live.com#..." as unique_name.
        del shown["upn"]
    if control_plane:
        return _long_claims(shown)
    person = shown.get("idtyp") == "user"
    return {**shown, "appidacr": "0" if person else "2", "xms_az_nwperimid": [], **({"amr": "pwd"} if person else {})}


def _long_claims(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Rows that come through the resource manager carry the long claim names."""
    long = {OBJECT_ID_URI: shown.get("oid"), UPN_URI: shown.get("upn"), NAME_URI: shown.get("unique_name")}
    return {"appid": shown.get("appid", ""), **{key: value for key, value in long.items() if value}}


def dedicated(row: AuditRow, workspace: Workspace) -> dict[str, Any]:
    """The row of AZKVAuditLogs; columns without a value are left out."""
    shown = claims(row)
    return {
        **_common(row, workspace),
        "Identity": {"claim": shown} if shown else {},
        "DurationMs": row.duration_ms,
        "CallerIpAddress": row.caller_address,
        "Id": row.object_id_url,
        "ClientInfo": row.client_info,
        "HttpStatusCode": row.status,
        "RequestUri": row.request_uri,
        "Tlsversion": "TLS1_3",
        "SubnetId": "",
        "Type": DEDICATED,
        "_SubscriptionId": _part(row.vault.resource_id, 2),
        **_authorization(row, "IsAccessPolicyMatch", "IsRbacAuthorized", "AppliedAssignmentId"),
    }


def shared(row: AuditRow, workspace: Workspace) -> dict[str, Any]:
    """The row of AzureDiagnostics; in a workspace that has used up its columns, the late ones are AdditionalFields."""
    cells = _shared_cells(row, workspace)
    if not workspace.overflow:
        return cells
    late = {name: cells.pop(name) for name in list(cells) if name in MADE_ON_FIRST_USE}
    return {**cells, "AdditionalFields": late}


def _shared_cells(row: AuditRow, workspace: Workspace) -> dict[str, Any]:
    resource = row.vault.resource_id.upper()
    shown = claims(row)
    if "xms_az_nwperimid" in shown:
        shown["xms_az_nwperimid"] = "[]"
    return {
        **_common(row, workspace),
        "ResourceId": resource,
        "Category": "AuditEvent",
        "ResourceGroup": _part(resource, 4),
        "SubscriptionId": _part(resource, 2).lower(),
        "ResourceProvider": "MICROSOFT.KEYVAULT",
        "Resource": _part(resource, 8),
        "ResourceType": "VAULTS",
        "DurationMs": row.duration_ms,
        "CallerIPAddress": row.caller_address,
        "Type": SHARED,
        "clientInfo_s": row.client_info,
        "httpStatusCode_d": row.status,
        "id_s": row.object_id_url,
        "requestUri_s": row.request_uri,
        "tlsVersion_s": "TLS1_3",
        **{CLAIM_COLUMNS.get(name, f"identity_claim_{name}_s"): value for name, value in shown.items()},
        **_authorization(row, "isAccessPolicyMatch_b", "isRbacAuthorized_b", "appliedAssignmentId_g"),
    }


def _common(row: AuditRow, workspace: Workspace) -> dict[str, Any]:
    return {
        "TenantId": workspace.customer_id,
        "TimeGenerated": row.time.astimezone(UTC).replace(tzinfo=None).isoformat(),
        "OperationName": row.operation,
        "OperationVersion": row.api_version,
        # Not a slip: Key Vault writes "Success" for refused calls as well.
        "ResultType": "Success",
        "ResultSignature": SIGNATURES.get(row.status, str(row.status)),
        "ResultDescription": row.result_description,
        "CorrelationId": row.correlation_id,
        "SourceSystem": "Azure",
        "_ResourceId": row.vault.resource_id.lower(),
    }


def _authorization(row: AuditRow, policy: str, rbac: str, assignment: str) -> dict[str, Any]:
    """An access-policy vault says whether a policy matched; an RBAC vault which assignment let the call in."""
    if row.status == 401:
        return {}
    granted = row.status != 403
    if not row.vault.rbac:
        return {policy: granted}
    return {rbac: granted} | ({assignment: row.assignment_id} if granted and row.assignment_id else {})


def _part(resource_id: str, position: int) -> str:
    return resource_id.split("/")[position]
