"""What keys and certificates share: lists in parts that a page can show, and one object of a vault."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from azure.core.rest import HttpRequest, HttpResponse

from kvadmin.gateway.classify import Need, call, from_response
from kvadmin.gateway.client import vault_host
from kvadmin.gateway.errors import error_for, refused
from kvadmin.gateway.keyvault import EARLIEST, MOST_VERSIONS, PAGE_SIZE, moment
from kvadmin.gateway.paging import Page, follow, read_page

T = TypeVar("T")
L = TypeVar("L", bound="Listed")
MOST_CALLS = 8  # pages of Azure's that one part may take: some are empty, and nobody waits for hundreds
_LONGEST_TOKEN = 2_000


class Sends(Protocol):
    """The SDK's client of keys, or of certificates."""

    def send_request(self, request: HttpRequest, *, stream: bool = False, **kwargs: Any) -> HttpResponse:
        """The answer, whatever its status."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """Where objects of one kind lie in a vault, who asks for them, and what it needs."""

    collection: str
    client: Callable[[str], Sends]
    list: Need
    get: Need


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """Some of a list, in Azure's order, and `token`, by which the next part is asked for: "" when there is none."""

    items: list[T]
    token: str


@dataclass(frozen=True, slots=True)
class Versions(Generic[T]):
    """Versions, newest created first. `cut`: there are more, and the newest may be among those."""

    items: list[T]
    cut: bool


@dataclass(frozen=True, slots=True)
class Common:
    """What keys and certificates, and their versions, have alike. `version` is "" in a list. Times are in UTC."""

    name: str
    version: str
    enabled: bool
    created_on: datetime | None
    updated_on: datetime | None
    not_before: datetime | None
    expires_on: datetime | None
    tags: dict[str, str]
    recovery_level: str
    recoverable_days: int


class Listed(Protocol):
    """A key or a certificate, or a version of one, as a list shows it."""

    @property
    def common(self) -> Common:
        """What all of them have."""
        ...


def common(address: str, item: Mapping[str, Any]) -> Common:
    """The common part of an item of Azure's; `address` is its id. Raises ValueError and the like when it is none."""
    get = (item.get("attributes") or {}).get
    name, _, version = address.split("/", 4)[4].partition("/")
    tags = {key: value if isinstance(value, str) else "" for key, value in (item.get("tags") or {}).items()}
    return Common(
        name,
        version,
        get("enabled") is not False,
        moment(get("created")),
        moment(get("updated")),
        moment(get("nbf")),
        moment(get("exp")),
        tags,
        get("recoveryLevel") or "",
        get("recoverableDays") or 0,
    )


def list_part(vault_uri: str, kind: Kind, token: str, least: int, read: Callable[[Mapping[str, Any]], T]) -> Part[T]:
    """At least `least` items from where `token` points ("" is the start), if there are so many.

    The token is what Azure put into its link to the next page, and never the link itself: the link would say to which
    host a call with kvadmin's token goes.

    Raises:
        GatewayError: "refused" for a token that Azure did not make.
    """
    if len(token) > _LONGEST_TOKEN:
        raise refused("There is no such page of this list.")
    items: list[T] = []
    for _ in range(MOST_CALLS):
        page = _page(vault_uri, kind, f"/{kind.collection}?maxresults={PAGE_SIZE}" + _following(token))
        items += _read_all(page.items, read)
        token = _token(page.next_link)
        if not token or len(items) >= least:
            break
    return Part(items, token)


def _read_all(raw: list[dict[str, Any]], read: Callable[[Mapping[str, Any]], T]) -> list[T]:
    return call(lambda: [read(item) for item in raw])


def _following(token: str) -> str:
    return f"&$skiptoken={quote(token, safe='')}" if token else ""


def _token(link: str) -> str:
    """What the link to the next page continues with; raises BadAnswer when it does not say."""
    found = parse_qs(urlsplit(link).query).get("$skiptoken", [""])[0]
    if link and not found:
        raise error_for("bad-answer", status=200)
    return found


def list_versions(vault_uri: str, kind: Kind, name: str, read: Callable[[Mapping[str, Any]], L]) -> Versions[L]:
    """The versions of one object, MOST_VERSIONS at most; an unknown one has none, as Azure has it.

    Raises:
        GatewayError: Azure could not be asked.
    """
    items: list[L] = []
    first = f"/{kind.collection}/{name}/versions?maxresults={PAGE_SIZE}"
    for raw in follow(lambda link: _page(vault_uri, kind, link), first):
        items += _read_all(raw, read)
        if len(items) > MOST_VERSIONS:
            break
    kept = sorted(items[:MOST_VERSIONS], key=lambda item: item.common.created_on or EARLIEST, reverse=True)
    return Versions(kept, cut=len(items) > MOST_VERSIONS)


def _page(vault_uri: str, kind: Kind, path: str) -> Page:
    host, client = vault_host(vault_uri), kind.client(vault_uri)
    return call(lambda: read_page(client.send_request(HttpRequest("GET", path)), host, kind.list))


def get(vault_uri: str, kind: Kind, path: str, read: Callable[[dict[str, Any]], T], need: Need | None = None) -> T:
    """What `read` makes of one object, which lies at `path` below the collection.

    Raises:
        GatewayError: it is not there, or Azure could not be asked.
    """
    client = kind.client(vault_uri)

    def ask() -> T:
        response = client.send_request(HttpRequest("GET", f"/{kind.collection}/{path}"))
        if response.status_code != 200:
            raise from_response(response, need or kind.get)
        return read(response.json())

    return call(ask, need or kind.get)


def unpadded(text: str) -> bytes:
    """The bytes of base64url text without its padding, as Azure writes numbers and thumbprints."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text(value: object) -> str:
    """A text of Azure's; whatever is none, or is not there, is ""."""
    return value if isinstance(value, str) else ""
