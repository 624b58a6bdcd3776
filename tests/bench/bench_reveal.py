"""kvadmin's own share of a reveal: the whole request, less the gateway's call to (an emulated) Azure alone."""

from __future__ import annotations

import uuid

from django.test import Client

from tests.bench.setting import database, p95, say

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"


def main(times: int = 200) -> None:
    with database() as vendor:
        uri, client = _world()
        whole = p95(lambda: _reveal(client), times)
        azure = p95(lambda: _read(uri), times)
        say(f"\nReveal, {vendor}: p95 in ms over {times} requests")
        say(f"  whole request {whole:.1f}, the gateway's call {azure:.1f}, kvadmin's own share {whole - azure:.1f}")


def _world() -> tuple[str, Client]:
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure
    from kvadmin.gateway import client as gateway
    from tests import factories

    cloud = Azure()
    cloud.add_subscription(SUBSCRIPTION, "Payments")
    cloud.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    cloud.put_secret("pay-prod", "db-password", "value")
    doors.set_memory("tests", cloud)
    gateway.reset()
    factories.policy("direct")
    secret = factories.secret(factories.vault("pay-prod"), "db-password")
    client = Client()
    client.force_login(factories.person("ada", "secrets-user"))
    return secret.vault.uri, client


def _reveal(client: Client) -> None:
    path = "/vaults/pay-prod/secrets/db-password/reveal/"
    answer = client.post(path, {"reason": "INC-7"}, headers={"HX-Request": "true"})
    assert answer.json()["value"] == "value"


def _read(uri: str) -> None:
    from kvadmin.gateway import keyvault

    keyvault.get_secret(uri, "db-password", reveal_id=str(uuid.uuid4()))


if __name__ == "__main__":
    main()
