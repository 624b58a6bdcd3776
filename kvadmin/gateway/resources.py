"""Plain GETs of Azure Resource Manager: what arm.py, access.py and diagnostics.py share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from azure.core.rest import HttpRequest, HttpResponse

from kvadmin.gateway.classify import Need, call, from_response
from kvadmin.gateway.client import arm_client
from kvadmin.gateway.clouds import cloud
from kvadmin.gateway.errors import refused
from kvadmin.gateway.paging import Page, Patience, follow, read_page

READER = Need("Reader")


def pages(path: str, patience: Patience, need: Need = READER) -> Iterator[list[dict[str, Any]]]:
    """The items of a list, page by page. `path` begins with a slash; `need` is named when Azure refuses.

    Raises:
        GatewayError: the list could not be read to its end.
    """
    host = urlsplit(cloud().arm).netloc

    def fetch(link: str) -> Page:
        return patience.call(lambda: call(lambda: read_page(_get(link), host, need)))

    return follow(fetch, path)


def one(path: str, patience: Patience, need: Need = READER) -> dict[str, Any]:
    """One resource as Azure describes it.

    Raises:
        GatewayError: it could not be read.
    """
    return patience.call(lambda: call(lambda: _body(_get(path), need)))


def _get(link: str) -> HttpResponse:
    url = link if link.startswith("https://") else f"{cloud().arm}{link}"
    return arm_client().send_request(HttpRequest("GET", url))


def _body(response: HttpResponse, need: Need) -> dict[str, Any]:
    if response.status_code != 200:
        raise from_response(response, need)
    body: dict[str, Any] = json.loads(response.content)
    return body


def resource_path(resource_id: str) -> str:
    """An ARM id as a path.

    Raises:
        Refused: it is no ARM id; nothing is sent.
    """
    parts = resource_id.strip("/").split("/")
    if len(parts) < 8 or parts[0].lower() != "subscriptions" or {"", ".", ".."} & set(parts):
        raise refused("This is not the id of a resource in Azure.")
    return "/" + "/".join(quote(part, safe="()") for part in parts)
