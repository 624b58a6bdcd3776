"""Who may do what with a vault: the challenge, the network rules, roles and access policies."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from kvadmin.emulator.answers import HELP, Refusal
from kvadmin.emulator.denials import Denial, denying
from kvadmin.emulator.http import Request
from kvadmin.emulator.identities import Identity, audience_of, claims_of, from_token
from kvadmin.emulator.state import Azure, Vault

AUTHORITY_OF_TOKENS = "https://sts.windows.net"


@dataclass(frozen=True)
class Caller:
    """An authenticated caller in front of a vault."""

    azure: Azure
    vault: Vault
    identity: Identity

    @property
    def label(self) -> str:
        """The caller as Azure's refusals spell it."""
        issuer = f"{AUTHORITY_OF_TOKENS}/{self.azure.tenant_id}/"
        return f"appid={self.identity.app_id};oid={self.identity.object_id};iss={issuer}"

    @property
    def place(self) -> str:
        """The vault as Azure's refusals spell it."""
        return f"{self.vault.name};location={self.vault.location}"


def authenticate(azure: Azure, vault: Vault, request: Request) -> Caller:
    """The caller whom the token names; raises the 401 that starts the challenge, or one for a wrong token."""
    try:
        audience, issuer = audience_of(request.bearer), claims_of(request.bearer).get("iss", "")
        identity = from_token(request.bearer)
    except ValueError:
        raise unauthorized(azure, "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.") from None
    if audience != azure.cloud.vault_audience:
        expected = azure.cloud.vault_audience
        raise unauthorized(azure, f"AKV10022: Invalid audience. Expected {expected}, found: {audience}.")
    if issuer != f"{AUTHORITY_OF_TOKENS}/{azure.tenant_id}/":
        expected = f"{AUTHORITY_OF_TOKENS}/{azure.tenant_id}/"
        raise unauthorized(azure, f"AKV10032: Invalid issuer. Expected one of {expected}, found {issuer}.")
    return Caller(azure, vault, identity)


def unauthorized(azure: Azure, message: str) -> Refusal:
    """401 with the challenge that tells clients where to get a token, and for what."""
    authority = f"{azure.cloud.authority}/{azure.tenant_id}"
    challenge = f'Bearer authorization="{authority}", resource="{azure.cloud.vault_audience}"'
    return Refusal(401, "Unauthorized", message, headers={"WWW-Authenticate": challenge})


def authorize(caller: Caller, action: str, permission: str, name: str) -> str:
    """The id of the role assignment that allows it ("" in an access-policy vault); raises the 403 otherwise."""
    if not caller.vault.public_network and not caller.vault.private_link:
        raise by_connection(caller)
    if not _let_in(caller.vault, caller.identity.address):
        raise by_firewall(caller)
    if not caller.vault.rbac:
        return _by_access_policy(caller, permission)
    azure, who, scope = caller.azure, caller.identity.object_id, _resource(caller.vault, action, name)
    found = azure.assignments.data_action(who, action, scope)
    denial = denying(azure.denials, azure.groups, who, action, scope)
    if found is None or denial:
        raise by_rbac(caller, action, name, denial)
    return found.id


def _let_in(vault: Vault, address: str) -> bool:
    if vault.default_action == "Allow" or vault.private_link:
        return True
    return any(ip_address(address) in ip_network(rule) for rule in vault.ip_rules)


def _by_access_policy(caller: Caller, permission: str) -> str:
    held = caller.vault.access_policies.get(caller.identity.object_id, frozenset())
    kind, _ = kind_and_verb(permission)
    if not held & {permission, "all" if kind == "secrets" else f"{kind}/all"}:
        raise by_access_policy(caller, permission)
    return ""


def kind_and_verb(permission: str) -> tuple[str, str]:
    """The two parts of a permission: "keys/list" is keys and list, and "list" is secrets and list."""
    kind, _, verb = permission.rpartition("/")
    return kind or "secrets", verb


def _resource(vault: Vault, action: str, name: str) -> str:
    """What an action such as Microsoft.KeyVault/vaults/keys/read is about: the vault, or one object in it."""
    collection = action.split("/")[2].replace("keyrotationpolicies", "keys")
    return vault.resource_id.lower() + (f"/{collection}/{name.lower()}" if name else "")


def by_rbac(caller: Caller, action: str, name: str, denial: Denial | None = None) -> Refusal:
    """403: no role assignment allows the action, or a deny assignment refuses it; that text is ours."""
    why = "DeniedByDenyAssignment" if denial else "DeniedWithNoValidRBAC"
    lines = (
        "Caller is not authorized to perform action on resource.",
        "If role assignments, deny assignments or role definitions were changed recently, "
        "please observe propagation time.",
        f"Caller: {caller.label}",
        f"Action: '{action}'",
        f"Resource: '{_resource(caller.vault, action, name)}'",
        "Assignment: (not found)",
        f"DenyAssignmentId: {denial.id if denial else 'null'}",
        f"DecisionReason: '{why}' ",
        f"Vault: {caller.place}",
        "",
    )
    return Refusal(403, "Forbidden", "\r\n".join(lines), "ForbiddenByRbac")


def by_access_policy(caller: Caller, permission: str) -> Refusal:
    """403: no access policy gives the permission."""
    who = caller.label.replace(";iss=", ";numgroups=0;iss=")
    kind, verb = kind_and_verb(permission)
    message = (
        f"The user, group or application '{who}' does not have {kind} {verb} permission on key vault "
        f"'{caller.place}'. {HELP}2125287"
    )
    return Refusal(403, "Forbidden", message, "AccessDenied")


def by_firewall(caller: Caller) -> Refusal:
    """403: the vault's firewall does not know the caller's address. The text says "not authorized" and means it not."""
    message = (
        "Client address is not authorized and caller is not a trusted service.\r\n"
        f"Client address: {caller.identity.address}\r\nCaller: {caller.label}\r\nVault: {caller.place}"
    )
    return Refusal(403, "Forbidden", message, "ForbiddenByFirewall")


def by_connection(caller: Caller) -> Refusal:
    """403: the vault listens to private endpoints only."""
    message = (
        "Public network access is disabled and request is not from a trusted service nor via an approved private "
        f"link.\r\nCaller: {caller.label}\r\nVault: {caller.place}"
    )
    return Refusal(403, "Forbidden", message, "ForbiddenByConnection")


def by_policy(caller: Caller) -> Refusal:
    """403 for the compound identity of an app acting for a user; the text is ours, the code is Azure's."""
    message = f"The caller is forbidden by policy.\r\nCaller: {caller.label}\r\nVault: {caller.place}"
    return Refusal(403, "Forbidden", message, "ForbiddenByPolicy")
