"""The emulated vault is held to what the live service was seen to answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from kvadmin.emulator.faults import Fault
from kvadmin.emulator.identities import KVADMIN, TENANT_ID
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import ANN, API, SUBSCRIPTION, VAULT, Wire, fixture, shape

ANSWERS = fixture("answers.json")
REFUSALS = fixture("refusals.json")
SET = {"value": "ABC123", "contentType": "text/plain", "tags": {"team": "payments"}}
UPDATE = {"attributes": {"exp": 2527401600}, "tags": {"foo": "updated tag"}}


def _recover(azure: Azure, wire: Wire) -> requests.Response:
    wire.call("DELETE", "/secrets/db-password")
    return wire.call("POST", "/deletedsecrets/db-password/recover")


def _restore(azure: Azure, wire: Wire) -> requests.Response:
    blob = wire.call("POST", "/secrets/db-password/backup").json()
    wire.call("DELETE", "/secrets/db-password")
    wire.call("DELETE", "/deletedsecrets/db-password")
    return wire.call("POST", "/secrets/restore", blob)


def _bare(azure: Azure, wire: Wire) -> requests.Response:
    azure.put_secret("pay-prod", "bare", "value")
    return wire.call("GET", "/secrets/bare/")


def _empty(azure: Azure, wire: Wire) -> requests.Response:
    azure.add_vault("empty", subscription_id=SUBSCRIPTION)
    return wire.call("GET", "/secrets", vault="https://empty.vault.azure.net")


GIVEN: dict[str, Callable[[Azure, Wire], requests.Response]] = {
    "set": lambda azure, wire: wire.call("PUT", "/secrets/db-password", SET),
    "get": lambda azure, wire: wire.call("GET", "/secrets/db-password/"),
    "get-bare": _bare,
    "update": lambda azure, wire: wire.call("PATCH", "/secrets/db-password/", UPDATE),
    "list": lambda azure, wire: wire.call("GET", "/secrets"),
    "list-empty": _empty,
    "versions": lambda azure, wire: wire.call("GET", "/secrets/db-password/versions"),
    "versions-unknown": lambda azure, wire: wire.call("GET", "/secrets/nothing/versions"),
    "delete": lambda azure, wire: wire.call("DELETE", "/secrets/db-password"),
    "recover": _recover,
    "backup": lambda azure, wire: wire.call("POST", "/secrets/db-password/backup"),
    "restore": _restore,
}


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "about"])
def test_an_answer_has_the_recorded_status_and_exactly_the_recorded_keys(name: str, cloud: Azure, wire: Wire) -> None:
    answer = GIVEN[name](cloud, wire)

    assert (answer.status_code, shape(answer.json())) == (ANSWERS[name]["status"], shape(ANSWERS[name]["body"]))


@pytest.mark.parametrize("name", ["set", "delete", "recover"])
def test_the_recovery_level_of_a_seven_day_vault_is_the_recorded_one(name: str, cloud: Azure, wire: Wire) -> None:
    attributes = GIVEN[name](cloud, wire).json()["attributes"]

    recorded = ANSWERS[name]["body"]["attributes"]
    assert attributes["recoveryLevel"] == recorded["recoveryLevel"]
    assert attributes["recoverableDays"] == recorded["recoverableDays"]


def _no_token(azure: Azure, wire: Wire) -> requests.Response:
    return wire.call("GET", "/secrets", Authorization="")


def _other_audience(azure: Azure, wire: Wire) -> requests.Response:
    token = KVADMIN.token("https://management.azure.com/.default")
    return wire.call("GET", "/secrets", Authorization=f"Bearer {token}")


def _other_tenant(azure: Azure, wire: Wire) -> requests.Response:
    token = KVADMIN.token("https://vault.azure.net", "00000000-0000-0000-0000-0000000000c3")
    return wire.call("GET", "/secrets", Authorization=f"Bearer {token}")


def _disabled(azure: Azure, wire: Wire) -> requests.Response:
    azure.put_secret("pay-prod", "off", "x", enabled=False)
    return wire.call("GET", "/secrets/off/")


def _set_deleted(azure: Azure, wire: Wire) -> requests.Response:
    azure.put_secret("pay-prod", "gone", "x")
    wire.call("DELETE", "/secrets/gone")
    return wire.call("PUT", "/secrets/gone", {"value": "y"})


def _rbac(azure: Azure, wire: Wire) -> requests.Response:
    azure.revoke(KVADMIN)
    return wire.call("GET", "/secrets/db-password/")


def _access_policy(azure: Azure, wire: Wire) -> requests.Response:
    azure.add_vault("old-school", subscription_id=SUBSCRIPTION, rbac=False)
    return wire.call("GET", "/secrets", vault="https://old-school.vault.azure.net")


def _faulty(kind: str) -> Callable[[Azure, Wire], requests.Response]:
    def call(azure: Azure, wire: Wire) -> requests.Response:
        azure.faults.set("pay-prod", Fault(kind))
        return wire.call("GET", "/secrets/db-password/")

    return call


REFUSED: dict[str, Callable[[Azure, Wire], requests.Response]] = {
    "no-token": _no_token,
    "other-audience": _other_audience,
    "other-tenant": _other_tenant,
    "missing": lambda azure, wire: wire.call("GET", "/secrets/nothing/"),
    "missing-deleted": lambda azure, wire: wire.call("GET", "/deletedsecrets/nothing"),
    "disabled": _disabled,
    "set-deleted": _set_deleted,
    "recover-live": lambda azure, wire: wire.call("POST", "/deletedsecrets/db-password/recover"),
    "bad-name": lambda azure, wire: wire.call("GET", "/secrets/bad_name/"),
    "empty-name": lambda azure, wire: wire.call("PUT", "/secrets/", {"value": "x"}),
    "bad-backup": lambda azure, wire: wire.call("POST", "/secrets/restore", {"value": "bm90aGluZw"}),
    "rbac": _rbac,
    "access-policy": _access_policy,
    "firewall": _faulty("firewall"),
    "private-link": _faulty("private-link"),
    "throttled": _faulty("throttled"),
}


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(inner) for key, inner in value.items()}
    ids = {"{oid}": KVADMIN.object_id, "{appid}": KVADMIN.app_id, "{tenant}": TENANT_ID}
    for placeholder, text in ids.items():
        value = value.replace(placeholder, text)
    return value


@pytest.mark.parametrize("name", [name for name in REFUSALS if name != "about"])
def test_a_refusal_is_the_recorded_one_word_for_word(name: str, cloud: Azure, wire: Wire) -> None:
    answer = REFUSED[name](cloud, wire)

    assert (answer.status_code, answer.json()) == (REFUSALS[name]["status"], _filled(REFUSALS[name]["body"]))


def test_the_challenge_names_the_tenant_and_the_resource(session: requests.Session) -> None:
    answer = session.get(f"{VAULT}/secrets?{API}")

    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer authorization="https://login.microsoftonline.com/{TENANT_ID}", resource="https://vault.azure.net"'
    )


def test_every_answer_has_the_headers_of_the_service(wire: Wire) -> None:
    answer = wire.call("GET", "/secrets/nothing/", **{"x-ms-client-request-id": "ours"})

    assert answer.headers["x-ms-client-request-id"] == "ours"
    assert answer.headers["x-ms-keyvault-region"] == "westeurope"
    assert answer.headers["x-ms-keyvault-network-info"] == (
        "conn_type=Ipv4;addr=203.0.113.10;act_addr_fam=InterNetwork;"
    )
    assert answer.headers["x-ms-keyvault-service-version"] == "1.9.3070.1"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_each_request_gets_its_own_request_id(wire: Wire) -> None:
    ids = {wire.call("GET", "/secrets").headers["x-ms-request-id"] for _ in range(3)}

    assert len(ids) == 3


def test_a_person_without_a_role_is_named_in_the_refusal(session: requests.Session, cloud: Azure) -> None:
    answer = Wire(session, ANN).call("GET", "/secrets/db-password/")

    assert f"oid={ANN.object_id}" in answer.json()["error"]["message"]
    assert answer.json()["error"]["innererror"] == {"code": "ForbiddenByRbac"}
