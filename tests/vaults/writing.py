"""What the tests of writing share: a vault in Azure as in the inventory, and the page's own two requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import Client

from kvadmin.emulator.state import Azure
from kvadmin.emulator.store import Version
from vaults.models import Secret, Vault
from vaults.sync import sync_inventory

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
PAGE = "/vaults/pay-prod/secrets/db-password/"
SET = f"{PAGE}set/"
NEW = "/vaults/pay-prod/new-secret/"
HEADERS = {"HX-Request": "true", "Accept": "application/json"}
OLD, EXPIRY = datetime(2026, 1, 1, tzinfo=UTC), datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def build(azure: Azure, **vault: Any) -> Secret:
    """db-password in pay-prod: tags, a content type and an expiry, so that something could be lost."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION, tags={"environment": "prod"}, **vault)
    put(azure, "old value")
    sync_inventory()
    azure.log.clear()
    return Secret.objects.get(key="db-password")


def put(azure: Azure, value: str, name: str = "db-password", **fields: Any) -> Version:
    given = {"content_type": "text/plain", "tags": {"team": "blue", "owner": "ada"}, "at": OLD, "expires_on": EXPIRY}
    return azure.put_secret("pay-prod", name, value, **(given | fields))


def very_many(azure: Azure, value: str, **newest: Any) -> None:
    """501 more versions of db-password, and a newest one, which Azure's list by ids shows last of all."""
    at = newest.pop("at", OLD)
    for _ in range(501):
        put(azure, "one of many", tags={"team": "red"}, at=at)
    secret = azure.vault("pay-prod").secrets.get("db-password")
    assert secret is not None
    secret.add(Version(value, int(at.timestamp()) + 60, id="f" * 32, **newest))


def vault() -> Vault:
    return Vault.objects.get(name="pay-prod")


def newest(azure: Azure, name: str = "db-password") -> Version:
    """The newest version that the emulated Azure holds."""
    secret = azure.vault("pay-prod").secrets.get(name)
    assert secret is not None
    return secret.latest


def reads(azure: Azure) -> list[str]:
    """The operations by which a value left the vault, as Azure's own log has them."""
    return [row.operation for row in azure.log if row.operation in {"SecretGet", "SecretBackup"}]


def fields(mark: str, **changed: Any) -> dict[str, Any]:
    """The form as the page would send it, unchanged but for `changed`; tags are given as a dictionary."""
    tags = changed.pop("tags", {"team": "blue", "owner": "ada"})
    given = {
        "mark": mark, "content_type": "text/plain", "expires_on": "2032-01-01T00:00:00", "enabled": "on",
        "reason": "INC-7: rotated", "tag_name": list(tags), "tag_value": list(tags.values()),
    }  # fmt: skip
    return given | changed


def review(client: Client, form: dict[str, Any], path: str = SET) -> HttpResponse:
    """The first of the page's requests: what will change?"""
    return client.post(path, urlencode(form, doseq=True), "application/x-www-form-urlencoded", headers=HEADERS)


def write(client: Client, value: str, form: dict[str, Any], path: str = SET) -> HttpResponse:
    """The second one: the value, with what was shown."""
    body = json.dumps({"form": urlencode(form, doseq=True), "value": value})
    return client.post(path, body, "application/json", headers=HEADERS)


def reviewed(client: Client, value: str, form: dict[str, Any], path: str = SET) -> HttpResponse:
    """Both, as the page does it."""
    answer = review(client, form, path)
    assert answer.status_code == 200, answer.content
    return write(client, value, form | {"seen": answer.json()["seen"]}, path)
