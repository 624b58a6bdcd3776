"""The life of a secret, driven by the unchanged SDK and, where only the wire shows it, by plain requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

from kvadmin.emulator.state import Azure
from tests.emulator.cloud import OTHER_SUBSCRIPTION, SUBSCRIPTION, Wire

YESTERDAY = datetime(2026, 1, 1, tzinfo=UTC)


def inner(error: HttpResponseError) -> str:
    assert error.error is not None
    return str(error.error.innererror["code"]) if error.error.innererror else ""


def test_a_set_secret_can_be_read_again_to_the_byte(client: SecretClient) -> None:
    value = 'UTF-16? "ÿþA\u0000" \u2028 emoji \U0001f511\r\n\t trailing  '

    client.set_secret("odd", value)

    assert client.get_secret("odd").value == value


def test_each_set_makes_a_version_and_the_newest_is_served(client: SecretClient) -> None:
    first = client.set_secret("pin", "1")
    second = client.set_secret("pin", "2")

    assert client.get_secret("pin").properties.version == second.properties.version
    assert client.get_secret("pin", first.properties.version).value == "1"


def test_names_are_case_insensitive_and_keep_the_casing_of_the_first_set(client: SecretClient) -> None:
    client.set_secret("Api-Key", "1")
    client.set_secret("API-KEY", "2")

    assert client.get_secret("api-key").name == "Api-Key"
    assert [s.name for s in client.list_properties_of_secrets()] == ["Api-Key", "db-password"]


@pytest.mark.parametrize("name", ["new", "delete", "versions", "000", "-abc", "restore", "a" * 127])
def test_an_awkward_name_is_a_name(name: str, client: SecretClient) -> None:
    client.set_secret(name, "x")

    assert client.get_secret(name).name == name


@pytest.mark.parametrize("name", ["bad_name", "a" * 128, "a.b", "caf%C3%A9", "a%20b"])
def test_a_name_that_breaks_the_rule_is_a_bad_parameter(name: str, wire: Wire) -> None:
    answer = wire.call("PUT", f"/secrets/{name}", {"value": "x"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def test_a_value_of_exactly_25_kib_is_accepted(client: SecretClient) -> None:
    assert client.set_secret("big", "é" * 12_800).value == "é" * 12_800


@pytest.mark.parametrize(
    "body",
    [
        {"value": "é" * 12_801},
        {"value": 5},
        {},
        [],
        {"value": "x", "contentType": "c" * 256},
        {"value": "x", "tags": {str(number): "" for number in range(16)}},
        {"value": "x", "tags": {"n" * 513: ""}},
        {"value": "x", "tags": {"n": "v" * 513}},
        {"value": "x", "attributes": {"enabled": "yes"}},
        {"value": "x", "attributes": {"exp": "2030"}},
    ],
)
def test_a_body_that_breaks_a_limit_is_a_bad_parameter_and_stores_nothing(body: object, wire: Wire) -> None:
    answer = wire.call("PUT", "/secrets/limits", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")
    assert wire.call("GET", "/secrets/limits/").status_code == 404


def test_a_body_at_every_limit_is_accepted(wire: Wire) -> None:
    tags = {"n" * 510 + f"{number:02}": "v" * 512 for number in range(15)}

    answer = wire.call("PUT", "/secrets/limits", {"value": "x", "contentType": "c" * 255, "tags": tags})

    assert answer.json()["tags"] == tags


def test_half_a_surrogate_pair_is_refused(wire: Wire) -> None:
    answer = wire.call("PUT", "/secrets/half", {"value": "\ud800"})

    assert answer.json()["error"]["code"] == "BadParameter"


def test_an_expired_secret_is_served(client: SecretClient) -> None:
    client.set_secret("old", "still here", expires_on=YESTERDAY)

    assert client.get_secret("old").value == "still here"


def test_a_disabled_secret_is_listed_and_updated_but_not_read(client: SecretClient) -> None:
    client.set_secret("off", "x", enabled=False)

    with pytest.raises(HttpResponseError) as raised:
        client.get_secret("off")

    assert (raised.value.status_code, inner(raised.value)) == (403, "SecretDisabled")
    assert [s.enabled for s in client.list_properties_of_secrets() if s.name == "off"] == [False]
    assert client.update_secret_properties("off", enabled=True).enabled is True


def test_an_update_changes_what_is_sent_and_keeps_the_rest(client: SecretClient) -> None:
    client.update_secret_properties("db-password", content_type="application/json")
    secret = client.get_secret("db-password")

    assert (secret.properties.content_type, secret.properties.tags) == ("application/json", {"team": "payments"})
    assert secret.value == "ABC123"


def test_an_update_replaces_all_tags(client: SecretClient) -> None:
    updated = client.update_secret_properties("db-password", tags={"only": "this"})

    assert updated.tags == {"only": "this"}


def test_times_are_whole_seconds(wire: Wire) -> None:
    attributes = wire.call("PUT", "/secrets/when", {"value": "x"}).json()["attributes"]

    assert {type(attributes["created"]), type(attributes["updated"])} == {int}


def test_an_unknown_version_is_named_in_the_404(client: SecretClient) -> None:
    with pytest.raises(ResourceNotFoundError) as raised:
        client.get_secret("db-password", "0" * 32)

    assert f"(name/id) db-password/{'0' * 32}" in raised.value.message


def test_versions_come_by_id_and_not_by_time(cloud: Azure, client: SecretClient) -> None:
    for day in range(30):
        cloud.put_secret("pay-prod", "rotated", str(day), at=YESTERDAY + timedelta(days=day))

    versions = list(client.list_properties_of_secret_versions("rotated"))

    assert [v.version for v in versions] == sorted(v.version or "" for v in versions)
    assert len({v.version for v in versions}) == 30


# --- Deleting --------------------------------------------------------------------------------------------------------


def test_a_deletion_takes_its_time_and_answers_as_azure_does_meanwhile(
    cloud: Azure, client: SecretClient, wire: Wire
) -> None:
    cloud.delete_delay = timedelta(seconds=20)
    client.begin_delete_secret("db-password")

    assert wire.call("GET", "/deletedsecrets/db-password").status_code == 404
    assert list(client.list_deleted_secrets()) == []
    with pytest.raises(ResourceExistsError) as raised:
        client.set_secret("db-password", "again")
    assert inner(raised.value) == "ObjectIsBeingDeleted"


def test_a_deletion_is_done_when_the_clock_says_so(cloud: Azure, client: SecretClient) -> None:
    cloud.delete_delay = timedelta(seconds=20)
    client.begin_delete_secret("db-password")

    cloud.clock.advance(timedelta(seconds=21))

    assert client.get_deleted_secret("db-password").name == "db-password"
    with pytest.raises(ResourceExistsError) as raised:
        client.set_secret("db-password", "again")
    assert inner(raised.value) == "ObjectIsDeletedButRecoverable"


def test_a_purge_right_after_a_delete_is_a_conflict(cloud: Azure, client: SecretClient) -> None:
    cloud.delete_delay = timedelta(seconds=20)
    client.begin_delete_secret("db-password")

    with pytest.raises(ResourceExistsError) as raised:
        client.purge_deleted_secret("db-password")

    assert inner(raised.value) == "ObjectIsBeingDeleted"


def test_a_recovery_brings_back_every_version(client: SecretClient) -> None:
    client.set_secret("db-password", "second")
    client.begin_delete_secret("db-password")

    client.begin_recover_deleted_secret("db-password")

    assert len(list(client.list_properties_of_secret_versions("db-password"))) == 2
    assert client.get_secret("db-password").value == "second"


def test_a_recovered_secret_can_be_read_after_a_moment(cloud: Azure, client: SecretClient, wire: Wire) -> None:
    cloud.recover_delay = timedelta(seconds=5)
    client.begin_delete_secret("db-password")
    wire.call("POST", "/deletedsecrets/db-password/recover")

    assert wire.call("GET", "/secrets/db-password/").status_code == 404
    cloud.clock.advance(timedelta(seconds=6))
    assert client.get_secret("db-password").value == "ABC123"


def test_a_purged_name_stays_blocked_for_a_while(cloud: Azure, client: SecretClient) -> None:
    cloud.purge_delay = timedelta(minutes=2)
    client.begin_delete_secret("db-password")
    client.purge_deleted_secret("db-password")

    with pytest.raises(ResourceExistsError) as raised:
        client.set_secret("db-password", "again")
    assert inner(raised.value) == "ObjectIsBeingDeleted"
    cloud.clock.advance(timedelta(minutes=3))
    assert client.set_secret("db-password", "again").value == "again"


def test_purge_protection_forbids_a_purge(cloud: Azure, client: SecretClient, wire: Wire) -> None:
    cloud.vault("pay-prod").purge_protection = True
    deleted = wire.call("DELETE", "/secrets/db-password").json()

    answer = wire.call("DELETE", "/deletedsecrets/db-password")

    assert deleted["attributes"]["recoveryLevel"] == "CustomizedRecoverable"
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "Forbidden")
    assert client.get_deleted_secret("db-password").name == "db-password"


def test_a_deleted_secret_is_gone_when_its_retention_is_over(cloud: Azure, client: SecretClient) -> None:
    client.begin_delete_secret("db-password")

    cloud.clock.advance(timedelta(days=7, seconds=1))

    assert list(client.list_deleted_secrets()) == []
    assert client.set_secret("db-password", "new").value == "new"


def test_deleted_items_have_no_version_in_their_id_but_the_deletion_s_answer_has(wire: Wire) -> None:
    deleted = wire.call("DELETE", "/secrets/db-password").json()
    listed = wire.call("GET", "/deletedsecrets").json()["value"]

    assert deleted["id"].count("/") == 5
    assert [item["id"] for item in listed] == ["https://pay-prod.vault.azure.net/secrets/db-password"]


# --- Backup ----------------------------------------------------------------------------------------------------------


def test_a_backup_restores_every_version_into_another_vault(cloud: Azure, client: SecretClient, wire: Wire) -> None:
    cloud.add_vault("pay-test", subscription_id=SUBSCRIPTION)
    version = client.set_secret("db-password", "second").properties.version
    blob = wire.call("POST", "/secrets/db-password/backup").json()

    restored = wire.call("POST", "/secrets/restore", blob, vault="https://pay-test.vault.azure.net").json()

    assert restored["id"] == f"https://pay-test.vault.azure.net/secrets/db-password/{version}"
    assert len(cloud.vault("pay-test").secrets.get("db-password").versions) == 2  # type: ignore[union-attr]


def test_a_backup_shows_nothing_of_the_value(client: SecretClient) -> None:
    client.set_secret("canary", "canary-canary-canary")

    blob = client.backup_secret("canary")

    assert b"canary" not in blob


def test_a_restore_over_a_live_secret_is_a_conflict_without_innererror(client: SecretClient) -> None:
    blob = client.backup_secret("db-password")

    with pytest.raises(ResourceExistsError) as raised:
        client.restore_secret_backup(blob)

    assert inner(raised.value) == ""
    assert raised.value.message.startswith("(Conflict) There was a conflict restoring the secret 'https://pay-prod")


def test_a_restore_waits_for_the_end_of_a_purge(cloud: Azure, client: SecretClient) -> None:
    cloud.purge_delay = timedelta(minutes=2)
    blob = client.backup_secret("db-password")
    client.begin_delete_secret("db-password")
    client.purge_deleted_secret("db-password")

    with pytest.raises(ResourceExistsError, match="There was a conflict restoring the secret"):
        client.restore_secret_backup(blob)
    cloud.clock.advance(timedelta(minutes=3))
    assert client.restore_secret_backup(blob).name == "db-password"


def test_a_changed_backup_is_malformed(client: SecretClient) -> None:
    blob = bytearray(client.backup_secret("db-password"))
    blob[-1] ^= 1

    with pytest.raises(HttpResponseError) as raised:
        client.restore_secret_backup(bytes(blob))

    assert (raised.value.status_code, raised.value.error.code) == (400, "Malformed backup blob")  # type: ignore[union-attr]


def test_a_backup_cannot_leave_its_subscription(cloud: Azure, wire: Wire) -> None:
    cloud.add_subscription(OTHER_SUBSCRIPTION, "Elsewhere")
    cloud.add_vault("elsewhere", subscription_id=OTHER_SUBSCRIPTION)
    blob = wire.call("POST", "/secrets/db-password/backup").json()

    answer = wire.call("POST", "/secrets/restore", blob, vault="https://elsewhere.vault.azure.net")

    assert answer.status_code == 400
    assert cloud.vault("elsewhere").secrets.get("db-password") is None


def test_a_secret_with_more_than_500_versions_cannot_be_backed_up(cloud: Azure, wire: Wire) -> None:
    for number in range(500):
        cloud.put_secret("pay-prod", "db-password", str(number))

    assert wire.call("POST", "/secrets/db-password/backup").status_code == 400


# --- Secrets of certificates -----------------------------------------------------------------------------------------


def test_a_certificate_s_secret_can_be_read_and_says_whose_it_is(cloud: Azure, client: SecretClient) -> None:
    cloud.put_secret("pay-prod", "tls", "pfx", managed=True)

    secret = client.get_secret("tls")

    assert (secret.properties.managed, secret.properties.content_type) == (True, "application/x-pkcs12")
    assert secret.properties.key_id == f"https://pay-prod.vault.azure.net/keys/tls/{secret.properties.version}"


@pytest.mark.parametrize(("method", "body"), [("PUT", {"value": "x"}), ("DELETE", None)])
def test_a_certificate_s_secret_is_neither_set_nor_deleted(method: str, body: object, cloud: Azure, wire: Wire) -> None:
    cloud.put_secret("pay-prod", "tls", "pfx", managed=True)

    answer = wire.call(method, "/secrets/tls", body)

    assert (answer.status_code, answer.json()["error"]["innererror"]) == (403, {"code": "SecretManagedByKeyVault"})
    assert wire.call("GET", "/secrets/tls/").json()["value"] == "pfx"


# --- Pages -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sixty(cloud: Azure) -> list[str]:
    """The names of sixty secrets in a vault of their own."""
    cloud.add_vault("many", subscription_id=SUBSCRIPTION)
    for number in range(60):
        cloud.put_secret("many", f"s-{number:02}", "x")
    return [f"s-{number:02}" for number in range(60)]


MANY = "https://many.vault.azure.net"


def walk(wire: Wire, path: str) -> list[list[str]]:
    """The names on each page, from the first to the one with a null nextLink."""
    pages, link = [], path
    while link:
        answer = wire.call("GET", link, vault=MANY).json()
        pages.append([item["id"].rpartition("/")[2] for item in answer["value"]])
        link = answer["nextLink"]
    return pages


def test_a_page_holds_25_and_the_last_one_has_a_null_link(sixty: list[str], wire: Wire) -> None:
    pages = walk(wire, "/secrets")

    assert [len(page) for page in pages] == [25, 25, 10]
    assert list(chain(*pages)) == sixty


def test_the_next_link_spells_the_port_and_keeps_version_and_page_size(sixty: list[str], wire: Wire) -> None:
    link = wire.call("GET", "/secrets?api-version=7.3&maxresults=10", vault=MANY).json()["nextLink"]

    assert link.startswith("https://many.vault.azure.net:443/secrets?api-version=7.3&$skiptoken=eyJOZXh0TWFya2VyIjoi")
    assert link.endswith("&maxresults=10")


def test_an_empty_page_with_a_link_comes_before_the_last_one(sixty: list[str], cloud: Azure, wire: Wire) -> None:
    cloud.vault("many").empty_pages = True

    pages = walk(wire, "/secrets")

    assert [len(page) for page in pages] == [25, 25, 0, 10]
    assert list(chain(*pages)) == sixty


def test_the_sdk_finds_all_behind_an_empty_first_page(cloud: Azure, client: SecretClient) -> None:
    cloud.vault("pay-prod").empty_pages = True

    assert [s.name for s in client.list_properties_of_secrets()] == ["db-password"]


@pytest.mark.parametrize("size", ["0", "26", "-1", "all", ""])
def test_a_page_size_outside_1_to_25_is_a_bad_parameter(size: str, wire: Wire) -> None:
    answer = wire.call("GET", f"/secrets?api-version=7.4&maxresults={size}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize("token", ["?", "bm90aGluZw", "W10", "e30"])
def test_a_made_up_skip_token_is_a_bad_parameter(token: str, wire: Wire) -> None:
    answer = wire.call("GET", f"/secrets?api-version=7.4&$skiptoken={token}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


def test_a_secret_deleted_between_two_pages_loses_no_other(sixty: list[str], cloud: Azure, wire: Wire) -> None:
    first = wire.call("GET", "/secrets", vault=MANY).json()
    wire.call("DELETE", "/secrets/s-25", vault=MANY)

    rest = list(chain(*walk(wire, first["nextLink"])))

    assert rest == sixty[26:]


def test_a_list_item_is_fresh_after_each_change(client: SecretClient, wire: Wire) -> None:
    wire.call("GET", "/secrets")
    client.update_secret_properties("db-password", tags={"now": "this"})

    assert [item["tags"] for item in wire.call("GET", "/secrets").json()["value"]] == [{"now": "this"}]


# --- Requests that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["?api-version=", "?api-version=1999-01-01"])
def test_an_unknown_api_version_is_a_bad_parameter(query: str, wire: Wire) -> None:
    answer = wire.call("GET", f"/secrets{query}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadParameter")


@pytest.mark.parametrize(("method", "path"), [("POST", "/secrets"), ("PUT", "/deletedsecrets/a"), ("GET", "/other")])
def test_a_method_that_does_not_fit_its_path_is_not_allowed(method: str, path: str, wire: Wire) -> None:
    answer = wire.call(method, path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "MethodNotAllowed")


def test_a_body_that_is_no_json_is_a_bad_parameter(wire: Wire) -> None:
    answer = wire.call("PUT", "/secrets/lost")

    assert json.loads(answer.text)["error"]["code"] == "BadParameter"
