"""Looking is free of reads: whatever page is opened, Azure's log shows no value that was asked for."""

from __future__ import annotations

import re
from collections import deque
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urljoin

import pytest
from django.test import Client

from tests import factories
from vaults import sync

if TYPE_CHECKING:
    from kvadmin.emulator.state import Azure

pytestmark = pytest.mark.django_db
SUBSCRIPTION = "00000000-0000-0000-0000-00000000aaaa"
ROLES = ("reader", "secrets-user", "approver", "secrets-officer", "auditor", "administrator")
LINK = re.compile(r'(?:href|hx-get)="([^"#]*)')
MOST = 300


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    """Two vaults with a few secrets, one of them behind a firewall."""
    azure.add_subscription(SUBSCRIPTION, "Payments")
    for vault in ("pay-prod", "pay-test"):
        azure.add_vault(vault, subscription_id=SUBSCRIPTION, tags={"env": vault[4:]})
        for name in ("db-password", "versions", "reveal", "-abc", "000"):
            azure.put_secret(vault, name, "the value", tags={"team": "blue"})
    sync.sync_inventory()
    return azure


def shape(path: str) -> tuple[str, tuple[str, ...]]:
    """A page and which filters are set, whatever to: a calendar's months have no end."""
    page, _, query = path.partition("?")
    return page, tuple(sorted(key for key, _ in parse_qsl(query)))


def crawl(client: Client) -> dict[str, int]:
    """Every page that links lead to from home, once with each set of filters, with its status."""
    seen: dict[str, int] = {}
    shapes = set()
    waiting = deque(["/", "/search/?q=password", "/vaults/pay-prod/?state=disabled", "/help/", "/sync/"])
    while waiting and len(seen) < MOST:
        path = waiting.popleft()
        if shape(path) in shapes or path.startswith("/static/"):
            continue
        shapes.add(shape(path))
        response = client.get(path)
        seen[path] = response.status_code
        if response.headers["Content-Type"].startswith("text/html"):
            links = LINK.findall(response.content.decode())
            waiting += [urljoin(path, unescape(link)) for link in links if not link.startswith("http")]
    return seen


def test_no_page_reads_a_value_and_every_link_leads_somewhere(cloud: Azure, client: Client) -> None:
    somebody = factories.person("everything")
    for role in ROLES:
        factories.assign(somebody, role)
    factories.policy("direct")
    client.force_login(somebody)
    seen = crawl(client)
    assert len(seen) < MOST
    assert {path: status for path, status in seen.items() if status != 200} == {}
    assert "/vaults/pay-prod/secrets/versions/versions/" in seen
    assert [row for row in cloud.log if row.operation == "SecretGet"] == []
    assert any(row.operation == "SecretListVersions" for row in cloud.log)
