"""Search over 100,000 secrets against the same searches over 1,000: the 95th percentile of whole page requests."""

from __future__ import annotations

from django.test import Client

from tests.bench.setting import database, p95, say

QUERIES = ("service-00042", "password", "db", "vault:pay-1 token", "tag:team=t7", "nothing-like-this")
SIZES = (1_000, 100_000)


def main(sizes: tuple[int, int] = SIZES) -> None:
    with database() as vendor:
        client = _reader()
        few, many = ({query: _measure(client, query) for query in QUERIES} for size in sizes if _grow(size))
        say(f"\nSearch, {vendor}: p95 of a page request in ms, {sizes[0]:,} and {sizes[1]:,} secrets")
        for query in QUERIES:
            say(f"  {query:20} {few[query]:8.1f} {many[query]:8.1f}   {many[query] / few[query]:5.2f}x")
        worst = max(many.values()) / max(few.values())
        say(f"  {'the slowest':20} {max(few.values()):8.1f} {max(many.values()):8.1f}   {worst:5.2f}x")


def _reader() -> Client:
    from tests import factories

    client = Client()
    client.force_login(factories.person("reader", "reader"))
    client.get("/")
    return client


def _measure(client: Client, query: str) -> float:
    return p95(lambda: client.get("/search/", {"q": query}))


def _grow(size: int) -> bool:
    """Bring the inventory to this many secrets, in vaults of 500."""
    from django.db import connection

    from tests import factories
    from vaults.models import Secret, Vault

    have = Secret.objects.count()
    for number in range(have // 500, size // 500):
        vault = factories.vault(f"pay-{number}", health="ok")
        Secret.objects.bulk_create([_secret(vault, number * 500 + n) for n in range(500)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return Vault.objects.exists()


def _secret(vault: object, number: int) -> object:
    from vaults.models import Secret, Vault
    from vaults.search import haystack

    assert isinstance(vault, Vault)
    kind = ("password", "token", "db-connection", "certificate")[number % 4]
    key, tags = f"service-{number:06}-{kind}", {"team": f"t{number % 20}"}
    text = haystack(vault.name, key, "text/plain", tags, enabled=True, managed=False)
    return Secret(vault=vault, key=key, name=key, content_type="text/plain", tags=tags, haystack=text)


if __name__ == "__main__":
    main()
