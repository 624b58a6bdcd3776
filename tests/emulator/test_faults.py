"""Each fault, as the unchanged SDK meets it, in this process and over a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import pytest
import requests
from azure.core.exceptions import (
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator import doors
from kvadmin.emulator.faults import Fault, Faults
from kvadmin.emulator.state import Azure
from tests.emulator.cloud import VAULT, Wire, secret_client, served, session_on


@pytest.fixture(params=["memory", "loopback"])
def far(request: pytest.FixtureRequest, cloud: Azure) -> Iterator[requests.Session]:
    """A session on each kind of door."""
    if request.param == "memory":
        with session_on(doors.open_door("memory://emulator-tests")) as session:
            yield session
        return
    with served(cloud) as server, session_on(doors.open_door(server.address)) as session:
        yield session


@pytest.fixture
def reader(far: requests.Session) -> SecretClient:
    return secret_client(far)


def operations(cloud: Azure) -> list[str]:
    return [row.operation for row in cloud.log if row.status != 401]


def test_a_truncated_answer_makes_the_sdk_put_the_value_into_its_exception(cloud: Azure, reader: SecretClient) -> None:
    cloud.put_secret("pay-prod", "canary", "canary-value")
    cloud.faults.set("pay-prod", Fault("truncated"))

    with pytest.raises(DecodeError) as raised:
        reader.get_secret("canary")

    assert "canary-value" in str(raised.value)
    assert operations(cloud) == ["SecretGet"]


def test_an_unknown_vault_cannot_be_resolved(far: requests.Session) -> None:
    client = secret_client(far, vault="https://no-such-vault.vault.azure.net")

    resolved = r"NameResolutionError.*Failed to resolve 'no-such-vault\.vault\.azure\.net'"
    with pytest.raises(ServiceRequestError, match=resolved):
        client.get_secret("any")


def test_a_dns_fault_hides_a_vault_before_its_challenge(cloud: Azure, reader: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("dns"))

    with pytest.raises(ServiceRequestError, match=r"Failed to resolve 'pay-prod\.vault\.azure\.net'"):
        reader.get_secret("db-password")

    assert cloud.log == []


def test_a_reset_comes_before_azure_has_seen_the_request(cloud: Azure, reader: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("reset"))

    with pytest.raises((ServiceRequestError, ServiceResponseError), match="Connection reset by peer"):
        reader.get_secret("db-password")

    assert operations(cloud) == []


def test_a_lost_answer_was_given_and_logged(cloud: Azure, reader: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("lost"))

    with pytest.raises((ServiceRequestError, ServiceResponseError), match="Connection reset by peer"):
        reader.get_secret("db-password")

    assert operations(cloud) == ["SecretGet"]


def test_a_proxy_s_page_never_reached_azure(cloud: Azure, reader: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("html"))

    with pytest.raises(json.JSONDecodeError):  # which the SDK lets through as it is
        reader.get_secret("db-password")

    assert operations(cloud) == []


def test_a_slow_vault_runs_into_the_client_s_time_out(cloud: Azure, reader: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("slow", seconds=0.3))

    with pytest.raises(ServiceResponseTimeoutError):
        reader.get_secret("db-password", read_timeout=0.1)


def test_a_slow_vault_answers_a_patient_client(cloud: Azure, reader: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("slow", seconds=0.01))

    assert reader.get_secret("db-password").value == "ABC123"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("rbac"), (403, "Forbidden", "ForbiddenByRbac")),
        (Fault("access-policy"), (403, "Forbidden", "AccessDenied")),
        (Fault("firewall"), (403, "Forbidden", "ForbiddenByFirewall")),
        (Fault("private-link"), (403, "Forbidden", "ForbiddenByConnection")),
        (Fault("policy"), (403, "Forbidden", "ForbiddenByPolicy")),
        (Fault("server"), (500, "InternalServerError", "")),
        (Fault("server", status=503), (503, "ServiceUnavailable", "")),
        (Fault("throttled"), (429, "Throttled", "")),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_a_refusal_has_azure_s_codes(
    fault: Fault, expected: tuple[int, str, str], cloud: Azure, reader: SecretClient
) -> None:
    cloud.faults.set("pay-prod", fault)

    with pytest.raises(HttpResponseError) as raised:
        reader.get_secret("db-password")

    error = raised.value.error
    assert error is not None
    assert (raised.value.status_code, error.code, (error.innererror or {}).get("code", "")) == expected


def test_the_firewall_s_text_would_fool_who_reads_words(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("firewall"))

    assert "not authorized" in wire.call("GET", "/secrets").json()["error"]["message"]


@pytest.mark.parametrize(("retry_after", "header"), [(None, None), (0, "0"), (3600, "3600")])
def test_throttling_names_a_time_only_when_it_was_given_one(
    retry_after: int | None, header: str | None, cloud: Azure, wire: Wire
) -> None:
    cloud.faults.set("pay-prod", Fault("throttled", retry_after=retry_after))

    assert wire.call("GET", "/secrets").headers.get("Retry-After") == header


def test_an_endless_list_gives_the_same_link_for_ever(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("loop"))

    first = wire.call("GET", "/secrets").json()["nextLink"]
    second = wire.call("GET", first).json()["nextLink"]

    assert first == second


def test_the_sdk_walks_an_endless_list_without_end(cloud: Azure, client: SecretClient) -> None:
    cloud.faults.set("pay-prod", Fault("loop"))

    names = [secret.name for secret in islice(client.list_properties_of_secrets(), 5)]

    assert names == ["db-password"] * 5


def test_times_limits_a_fault_to_that_many_calls(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("server", times=2))

    assert [wire.call("GET", "/secrets").status_code for _ in range(3)] == [500, 500, 200]


def test_a_challenge_does_not_use_up_a_fault(cloud: Azure, session: requests.Session, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("server", times=1))

    session.get(f"{VAULT}/secrets")

    assert wire.call("GET", "/secrets").status_code == 500


def test_operations_limit_a_fault_to_these(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("server", operations=frozenset({"SecretGet"})))

    assert wire.call("GET", "/secrets").status_code == 200
    assert wire.call("GET", "/secrets/db-password/").status_code == 500


def test_the_first_fault_that_fits_wins_and_the_next_takes_over(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("PAY-prod", Fault("throttled", times=1), Fault("server"))

    assert [wire.call("GET", "/secrets").status_code for _ in range(3)] == [429, 500, 500]


def test_a_cleared_vault_works_again_and_others_keep_their_faults(cloud: Azure, wire: Wire) -> None:
    cloud.faults.set("pay-prod", Fault("server"))
    cloud.faults.set("other", Fault("server"))

    cloud.faults.clear("Pay-Prod")

    assert wire.call("GET", "/secrets").status_code == 200
    assert cloud.faults.take("other", "SecretGet") == Fault("server")


def test_clearing_without_a_name_clears_everybody() -> None:
    faults = Faults()
    faults.set("one", Fault("server"))
    faults.set("two", Fault("dns"))

    faults.clear()

    assert (faults.take("one", "SecretGet"), faults.take("two", "SecretGet")) == (None, None)


def test_an_unknown_kind_of_fault_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'earthquake' is not a fault; these are: access-policy, dns"):
        Fault("earthquake")
