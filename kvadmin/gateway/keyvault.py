"""Key Vault's secrets: lists of metadata, and the one call that reads a value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from azure.core.pipeline import PipelineResponse
from azure.core.rest import HttpRequest
from azure.keyvault.secrets import SecretClient

from kvadmin.gateway import on_behalf
from kvadmin.gateway.classify import Need, call
from kvadmin.gateway.client import USER_AGENT, secret_client, vault_host
from kvadmin.gateway.errors import GatewayError, error_for, refused
from kvadmin.gateway.on_behalf import OnBehalfOf
from kvadmin.gateway.paging import AT_ONCE, SWEEP, Page, Patience, follow, read_page
from kvadmin.gateway.values import SecretValue

PAGE_SIZE = 25  # Azure refuses more
MOST_VERSIONS = 500  # above it Azure's own backup fails as well
LIST = Need("Key Vault Reader", "list")
READ = Need("Key Vault Secrets User", "get")
OWN_READ = READ._replace(identity="your own account")
# Azure takes any number as a date. What Python cannot hold is moved to these: far off, and still before or after all
# others; a day short of the very ends, so that a conversion to local time does not overflow.
EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LATEST = datetime(9999, 12, 30, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_SECONDS = LATEST.timestamp()
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9A-Fa-f]{32}")
_MARK = re.compile(r"(reveal|act)/[0-9A-Za-z-]{8,64}")


class SecretProperties(NamedTuple):
    """What Azure tells about a secret, or about one version of it, without its value. All times are in UTC.

    `version` is "" in a list of secrets. `managed` secrets belong to a certificate. A date outside the years 1 to
    9999 is shown as EARLIEST or LATEST, so that an absurd one never reads as "none". A named tuple, because a sweep
    makes a million of them, and a frozen dataclass takes twice the time.
    """

    name: str
    version: str
    enabled: bool
    content_type: str
    tags: dict[str, str]
    created_on: datetime | None
    updated_on: datetime | None
    not_before: datetime | None
    expires_on: datetime | None
    recovery_level: str
    recoverable_days: int
    managed: bool


@dataclass(frozen=True, slots=True)
class VersionList:
    """Versions, newest created first. `cut`: there are more than were asked for, and Azure promises no order, so
    that the newest may be among those that are missing."""

    versions: list[SecretProperties]
    cut: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A value, and Azure's evidence of the read: the request id that its log shows, and the vault's region."""

    value: SecretValue
    properties: SecretProperties
    request_id: str
    region: str


def valid_name(name: str) -> bool:
    """Whether a secret can be called so."""
    return bool(_NAME.fullmatch(name))


def valid_version(version: str) -> bool:
    """Whether a version can be called so."""
    return bool(_VERSION.fullmatch(version))


def list_properties_of_secrets(vault_uri: str, *, patience: Patience = SWEEP) -> Iterator[list[SecretProperties]]:
    """All secrets of a vault, page by page, up to 25 each; no value is read.

    Made for the sweep: `send_request` has the SDK's sign-in, pool and errors, without the time that its model layer
    takes.

    Raises:
        GatewayError: also in the middle, so that what came before is only a part.
    """
    return map(_parsed, pages(vault_uri, f"/secrets?maxresults={PAGE_SIZE}", patience))


def list_properties_of_secret_versions(
    vault_uri: str, name: str, *, most: int = MOST_VERSIONS, patience: Patience = AT_ONCE
) -> VersionList:
    """The versions of a secret, at most `most`; an unknown secret has none, as Azure has it.

    Raises:
        GatewayError: "refused" when no secret can have that name; nothing is sent then.
    """
    check_name(name)
    versions: list[SecretProperties] = []
    for items in pages(vault_uri, f"/secrets/{name}/versions?maxresults={PAGE_SIZE}", patience):
        versions += _parsed(items)
        if len(versions) > most:
            break
    kept = sorted(versions[:most], key=lambda version: version.created_on or EARLIEST, reverse=True)
    return VersionList(kept, cut=len(versions) > most)


def pages(vault_uri: str, first: str, patience: Patience) -> Iterator[list[dict[str, Any]]]:
    """The items of a list of the vault's secrets as Azure sends them, page by page; `first` is its path and query.

    Raises:
        GatewayError: also in the middle.
    """
    host, client = vault_host(vault_uri), secret_client(vault_uri)

    def fetch(link: str) -> Page:
        return patience.call(lambda: call(lambda: read_page(client.send_request(HttpRequest("GET", link)), host, LIST)))

    return follow(fetch, first)


def _parsed(items: list[dict[str, Any]]) -> list[SecretProperties]:
    return call(lambda: [properties_of(item) for item in items])


def get_secret(
    vault_uri: str,
    name: str,
    version: str = "",
    *,
    reveal_id: str = "",
    act_id: str = "",
    on_behalf_of: OnBehalfOf | None = None,
) -> Read:
    """Read a value: the one call of kvadmin that does. An empty `version` is the latest.

    `reveal_id`, or `act_id` for a read that shows nothing (a comparison, a copy), goes into the User-Agent, which Azure
    logs: it is what is left to find the read by when the answer is lost. The request id in the answer is the better
    evidence. Nothing is tried twice: one call, one read in the log. With `on_behalf_of` it is read with that person's
    own rights, and Azure's log names them; else with kvadmin's.

    Raises:
        GatewayError: with `request_id` set whenever an answer came; "refused" when name, version or id are impossible:
            nothing is sent then.
    """
    check_name(name, version)
    mark = f"reveal/{reveal_id}" if reveal_id else f"act/{act_id}"
    if not _MARK.fullmatch(mark):
        raise refused("The reveal's own id is not a plain identifier.")
    client = on_behalf.secret_client(vault_uri, on_behalf_of) if on_behalf_of else secret_client(vault_uri)
    need, answer = OWN_READ if on_behalf_of else READ, _Answer()
    try:
        return call(lambda: _read(client, (name, version), f"{USER_AGENT} {mark}", answer), need)
    except GatewayError as error:
        error.request_id = error.request_id or answer.request_id
        raise


@dataclass
class _Answer:
    """What is taken from the answer by a hook, because the SDK hands it on nowhere else: never the value."""

    request_id: str = ""
    region: str = ""
    properties: dict[str, Any] = field(default_factory=dict)

    def take(self, response: PipelineResponse[Any, Any]) -> None:
        """Called for each answer: the last one counts. The 401 that asks for a token is none; its id is no read's."""
        if response.http_response.status_code == 401:
            return
        headers = response.http_response.headers
        self.request_id = headers.get("x-ms-request-id", "")[:64]
        self.region = headers.get("x-ms-keyvault-region", "")[:64]
        if response.http_response.status_code == 200:
            body = json.loads(response.http_response.content)
            self.properties = {key: body[key] for key in body if key != "value"}


def _read(client: SecretClient, secret: tuple[str, str], user_agent: str, answer: _Answer) -> Read:
    found = client.get_secret(*secret, user_agent=user_agent, raw_response_hook=answer.take)
    if not isinstance(found.value, str):
        raise error_for("bad-answer", status=200)
    return Read(SecretValue(found.value), properties_of(answer.properties), answer.request_id, answer.region)


def check_name(name: str, version: str = "") -> None:
    """Raise for what no secret, or no version, can be called; an empty version is the latest.

    Raises:
        Refused: before anything is sent.
    """
    if not valid_name(name):
        raise refused("No secret can have this name: it takes 1 to 127 letters, digits and hyphens.")
    if version and not valid_version(version):
        raise refused("No version can have this name: it takes 32 hexadecimal digits.")


def properties_of(item: Mapping[str, Any]) -> SecretProperties:
    """One item of a list, or a bundle; raises ValueError, KeyError and the like when it is neither."""
    get = (item.get("attributes") or {}).get
    name, _, version = item["id"].split("/", 4)[4].partition("/")
    # By position and not by keyword: it is noticeably faster, and this line is what a sweep spends its time on.
    return SecretProperties(
        name,
        version,
        get("enabled") is not False,
        item.get("contentType") or "",
        _tags(item.get("tags")),
        moment(get("created")),
        moment(get("updated")),
        moment(get("nbf")),
        moment(get("exp")),
        get("recoveryLevel") or "",
        get("recoverableDays") or 0,
        item.get("managed") is True,
    )


def _tags(tags: dict[str, Any] | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else "" for key, value in tags.items()} if tags else {}


def moment(seconds: float | None) -> datetime | None:
    """A date of Azure's; None stays None, and an absurd one becomes EARLIEST or LATEST."""
    if seconds is None:
        return None
    if 0 <= seconds <= _LATEST_SECONDS:  # nearly always: a sweep passes here millions of times
        return datetime.fromtimestamp(seconds, UTC)
    try:
        return min(max(_EPOCH + timedelta(seconds=seconds), EARLIEST), LATEST)
    except OverflowError:
        return LATEST if seconds > 0 else EARLIEST
