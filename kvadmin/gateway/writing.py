"""What all calls that change a vault share: how they are sent, by whom Azure's log says they were, and their answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from azure.core.rest import HttpRequest, HttpResponse

from kvadmin.gateway.classify import Need, call, from_response
from kvadmin.gateway.client import USER_AGENT, secret_client, vault_host
from kvadmin.gateway.errors import GatewayError, refused
from kvadmin.gateway.keyvault import SecretProperties
from kvadmin.gateway.paging import Patience

OFFICER = "Key Vault Secrets Officer"
SLOW_SECONDS = 60  # a backup carries up to 500 versions of 25 KiB
_ACT_ID = re.compile(r"[0-9A-Za-z-]{8,64}")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Written:
    """What Azure says that it stored, and its evidence: the request id that its log shows, and the vault's region."""

    properties: SecretProperties
    request_id: str
    region: str


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """One change to send. `body` gives what is sent as JSON, and `read` what is wanted of the answer's JSON: both are
    functions, so that a value lies in no variable of a frame that an error's report could print.

    `private`: the body holds a value, so that no text of a refusal is kept, which could repeat it. `seconds`: how long
    the answer may take, None for the usual time.
    """

    method: str
    path: str
    need: Need
    act_id: str
    read: Callable[[dict[str, Any]], T]
    body: Callable[[], dict[str, Any]] | None = None
    private: bool = False
    seconds: int | None = None


@dataclass
class Answer(Generic[T]):
    """What was read of a good answer, and the two headers that are evidence."""

    found: T
    request_id: str
    region: str


def send(vault_uri: str, order: Order[T], patience: Patience) -> Answer[T]:
    """Send a change once; again only while Azure certainly has not done it (see Patience.certain).

    `send_request` has the SDK's sign-in and pool, and hands out the answer with its headers and untouched JSON.

    Raises:
        GatewayError: `definite` is False when the change may have been made all the same; with `request_id` set
            whenever an answer came.
    """
    if not _ACT_ID.fullmatch(order.act_id):
        raise refused("The act's own id is not a plain identifier.")
    vault_host(vault_uri)
    return patience.certain(lambda: _sent(vault_uri, order))


def _sent(vault_uri: str, order: Order[T]) -> Answer[T]:
    try:
        return call(lambda: _read(_ask(vault_uri, order), order), order.need)
    except GatewayError as error:
        if order.private:
            error.raw = ""
        raise


def _ask(vault_uri: str, order: Order[T]) -> HttpResponse:
    options: dict[str, Any] = {} if order.seconds is None else {"read_timeout": order.seconds}
    request = HttpRequest(order.method, order.path, json=order.body() if order.body else None)
    agent = f"{USER_AGENT} act/{order.act_id}"
    return secret_client(vault_uri).send_request(request, user_agent=agent, **options)


def _read(response: HttpResponse, order: Order[T]) -> Answer[T]:
    if response.status_code not in {200, 204}:
        raise from_response(response, order.need)
    request_id = response.headers.get("x-ms-request-id", "")[:64]
    region = response.headers.get("x-ms-keyvault-region", "")[:64]
    try:
        found = call(lambda: order.read(json.loads(response.content) if response.status_code == 200 else {}))
    except GatewayError as error:
        error.status, error.request_id = response.status_code, request_id
        raise
    return Answer(found, request_id, region)
