"""The sweep's secrets per second, against the SDK's own list loop and against bare pages with json.loads.

All three talk to the same emulator in this process. Once without any distance, where only the processor counts, and
once with 20 ms per page, as a vault in the same region answers: there the sweep lists several vaults at a time.
"""

from __future__ import annotations

import json

from tests.bench.setting import database, say, seconds

SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
VAULTS = 8


def main(per_vault: int = 2500, distances: tuple[float, ...] = (0.0, 0.02)) -> None:
    with database() as vendor:
        for distance in distances:
            _compare(vendor, per_vault, distance)


def _compare(vendor: str, per_vault: int, distance: float) -> None:
    from kvadmin.emulator import doors
    from kvadmin.emulator.state import Azure
    from kvadmin.gateway import client
    from vaults.models import Secret, Vault
    from vaults.sync import sync_inventory

    total = per_vault * VAULTS
    cloud = _cloud(Azure(), per_vault, distance)
    doors.set_memory("tests", cloud)
    client.reset()
    Secret.objects.all().delete()
    Vault.objects.all().delete()
    _sdk(), _bare()  # warm: the emulator keeps each page once it has been made
    sdk, bare = seconds(_sdk), seconds(_bare)
    first, again = seconds(sync_inventory), seconds(sync_inventory)
    assert Secret.objects.count() == total
    say(f"\nSweep of {total:,} secrets in {VAULTS} vaults, {vendor}, {distance * 1000:.0f} ms a page")
    for name, took in (("SDK's list loop", sdk), ("bare pages + json.loads", bare)):
        say(f"  {name:28} {total / took:9,.0f} secrets/s")
    for name, took in (("first sweep, all written", first), ("next sweep, nothing changed", again)):
        rates = f"{sdk / took:5.2f}x the SDK's loop, {bare / took:5.2f}x bare pages"
        say(f"  {name:28} {total / took:9,.0f} secrets/s  {rates}")


def _cloud(cloud: object, per_vault: int, distance: float) -> object:
    from kvadmin.emulator.faults import Fault
    from kvadmin.emulator.state import Azure

    assert isinstance(cloud, Azure)
    cloud.add_subscription(SUBSCRIPTION, "Payments")
    for number in range(VAULTS):
        name = f"pay-{number}"
        cloud.add_vault(name, subscription_id=SUBSCRIPTION)
        for secret in range(per_vault):
            cloud.put_secret(name, f"service-{secret:05}-password", "x", tags={"team": f"t{secret % 20}"})
        if distance:
            cloud.faults.set(name, Fault("slow", seconds=distance))
    return cloud


def _sdk() -> None:
    from kvadmin.gateway import client

    for number in range(VAULTS):
        for _ in client.secret_client(f"https://pay-{number}.vault.azure.net/").list_properties_of_secrets():
            pass


def _bare() -> None:
    from azure.core.rest import HttpRequest

    from kvadmin.gateway import client

    for number in range(VAULTS):
        uri = f"https://pay-{number}.vault.azure.net/"
        link = f"{uri}secrets?api-version=7.4&maxresults=25"
        while link:
            response = client.secret_client(uri).send_request(HttpRequest("GET", link))
            link = json.loads(response.content)["nextLink"]


if __name__ == "__main__":
    main()
