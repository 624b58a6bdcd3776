"""Deleting a secret, and what can be done with a deleted one: see it, bring it back, or purge it for good.

Each change hands out Azure's answer with its evidence: the request id that Azure's log shows, and the vault's region.
Azure answers before it is done. After a delete the secret is nowhere for seconds; after a recover it can't be read for
seconds; after a purge its name stays taken for minutes. Nothing here waits for that: whoever asks looks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from azure.core.rest import HttpRequest

from kvadmin.gateway.classify import Need, call, from_response
from kvadmin.gateway.client import secret_client, vault_host
from kvadmin.gateway.errors import GatewayError, NotFound, error_for
from kvadmin.gateway.keyvault import PAGE_SIZE, SecretProperties, check_name, moment, pages, properties_of
from kvadmin.gateway.paging import AT_ONCE, SWEEP, Patience
from kvadmin.gateway.writing import OFFICER, Answer, Order, send

DELETE = Need(OFFICER, "delete")
RECOVER = Need(OFFICER, "recover")
PURGE = Need("Key Vault Purge Operator", "purge")
GET_DELETED = Need("Key Vault Reader", "get")


class DeletedProperties(NamedTuple):
    """What Azure tells about a deleted secret. Times are in UTC.

    `scheduled_purge_on` is when Azure forgets it by itself. `recovery_level` with "Purgeable" in it allows a purge
    before that. `managed` secrets belong to a certificate, with which they are recovered and purged.
    """

    name: str
    deleted_on: datetime | None
    scheduled_purge_on: datetime | None
    recovery_level: str
    recoverable_days: int
    content_type: str
    tags: dict[str, str]
    enabled: bool
    expires_on: datetime | None
    managed: bool

    @property
    def purgeable(self) -> bool:
        """Whether the vault lets it be purged before its time: purge protection is off."""
        return "Purgeable" in self.recovery_level


def begin_delete_secret(
    vault_uri: str, name: str, *, act_id: str, patience: Patience = AT_ONCE
) -> Answer[DeletedProperties]:
    """Delete a secret with all of its versions. Azure is not done when this returns: see `get_deleted_secret`.

    Raises:
        GatewayError: "managed" when it belongs to a certificate; `definite` False when it may be deleted all the same.
    """
    check_name(name)
    return send(vault_uri, Order("DELETE", f"/secrets/{name}", DELETE, act_id, _deleted), patience)


def list_deleted_secrets(vault_uri: str, *, patience: Patience = SWEEP) -> Iterator[list[DeletedProperties]]:
    """All deleted secrets of a vault, page by page, up to 25 each. One whose deletion is under way is not there yet.

    Raises:
        GatewayError: also in the middle, so that what came before is only a part.
    """
    for items in pages(vault_uri, f"/deletedsecrets?maxresults={PAGE_SIZE}", patience):
        yield _all_deleted(items)


def _all_deleted(items: list[dict[str, Any]]) -> list[DeletedProperties]:
    return call(lambda: [_deleted(item) for item in items])


def get_deleted_secret(vault_uri: str, name: str, *, patience: Patience = AT_ONCE) -> DeletedProperties | None:
    """A deleted secret; None when Azure has none by this name: its deletion is not done, or it is gone for good.

    Raises:
        GatewayError: anything but that.
    """
    check_name(name)
    vault_host(vault_uri)
    try:
        return patience.call(lambda: call(lambda: _get_deleted(vault_uri, name), GET_DELETED))
    except NotFound:
        return None


def _get_deleted(vault_uri: str, name: str) -> DeletedProperties:
    response = secret_client(vault_uri).send_request(HttpRequest("GET", f"/deletedsecrets/{name}"))
    if response.status_code != 200:
        raise from_response(response, GET_DELETED)
    return _deleted(response.json())


def begin_recover_deleted_secret(
    vault_uri: str, name: str, *, act_id: str, patience: Patience = AT_ONCE
) -> Answer[SecretProperties]:
    """Bring a deleted secret back with all of its versions. For some seconds after this it can't be read yet.

    Raises:
        GatewayError: "not-deleted" when it is not deleted; `definite` False when it may be back all the same.
    """
    check_name(name)
    order = Order("POST", f"/deletedsecrets/{name}/recover", RECOVER, act_id, properties_of)
    return send(vault_uri, order, patience)


def purge_deleted_secret(vault_uri: str, name: str, *, act_id: str, patience: Patience = AT_ONCE) -> Answer[None]:
    """Forget a deleted secret for good. Its name stays taken for a while after this: a set answers "being-deleted".

    Azure's refusal does not say in a code whether the vault's purge protection or a missing right is the reason, so a
    refusal that names no right is followed by a look at the secret's recovery level.

    Raises:
        GatewayError: "purge-protected" when the vault forbids it to everybody; `definite` False when it may be gone
            all the same.
    """
    check_name(name)
    try:
        return send(vault_uri, Order("DELETE", f"/deletedsecrets/{name}", PURGE, act_id, _nothing), patience)
    except GatewayError as error:
        failure = error.with_traceback(None)
    if failure.code in {"denied", "policy", "refused"} and _protected(vault_uri, name):
        raise error_for(
            "purge-protected",
            status=failure.status,
            inner=failure.inner,
            request_id=failure.request_id,
            definite=True,
            raw=failure.raw,
        )
    raise failure


def _nothing(body: Mapping[str, Any]) -> None:
    """A purge's answer is empty."""


def _protected(vault_uri: str, name: str) -> bool:
    """Whether the deleted secret can't be purged before its time; False when Azure does not say."""
    try:
        found = get_deleted_secret(vault_uri, name)
    except GatewayError:
        return False
    return bool(found and found.recovery_level and not found.purgeable)


def _deleted(item: Mapping[str, Any]) -> DeletedProperties:
    """One item of the list, or a bundle; raises ValueError, KeyError and the like when it is neither."""
    found = properties_of(item)
    return DeletedProperties(
        found.name,
        moment(item.get("deletedDate")),
        moment(item.get("scheduledPurgeDate")),
        found.recovery_level,
        found.recoverable_days,
        found.content_type,
        found.tags,
        found.enabled,
        found.expires_on,
        found.managed,
    )
