"""kvadmin's own identity: one credential, named in the settings."""

from __future__ import annotations

import time
from typing import Any

from azure.core.credentials import AccessToken, AccessTokenInfo, TokenCredential, TokenRequestOptions
from azure.identity import (
    AzureCliCredential,
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from kvadmin.gateway.errors import error_for

CLI_SECONDS = 10
_TOKEN_LIFE = 3600
# What a credential cannot do without: setting (attribute): the variable that fills it.
_TENANT = {"KVADMIN_TENANT_ID": "AZURE_TENANT_ID"}
_APP = {**_TENANT, "KVADMIN_CLIENT_ID": "AZURE_CLIENT_ID"}
_NEEDED: dict[str, dict[str, str]] = {
    "client-secret": {**_APP, "KVADMIN_CLIENT_SECRET": "AZURE_CLIENT_SECRET"},
    "client-certificate": {**_APP, "KVADMIN_CLIENT_CERTIFICATE": "AZURE_CLIENT_CERTIFICATE_PATH"},
    "workload-identity": _APP,
}


class EmulatedCredential:
    """Gives out tokens of the emulator's own identity. They are unsigned: no real service takes them."""

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        """A token for the first scope, in the tenant asked for."""
        from kvadmin.emulator import identities  # noqa: PLC0415 - only the emulated mode needs the emulator

        token = identities.KVADMIN.token(scopes[0], tenant_id or identities.TENANT_ID)
        return AccessToken(token, int(time.time()) + _TOKEN_LIFE)

    def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """The same token in the form that newer policies of the SDK ask for."""
        token = self.get_token(*scopes, tenant_id=(options or {}).get("tenant_id"))
        return AccessTokenInfo(token.token, token.expires_on)


def credential_for(settings: Any, *, authority: str, **pipeline: Any) -> TokenCredential:
    """The credential that the settings name; `pipeline` (such as `transport`) goes to its own HTTP pipeline.

    With the emulator there is no choice: its credential it is, whatever else is set, so that a real token can never
    be sent to it, nor an emulated one be mistaken for real.

    Raises:
        SignInFailed: a setting that this credential needs is missing or unusable.
    """
    if settings.KVADMIN_EMULATOR:
        return EmulatedCredential()
    kind: str = settings.KVADMIN_CREDENTIAL
    missing = [name for key, name in _NEEDED.get(kind, {}).items() if not getattr(settings, key)]
    if missing:
        raise _incomplete(f"KVADMIN_CREDENTIAL={kind} needs {', '.join(missing)}.")
    failure = None
    try:
        return _build(kind, settings, {"authority": authority, **pipeline})
    except (ValueError, OSError, ImportError):
        failure = _incomplete(f"KVADMIN_CREDENTIAL={kind} cannot be set up: a file it names is missing or unreadable.")
    raise failure from None


def _incomplete(advice: str) -> Exception:
    return error_for("credential", advice=advice, definite=True)


def _build(kind: str, settings: Any, pipeline: dict[str, Any]) -> TokenCredential:
    tenant, app = settings.KVADMIN_TENANT_ID, settings.KVADMIN_CLIENT_ID
    allowed: dict[str, Any] = {"additionally_allowed_tenants": list(settings.KVADMIN_ALLOWED_TENANTS)}
    if kind == "managed-identity":
        return ManagedIdentityCredential(client_id=app or None, **pipeline)
    if kind in _NEEDED:
        pipeline = {**pipeline, "retry_total": 1}  # a person waits; a managed identity has its own rules for retries
    if kind == "workload-identity":
        return WorkloadIdentityCredential(tenant_id=tenant, client_id=app, **allowed, **pipeline)
    if kind == "client-secret":
        return ClientSecretCredential(tenant, app, settings.KVADMIN_CLIENT_SECRET, **allowed, **pipeline)
    if kind == "client-certificate":
        return CertificateCredential(tenant, app, settings.KVADMIN_CLIENT_CERTIFICATE, **allowed, **pipeline)
    if kind == "azure-cli":
        return AzureCliCredential(tenant_id=tenant, process_timeout=CLI_SECONDS, **allowed)
    return DefaultAzureCredential(
        managed_identity_client_id=app or None,
        workload_identity_client_id=app or None,
        process_timeout=CLI_SECONDS,
        **allowed,
        **pipeline,
    )
