"""A new version of a secret, and new properties of one. Each is one call, and its answer is compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from kvadmin.gateway import rules
from kvadmin.gateway.classify import Need
from kvadmin.gateway.errors import error_for, refused
from kvadmin.gateway.keyvault import SecretProperties, check_name, properties_of
from kvadmin.gateway.paging import AT_ONCE, Patience
from kvadmin.gateway.values import SecretValue
from kvadmin.gateway.writing import OFFICER, Order, Written, send

__all__ = ["UNSET", "Unset", "Written", "set_secret", "update_secret_properties"]

SET = Need(OFFICER, "set")


class Unset(Enum):
    """The type of UNSET: "leave this as it is", told apart from every value, None included."""

    UNSET = "leave as it is"


UNSET: Final = Unset.UNSET
_Unset = Literal[Unset.UNSET]


def set_secret(
    vault_uri: str,
    name: str,
    value: SecretValue,
    *,
    content_type: str = "",
    tags: Mapping[str, str] | None = None,
    enabled: bool = True,
    not_before: datetime | None = None,
    expires_on: datetime | None = None,
    act_id: str,
    patience: Patience = AT_ONCE,
) -> Written:
    """A new version of the secret, or a new secret. What is not given, the new version does not have.

    `act_id` goes into the User-Agent, which Azure logs. The answer must hold what was sent, value included: SDKs are
    known to have sent an empty body after a token ran out, and something between may answer in Azure's place.

    Raises:
        GatewayError: "refused" when a rule is broken: nothing is sent then; "not-as-sent" when Azure's answer differs;
            `definite` False when the version may exist all the same.
    """
    check_name(name)
    rules.check_value(value)
    dates = {"not_before": not_before, "expires_on": expires_on}
    given = {"content_type": content_type, "tags": dict(tags or {}), "enabled": enabled, **dates}
    properties = {key: None if wanted is None else _checked(key, wanted) for key, wanted in given.items()}

    def read(body: dict[str, Any]) -> SecretProperties:
        if body.get("value") != value.expose():
            raise error_for("not-as-sent")
        return _as_sent(body, properties)

    def body() -> dict[str, Any]:
        return _body(properties) | {"value": value.expose()}

    answer = send(vault_uri, Order("PUT", f"/secrets/{name}", SET, act_id, read, body, private=True), patience)
    return Written(answer.found, answer.request_id, answer.region)


def update_secret_properties(
    vault_uri: str,
    name: str,
    version: str,
    *,
    content_type: str | _Unset = UNSET,
    tags: Mapping[str, str] | _Unset = UNSET,
    enabled: bool | _Unset = UNSET,
    not_before: datetime | _Unset = UNSET,
    expires_on: datetime | _Unset = UNSET,
    act_id: str,
    patience: Patience = AT_ONCE,
) -> Written:
    """New properties of one version, an empty `version` being the latest; what is UNSET stays as it is.

    An empty content type and empty tags clear what was there. A date can be moved, and not taken away: Azure has no
    way to say so, and a new version is what there is instead.

    Raises:
        GatewayError: as `set_secret`.
    """
    check_name(name, version)
    given = {
        "content_type": content_type,
        "tags": tags if isinstance(tags, Unset) else dict(tags),
        "enabled": enabled,
        "not_before": not_before,
        "expires_on": expires_on,
    }
    properties = {key: _checked(key, wanted) for key, wanted in given.items() if wanted is not UNSET}
    if not properties:
        raise refused("Nothing is to be changed.")
    order = Order(
        "PATCH",
        f"/secrets/{name}/{version}",
        SET,
        act_id,
        lambda body: _as_sent(body, properties),
        lambda: _body(properties),
    )
    answer = send(vault_uri, order, patience)
    return Written(answer.found, answer.request_id, answer.region)


def _checked(key: str, wanted: Any) -> Any:
    """The property as Azure will show it; raises Refused when a rule is broken."""
    if key == "content_type":
        rules.check_content_type(wanted)
    elif key == "tags":
        rules.check_tags(wanted)
    elif key in {"not_before", "expires_on"}:
        if wanted is None:
            raise refused("Azure cannot take a date away from a version. Set a new version without it instead.")
        return rules.seconds_of(wanted)
    return wanted


_ATTRIBUTES = {"enabled": "enabled", "not_before": "nbf", "expires_on": "exp"}


def _body(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties in Azure's spelling; a date that is None is left out, since Azure knows no null."""
    attributes = {theirs: properties[ours] for ours, theirs in _ATTRIBUTES.items() if properties.get(ours) is not None}
    body = {"contentType": properties.get("content_type"), "tags": properties.get("tags"), "attributes": attributes}
    return {key: part for key, part in body.items() if part is not None}


def _as_sent(body: Mapping[str, Any], properties: Mapping[str, Any]) -> SecretProperties:
    """The secret in the answer; raises "not-as-sent" when a property is not as it was sent."""
    found = properties_of(body)
    shown = {
        "content_type": found.content_type,
        "tags": found.tags,
        "enabled": found.enabled,
        "not_before": rules.seconds_of(found.not_before) if found.not_before else None,
        "expires_on": rules.seconds_of(found.expires_on) if found.expires_on else None,
    }
    if any(shown[key] != wanted for key, wanted in properties.items()):
        raise error_for("not-as-sent")
    return found
