"""Microsoft's clouds, and the one that kvadmin is set to."""

from __future__ import annotations

from dataclasses import dataclass

from azure.core import AzureClouds
from django.conf import settings


@dataclass(frozen=True)
class Cloud:
    """The addresses of one of Microsoft's clouds. `arm_scope` is what a token for `arm` is asked for with.

    `directory` is Microsoft Graph, which knows people and groups; Azure Resource Graph is part of `arm`. `exchange` is
    the audience of a token that stands for the secret of an app registration.
    """

    authority: str
    vault_suffix: str
    arm: str
    arm_scope: str
    logs: str
    directory: str
    exchange: str
    azure: AzureClouds


CLOUDS = {
    "public": Cloud(
        "login.microsoftonline.com",
        "vault.azure.net",
        "https://management.azure.com",
        "https://management.azure.com/.default",
        "https://api.loganalytics.io",
        "https://graph.microsoft.com",
        "api://AzureADTokenExchange",
        AzureClouds.AZURE_PUBLIC_CLOUD,
    ),
    "usgovernment": Cloud(
        "login.microsoftonline.us",
        "vault.usgovcloudapi.net",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net/.default",
        "https://api.loganalytics.us",
        "https://graph.microsoft.us",
        "api://AzureADTokenExchangeUSGov",
        AzureClouds.AZURE_US_GOVERNMENT,
    ),
    "china": Cloud(
        "login.chinacloudapi.cn",
        "vault.azure.cn",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/.default",
        "https://api.loganalytics.azure.cn",
        "https://microsoftgraph.chinacloudapi.cn",
        "api://AzureADTokenExchangeChina",
        AzureClouds.AZURE_CHINA_CLOUD,
    ),
}


def cloud() -> Cloud:
    """The cloud that KVADMIN_CLOUD names."""
    return CLOUDS[settings.KVADMIN_CLOUD]
