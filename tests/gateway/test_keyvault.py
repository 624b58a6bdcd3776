from __future__ import annotations

import json
import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kvadmin import __version__
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway import keyvault
from kvadmin.gateway.errors import (
    BadAnswer,
    Blocked,
    Denied,
    Disabled,
    GatewayError,
    NotFound,
    Refused,
    ServerError,
    Throttled,
    Unreachable,
)
from kvadmin.gateway.keyvault import (
    get_secret,
    list_properties_of_secret_versions,
    list_properties_of_secrets,
    valid_name,
    valid_version,
)
from kvadmin.gateway.paging import AT_ONCE, Patience
from tests.gateway.conftest import SUBSCRIPTION

REVEAL = "5b0e3a52-0d4f-4f0e-9a57-3a1f6c2d8e90"
CANARY = "hunter2-canary"


def reads(azure: Azure) -> list[str]:
    return [row.client_info for row in azure.log if row.operation == "SecretGet"]


def failed_read(vault: Vault, *, name: str = "db-password", version: str = "") -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        get_secret(vault.uri, name, version, reveal_id=REVEAL)
    return caught.value


def names(vault: Vault) -> list[str]:
    return [secret.name for page in list_properties_of_secrets(vault.uri, patience=AT_ONCE) for secret in page]


def test_a_read_gives_the_value_and_azures_evidence_of_it(azure: Azure, vault: Vault):
    read = get_secret(vault.uri, "db-password", reveal_id=REVEAL)

    assert (read.value.expose(), read.region) == (CANARY, "westeurope")
    assert [row.correlation_id for row in azure.log if row.operation == "SecretGet"] == [read.request_id]


def test_a_read_leaves_the_reveals_id_in_azures_log(azure: Azure, vault: Vault):
    get_secret(vault.uri, "db-password", reveal_id=REVEAL)

    (agent,) = reads(azure)
    assert agent.startswith(
        f"kvadmin/{__version__} reveal/{REVEAL} kvadmin/{__version__} azsdk-python-keyvault-secrets/"
    )


def test_every_other_call_names_kvadmin_alone(azure: Azure, vault: Vault):
    names(vault)

    agents = {row.client_info.rpartition(" azsdk-")[0] for row in azure.log}
    assert agents == {f"kvadmin/{__version__}"}


@pytest.mark.parametrize("text", ["", " two words \r\n", "é 漢 \x00\x7f 🔑", '{"a": "\\u0041"}', "x" * 25_000])
def test_a_value_comes_out_to_the_letter(azure: Azure, vault: Vault, text: str):
    azure.put_secret("pay-prod", "odd", text)

    assert get_secret(vault.uri, "odd", reveal_id=REVEAL).value.expose() == text


def test_the_newest_version_is_read_unless_one_is_named(azure: Azure, vault: Vault):
    old = vault.secrets.get("db-password").latest.id
    azure.put_secret("pay-prod", "db-password", "newer")

    read = get_secret(vault.uri, "db-password", old, reveal_id=REVEAL)

    assert (read.value.expose(), read.properties.version) == (CANARY, old)
    assert get_secret(vault.uri, "db-password", reveal_id=REVEAL).value.expose() == "newer"


def test_a_read_shows_no_value_when_it_is_printed(vault: Vault):
    assert CANARY not in repr(get_secret(vault.uri, "db-password", reveal_id=REVEAL))


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("rbac"), (Denied, "rbac", True)),
        (Fault("access-policy"), (Denied, "access-policy", True)),
        (Fault("policy"), (Denied, "policy", True)),
        (Fault("firewall"), (Blocked, "firewall", True)),
        (Fault("private-link"), (Blocked, "private-link", True)),
        (Fault("throttled"), (Throttled, "throttled", True)),
        (Fault("server", status=500), (ServerError, "server", False)),
        (Fault("server", status=503), (ServerError, "server", False)),
        (Fault("reset"), (Unreachable, "unreachable", False)),
        (Fault("slow", seconds=60), (Unreachable, "timeout", False)),
        (Fault("dns"), (Unreachable, "dns", True)),
        (Fault("html"), (BadAnswer, "bad-answer", False)),
        (Fault("truncated"), (BadAnswer, "bad-answer", False)),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_every_fault_of_a_vault_has_its_error(azure: Azure, vault: Vault, fault: Fault, expected: Any):
    azure.faults.set("pay-prod", fault)

    error = failed_read(vault)

    assert (type(error), error.code, error.definite) == expected
    assert (error.__cause__, error.__context__) == (None, None)


def test_a_refusal_carries_the_request_id_that_azure_logged(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("rbac"))

    error = failed_read(vault)

    assert error.request_id == azure.log[-1].correlation_id


def test_a_lost_answer_does_not_pass_the_challenges_request_id_off_as_its_own(azure: Azure, vault: Vault):
    met_first_here = azure.add_vault("lost-answer", subscription_id=SUBSCRIPTION)
    azure.put_secret("lost-answer", "db-password", CANARY)
    azure.faults.set("lost-answer", Fault("lost", operations=frozenset({"SecretGet"})))

    error = failed_read(met_first_here)

    assert [row.operation for row in azure.log] == ["Authentication", "SecretGet"]
    assert (error.code, error.request_id) == ("unreachable", "")


def test_a_disabled_secret_is_told_from_a_missing_right(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "off", "x", enabled=False)

    error = failed_read(vault, name="off")

    assert (type(error), str(error)) == (
        Disabled,
        "The secret is disabled, so Azure does not give its value out.",
    )


def test_a_secret_or_version_that_is_not_there_is_not_found(vault: Vault):
    assert type(failed_read(vault, name="unknown")) is NotFound
    assert type(failed_read(vault, version="0" * 32)) is NotFound


def test_a_vault_that_is_not_there_does_not_resolve(azure: Azure, vault: Vault):
    azure.remove_vault("pay-prod")

    assert str(failed_read(vault)) == "The name pay-prod.vault.azure.net does not resolve."


def test_a_throttled_read_is_not_repeated_and_says_when_to_come_back(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("throttled", retry_after=3600, times=1))

    error = failed_read(vault)

    assert (error.retry_after, str(error)) == (
        3600,
        "Azure is receiving too many calls for this vault; try again in 3600 s.",
    )


@pytest.mark.parametrize("kind", ["reset", "server"])
def test_a_read_that_fails_for_a_moment_is_not_repeated_behind_the_persons_back(azure: Azure, vault: Vault, kind: str):
    azure.faults.set("pay-prod", Fault(kind, times=1, operations={"SecretGet"}))
    names(vault)

    failed_read(vault)

    assert len(reads(azure)) <= 1
    assert get_secret(vault.uri, "db-password", reveal_id=REVEAL).value.expose() == CANARY


def test_a_value_in_an_answer_that_was_cut_off_is_nowhere_in_the_error(
    azure: Azure, vault: Vault, caplog: pytest.LogCaptureFixture
):
    azure.faults.set("pay-prod", Fault("truncated"))

    error = failed_read(vault)

    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The frame of this file and of pytest know the emulated vault; those of the product must not know the value.
    frames = [(frame.line, frame.locals) for frame in report.stack if "/kvadmin/gateway/" in frame.filename]
    assert len(frames) == 2
    assert CANARY not in repr((error, str(error), error.args, vars(error), frames)) + caplog.text
    assert (error.raw, error.request_id) == ("", azure.log[-1].correlation_id)


def test_no_logger_says_the_value_even_at_its_most_talkative(vault: Vault, caplog: pytest.LogCaptureFixture):
    for name in ("", "azure", "azure.core", "urllib3", "msal"):
        caplog.set_level(logging.DEBUG, logger=name)

    get_secret(vault.uri, "db-password", reveal_id=REVEAL)

    assert ("/secrets/db-password/" in caplog.text, CANARY in caplog.text) == (True, False)


@pytest.mark.parametrize(
    "body",
    [
        {"value": None, "id": "https://pay-prod.vault.azure.net/secrets/a/b"},
        {"id": "https://pay-prod.vault.azure.net/secrets/a/b"},
        {"value": CANARY},
        {"value": CANARY, "id": "nowhere"},
        {"value": CANARY, "id": "https://pay-prod.vault.azure.net/secrets/a/b", "attributes": {"exp": "soon"}},
        [CANARY],
        CANARY,
    ],
)
def test_a_bundle_that_is_none_is_a_bad_answer_without_the_value(scripted: Any, vault: Vault, body: Any):
    scripted(lambda request: json_response(200, body, {"x-ms-request-id": "r-2"}))

    error = failed_read(vault)

    assert (type(error), error.request_id, error.raw) == (BadAnswer, "r-2", "")
    assert CANARY not in repr((str(error), error.args, vars(error)))


def test_a_redirect_is_not_followed(scripted: Any, vault: Vault):
    asked: list[str] = []

    def answer(request: Any) -> Response:
        asked.append(request.host)
        return Response(302, {"Location": "https://elsewhere.vault.azure.net/secrets/a"})

    scripted(answer)

    assert (failed_read(vault).code, asked) == ("bad-answer", ["pay-prod.vault.azure.net"])


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "a_b", "a b", "ä", "x" * 128, "db-password\n", "%2e%2e", "a?b", "versions/"]
)
def test_an_impossible_name_is_refused_before_anything_is_sent(azure: Azure, vault: Vault, name: str):
    error = failed_read(vault, name=name)

    with pytest.raises(Refused):
        list_properties_of_secret_versions(vault.uri, name)
    assert (type(error), error.definite, azure.log) == (Refused, True, [])


@pytest.mark.parametrize("version", ["versions", "latest", "../x", "0" * 31, "0" * 33, "g" * 32, "0" * 32 + "\n"])
def test_an_impossible_version_is_refused_before_anything_is_sent(azure: Azure, vault: Vault, version: str):
    error = failed_read(vault, version=version)

    assert (type(error), error.definite, azure.log) == (Refused, True, [])


@pytest.mark.parametrize(
    "reveal_id", ["", "short", "a" * 65, "x\r\nAuthorization: Bearer y", "two words", REVEAL + "\n"]
)
def test_a_reveal_id_that_could_forge_a_header_is_refused(azure: Azure, vault: Vault, reveal_id: str):
    with pytest.raises(Refused):
        get_secret(vault.uri, "db-password", reveal_id=reveal_id)

    assert azure.log == []


def test_names_that_look_like_words_of_the_wire_are_names():
    assert [valid_name(name) for name in ("new", "delete", "versions", "000", "-abc", "x" * 127)] == [True] * 6
    assert (valid_version("0123456789abcdefABCDEF0123456789"), valid_version("")) == (True, False)


@pytest.mark.parametrize("count", [0, 1, 25, 26, 60])
def test_a_list_is_complete_and_in_pages_of_at_most_25(azure: Azure, count: int):
    vault = filled(azure, count)

    sizes = [len(page) for page in list_properties_of_secrets(vault.uri)]

    assert (sum(sizes), all(1 <= size <= 25 for size in sizes)) == (count, True)


def test_an_empty_page_in_the_middle_is_no_end(azure: Azure):
    vault = filled(azure, 60)
    vault.empty_pages = True

    assert len(names(vault)) == 60


def test_a_list_reads_no_value(azure: Azure, vault: Vault):
    names(vault)

    assert {row.operation for row in azure.log} <= {"Authentication", "SecretList"}


def test_a_list_tells_all_that_azure_tells(azure: Azure, vault: Vault):
    moment = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    week = timedelta(days=7)
    azure.put_secret(
        "pay-prod",
        "Api-Key",
        "x",
        content_type="text/plain",
        tags={"owner": "team-a"},
        enabled=False,
        not_before=moment,
        expires_on=moment + week,
        at=moment - week,
    )

    (found,) = [secret for page in list_properties_of_secrets(vault.uri) for secret in page if secret.name == "Api-Key"]

    assert (found.version, found.enabled, found.content_type, found.tags) == (
        "",
        False,
        "text/plain",
        {"owner": "team-a"},
    )
    assert (found.created_on, found.not_before, found.expires_on) == (moment - week, moment, moment + week)
    assert (found.updated_on, found.recovery_level, found.recoverable_days) == (
        moment - week,
        "Recoverable+Purgeable",
        90,
    )


def test_what_is_not_set_is_empty(azure: Azure, vault: Vault):
    (found,) = next(list_properties_of_secrets(vault.uri))

    assert (found.content_type, found.tags, found.not_before, found.expires_on) == ("", {}, None, None)
    assert (found.enabled, found.managed) == (True, False)


def test_a_secret_that_belongs_to_a_certificate_is_marked(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "tls", "x", managed=True)

    found = {secret.name: secret.managed for page in list_properties_of_secrets(vault.uri) for secret in page}

    assert found == {"db-password": False, "tls": True}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (253_402_300_800, keyvault.LATEST),
        (10**15, keyvault.LATEST),
        (10**30, keyvault.LATEST),
        (-(10**15), keyvault.EARLIEST),
        (-(10**11), keyvault.EARLIEST),
    ],
)
def test_an_absurd_date_is_moved_to_the_end_of_time_and_not_lost(
    azure: Azure, vault: Vault, seconds: int, shown: datetime
):
    vault.secrets.get("db-password").latest.expires_on = seconds

    (listed,) = next(list_properties_of_secrets(vault.uri))

    assert listed.expires_on == shown
    assert get_secret(vault.uri, "db-password", reveal_id=REVEAL).properties.expires_on == shown


def test_tags_that_are_no_text_are_shown_as_empty(azure: Azure, vault: Vault):
    item = {"id": f"{vault.uri}secrets/db-password", "tags": {"a": "b", "c": None}}
    vault.secrets.get("db-password").item = json.dumps(item).encode()

    (listed,) = next(list_properties_of_secrets(vault.uri))

    assert (listed.tags, listed.created_on, listed.enabled) == ({"a": "b", "c": ""}, None, True)


@pytest.mark.parametrize("item", ["{}", '{"id":5}', '{"id":"https://pay-prod.vault.azure.net/"}', "[]", "null"])
def test_an_item_that_is_no_secret_makes_the_page_a_bad_answer(azure: Azure, vault: Vault, item: str):
    vault.secrets.get("db-password").item = item.encode()

    with pytest.raises(BadAnswer):
        names(vault)


def test_a_list_without_an_end_is_given_up(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("loop"))

    with pytest.raises(BadAnswer) as caught:
        names(vault)

    assert str(caught.value) == "The list repeats itself without an end, so it was not used."


def test_a_next_page_at_another_host_gets_no_token(scripted: Any, vault: Vault):
    asked: list[str] = []

    def answer(request: Any) -> Response:
        asked.append(request.host)
        return json_response(200, {"value": [], "nextLink": "https://evil.vault.azure.net/secrets"})

    scripted(answer)

    with pytest.raises(BadAnswer):
        names(vault)
    assert asked == ["pay-prod.vault.azure.net"]


def test_a_sweep_waits_as_long_as_azure_asks_but_not_longer_than_its_limit(azure: Azure, vault: Vault):
    pauses: list[float] = []
    azure.faults.set("pay-prod", Fault("throttled", retry_after=3600, times=2))

    pages = list(list_properties_of_secrets(vault.uri, patience=Patience(sleep=pauses.append)))

    assert ([len(page) for page in pages], pauses) == ([1], [20.0, 20.0])


def test_a_sweep_that_meets_a_closed_door_does_not_knock_again(azure: Azure, vault: Vault):
    pauses: list[float] = []
    azure.faults.set("pay-prod", Fault("firewall"))

    with pytest.raises(Blocked) as caught:
        list(list_properties_of_secrets(vault.uri, patience=Patience(sleep=pauses.append)))

    assert (pauses, caught.value.__context__) == ([], None)


def test_a_refused_list_names_the_role_for_listing(azure: Azure, vault: Vault):
    azure.revoke(KVADMIN)

    with pytest.raises(Denied) as caught:
        names(vault)

    assert "the role Key Vault Reader on the vault" in caught.value.advice


def test_what_came_before_an_error_in_the_middle_was_given_out(azure: Azure):
    vault = filled(azure, 30)
    pages = list_properties_of_secrets(vault.uri, patience=AT_ONCE)
    first = next(pages)
    azure.faults.set("pay-prod", Fault("server"))

    with pytest.raises(ServerError):
        next(pages)

    assert len(first) == 25


def test_versions_come_newest_created_first(azure: Azure, vault: Vault):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for day in (3, 1, 2):
        azure.put_secret("pay-prod", "turned", str(day), at=start + timedelta(days=day))

    found = list_properties_of_secret_versions(vault.uri, "turned")

    assert [version.created_on.day for version in found.versions] == [4, 3, 2]
    assert ({version.name for version in found.versions}, found.cut) == ({"turned"}, False)
    assert all(valid_version(version.version) for version in found.versions)


@pytest.mark.parametrize(("most", "kept", "cut"), [(30, 30, True), (59, 59, True), (60, 60, False), (61, 60, False)])
def test_versions_are_cut_at_a_limit_and_say_so(azure: Azure, vault: Vault, most: int, kept: int, cut: bool):
    for number in range(60):
        azure.put_secret("pay-prod", "many", str(number))

    found = list_properties_of_secret_versions(vault.uri, "many", most=most)

    assert (len(found.versions), found.cut) == (kept, cut)


def test_an_unknown_secret_has_no_versions(vault: Vault):
    assert list_properties_of_secret_versions(vault.uri, "unknown").versions == []


def test_many_threads_share_one_client(azure: Azure, vault: Vault):
    for number in range(16):
        azure.put_secret("pay-prod", f"s{number}", f"value-{number}")

    def read(number: int) -> str:
        return get_secret(vault.uri, f"s{number % 16}", reveal_id=REVEAL).value.expose()

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(read, range(160)))

    assert found == [f"value-{number % 16}" for number in range(160)]


def filled(azure: Azure, count: int) -> Vault:
    azure.add_subscription(SUBSCRIPTION, "Payments")
    made = azure.add_vault("pay-prod", subscription_id=SUBSCRIPTION)
    for number in range(count):
        azure.put_secret("pay-prod", f"secret-{number}", "x")
    return made
