"""What the fake cloud is made of: its host names, subscriptions, workspaces, vaults and the rows of their log."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kvadmin.emulator.identities import Identity
from kvadmin.emulator.objects import Certificate, Key
from kvadmin.emulator.store import Store

UNSET = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Cloud:
    """The host names of one of Azure's clouds, and the audiences that their tokens must name."""

    vault_suffix: str
    arm: str
    logs: tuple[str, ...]
    authority: str
    arm_audiences: tuple[str, ...]

    @property
    def vault_audience(self) -> str:
        """The resource in the challenge of every vault."""
        return f"https://{self.vault_suffix}"


CLOUDS = {
    "public": Cloud(
        "vault.azure.net",
        "management.azure.com",
        ("api.loganalytics.io", "api.loganalytics.azure.com"),
        "https://login.microsoftonline.com",
        ("https://management.azure.com", "https://management.core.windows.net"),
    ),
    "usgovernment": Cloud(
        "vault.usgovcloudapi.net",
        "management.usgovcloudapi.net",
        ("api.loganalytics.us",),
        "https://login.microsoftonline.us",
        ("https://management.usgovcloudapi.net", "https://management.core.usgovcloudapi.net"),
    ),
    "china": Cloud(
        "vault.azure.cn",
        "management.chinacloudapi.cn",
        ("api.loganalytics.azure.cn",),
        "https://login.chinacloudapi.cn",
        ("https://management.chinacloudapi.cn", "https://management.core.chinacloudapi.cn"),
    ),
}


@dataclass(frozen=True)
class Subscription:
    """A subscription."""

    id: str
    name: str

    @property
    def resource_id(self) -> str:
        """Its ARM id."""
        return f"/subscriptions/{self.id}"


@dataclass
class Workspace:
    """A Log Analytics workspace. `delay` is the longest time until a row shows up in it.

    `tables` tells which form it gets the rows in (AZKVAuditLogs, AzureDiagnostics, or both); `readable` is False
    when kvadmin's identity is refused there whatever its roles; `overflow` is True when the shared table has used up
    its columns, so that the late ones come in AdditionalFields.
    """

    name: str
    subscription_id: str
    customer_id: str
    tables: tuple[str, ...] = ("AZKVAuditLogs",)
    delay: timedelta = timedelta(0)
    readable: bool = True
    overflow: bool = False
    resource_group: str = "rg"
    retention_days: int = 30
    location: str = "westeurope"
    # The share of rows that show up twice.
    duplicates: float = 0.0
    # What one answer may hold at most before it is cut and called partial.
    row_limit: int = 500_000
    byte_limit: int = 64_000_000

    @property
    def resource_id(self) -> str:
        """Its ARM id."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.OperationalInsights/workspaces/{self.name}"


@dataclass(eq=False)
class Vault:
    """A vault and what is in it.

    `public_network=False` refuses every caller unless `private_link` says that they come through one.
    `empty_pages` puts one empty page, with a nextLink, before the last page of every list of secrets.
    `storage_account` is an ARM id: the logs go there when there is no workspace.
    `limit` is how many calls the vault takes in how many seconds; Azure's own are 300 sets, or 4,000 others, in 10 s.
    Beyond it come 429s, which name a time only when `limit_says_when`: Azure was seen to leave it out.
    """

    name: str
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str]
    rbac: bool
    purge_protection: bool
    soft_delete_days: int
    public_network: bool
    workspace: str | None
    visible_in_arm: bool
    suffix: str
    private_link: bool = False
    empty_pages: bool = False
    storage_account: str = ""
    limit: tuple[int, float] | None = None
    limit_says_when: bool = True
    counted: deque[datetime] = field(default_factory=deque)
    # The firewall: "Deny" lets in only those from `ip_rules` (CIDR), and those through a private link.
    default_action: str = "Allow"
    ip_rules: tuple[str, ...] = ()
    # Private endpoints by name, and the status of their connection, such as "Approved".
    private_endpoints: dict[str, str] = field(default_factory=dict)
    template_deployment: bool = False
    secrets: Store = field(default_factory=Store)
    # By lower-case name. The key and the secret of a certificate are among the keys and the secrets.
    keys: dict[str, Key] = field(default_factory=dict)
    certificates: dict[str, Certificate] = field(default_factory=dict)
    access_policies: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The host name; lower-case, as in every id of the data plane."""
        return f"{self.name.lower()}.{self.suffix}"

    @property
    def uri(self) -> str:
        """The vault's address, as ARM gives it."""
        return f"https://{self.host}/"

    @property
    def resource_id(self) -> str:
        """Its ARM id, with the casing it was created with."""
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
        return f"{group}/providers/Microsoft.KeyVault/vaults/{self.name}"

    @property
    def recovery_level(self) -> str:
        """The recoveryLevel of everything in it."""
        level = "Recoverable" if self.soft_delete_days == 90 else "CustomizedRecoverable"
        return level if self.purge_protection else f"{level}+Purgeable"


@dataclass(slots=True)
class AuditRow:
    """One data-plane HTTP request, as the vault logs it.

    `object_id_url` is the log's "id" ("" when there is none), `correlation_id` the answer's x-ms-request-id.
    `visible_at` is when Log Analytics shows it; `Azure.record` fills it in when it is left UNSET, and notes in
    `workspace` (an ARM id) where the vault's logs went at that moment.
    """

    time: datetime
    operation: str
    status: int
    vault: Vault
    identity: Identity | None
    caller_address: str
    client_info: str
    request_uri: str
    object_id_url: str
    correlation_id: str
    duration_ms: int = 20
    result_description: str = ""
    visible_at: datetime = UNSET
    api_version: str = "2026-04-01"
    assignment_id: str = ""
    workspace: str | None = None
