"""The people, apps and managed identities of an invented company, and the programs that they use. None is real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import NAMESPACE_URL, uuid5

from kvadmin.emulator.identities import AZURE_CLI, AZURE_PORTAL, Identity

DOMAIN = "fernhill.example"
AZURE_POWERSHELL = "1950a258-227b-4e31-a9cf-717495945fc2"


@dataclass(frozen=True)
class Client:
    """A program that people use: its application id ("" keeps the caller's own), its agent, its API version."""

    app_id: str
    agent: str
    api_version: str = "7.4"


CLI = Client(
    AZURE_CLI,
    "AZURECLI/2.79.0 (DEB) azsdk-python-keyvault-secrets/4.9.0 Python/3.12.8 "
    "(Linux-6.8.0-1021-azure-x86_64-with-glibc2.39)",
)
PORTAL = Client(
    AZURE_PORTAL,
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "7.0",
)
POWERSHELL = Client(
    AZURE_POWERSHELL,
    "AzurePowershell/v14.1.0 PSVersion/v7.5.1 azsdk-net-Security.KeyVault.Secrets/4.7.0 (.NET 9.0.4; Ubuntu 24.04)",
    "7.5",
)
DOTNET = Client("", "azsdk-net-Security.KeyVault.Secrets/4.8.0 (.NET 9.0.6; Ubuntu 24.04.2 LTS)", "7.6")
JAVA = Client("", "azsdk-java-azure-security-keyvault-secrets/4.9.4 (17.0.15; Linux; 6.8.0-1021-azure)", "7.5")
PYTHON = Client("", "azsdk-python-keyvault-secrets/4.10.0 Python/3.12.8 (Linux-6.8.0-x86_64-with-glibc2.39)", "7.6")
DRIVER = Client("", "csi-secrets-store-provider-azure/v1.7.0 (linux/amd64) azsdk-go-azsecrets/v1.4.0 (go1.24.3; linux)")
TERRAFORM = Client("", "HashiCorp Terraform/1.12.1 (+https://www.terraform.io) terraform-provider-azurerm/4.31.0")
CURL = Client("", "curl/8.5.0")


def _id(of: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"https://{DOMAIN}/{of}"))


def person(name: str, address: str) -> Identity:
    """A member of the company: "Ada Sparrow" signs in as ada.sparrow@fernhill.example."""
    upn = f"{name.lower().replace(' ', '.')}@{DOMAIN}"
    return Identity("person", _id(upn), AZURE_CLI, upn, name, address=address)


def app(name: str, address: str) -> Identity:
    """An application with a secret or a certificate of its own."""
    return Identity("app", _id(f"object/{name}"), _id(f"app/{name}"), name=name, address=address)


def managed(name: str, subscription_id: str, kind: str, address: str) -> Identity:
    """A managed identity; `kind` is the kind of resource that it belongs to, such as Microsoft.Web/sites."""
    resource = f"/subscriptions/{subscription_id}/resourcegroups/rg-{name}/providers/{kind}/{name}"
    return Identity("managed-identity", _id(f"object/{name}"), _id(f"app/{name}"), "", name, resource, address)


def using(who: Identity, client: Client) -> Identity:
    """The caller as the vault sees it: a person's application id is that of the program in use."""
    return replace(who, app_id=client.app_id) if client.app_id and who.kind == "person" else who


ADA = person("Ada Sparrow", "203.0.113.21")
BRAM = person("Bram Oakley", "203.0.113.22")
CARLA = person("Carla Winter", "203.0.113.23")
DARIO = person("Dario Fields", "203.0.113.24")
ESME = person("Esme Rivers", "2001:db8:7::15")
FARID = person("Farid Stone", "203.0.113.26")
GRETA = person("Greta Moss", "203.0.113.27")
# Nobody has ever seen this one before that night.
NEWCOMER = person("Quill Ashdown", "198.51.100.203")
# A guest with a Microsoft account: Azure's log has no upn for it.
GUEST = Identity(
    "person", _id("guest"), AZURE_CLI, "live.com#ivy.quince@mail.example", "Ivy Quince", address="198.51.100.14"
)
RESOURCE_GRAPH = Identity("app", _id("resource-graph"), _id("resource-graph-app"), name="Azure Resource Graph")
