from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from kvadmin import __version__
from kvadmin.emulator import doors
from kvadmin.emulator.faults import Fault
from kvadmin.emulator.http import Response, json_response
from kvadmin.emulator.identities import KVADMIN
from kvadmin.emulator.state import Azure, Vault
from kvadmin.gateway import client
from kvadmin.gateway.errors import BadAnswer, Conflict, Denied, GatewayError, Refused, ServerError, Throttled
from kvadmin.gateway.keyvault import get_secret, list_properties_of_secret_versions
from kvadmin.gateway.paging import Patience
from kvadmin.gateway.values import SecretValue
from kvadmin.gateway.writes import set_secret, update_secret_properties
from tests.gateway.conftest import CHALLENGE, SUBSCRIPTION

ACT = "5b0e3a52-0d4f-4f0e-9a57-3a1f6c2d8e90"
CANARY = "hunter2-canary"
TYPED = "typed-canary"
MAY = datetime(2027, 5, 1, 12, 30, tzinfo=UTC)


def operations(azure: Azure) -> list[str]:
    return [row.operation for row in azure.log if row.operation != "Authentication"]


def failed_set(vault: Vault, name: str = "db-password", value: str = TYPED, **options: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        set_secret(vault.uri, name, SecretValue(value), act_id=ACT, **options)
    return caught.value


def failed_update(vault: Vault, name: str = "db-password", **changes: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        update_secret_properties(vault.uri, name, "", act_id=ACT, **changes)
    return caught.value


def test_a_new_secret_has_what_was_given_and_azures_evidence(azure: Azure, vault: Vault):
    made = set_secret(
        vault.uri,
        "api-key",
        SecretValue(TYPED),
        content_type="text/plain",
        tags={"team": "payments"},
        enabled=False,
        not_before=MAY,
        expires_on=MAY + timedelta(days=90),
        act_id=ACT,
    )

    stored = vault.secrets.get("api-key").latest
    assert (stored.value, stored.content_type, stored.tags, stored.enabled) == (
        TYPED,
        "text/plain",
        {"team": "payments"},
        False,
    )
    assert (stored.not_before, stored.expires_on) == (int(MAY.timestamp()), int(MAY.timestamp()) + 90 * 86_400)
    assert (made.properties.version, made.properties.expires_on) == (stored.id, MAY + timedelta(days=90))
    assert ([row.correlation_id for row in azure.log[1:]], made.region) == ([made.request_id], "westeurope")


def test_a_new_version_has_only_what_was_given(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "db-password", "x", content_type="text/plain", tags={"a": "b"}, expires_on=MAY)

    made = set_secret(vault.uri, "db-password", SecretValue(TYPED), act_id=ACT).properties

    assert (made.content_type, made.tags, made.expires_on, made.enabled) == ("", {}, None, True)


def test_the_act_is_named_in_azures_log(azure: Azure, vault: Vault):
    set_secret(vault.uri, "db-password", SecretValue(TYPED), act_id=ACT)
    update_secret_properties(vault.uri, "db-password", "", enabled=False, act_id=ACT)

    assert [row.client_info.partition(" azsdk-")[0] for row in azure.log if row.operation != "Authentication"] == [
        f"kvadmin/{__version__} act/{ACT} kvadmin/{__version__}"
    ] * 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\nb",
        "a\r\nb\r\n",
        "\ufefftext",
        "\ttab\x00\x7f",
        "é 漢 🔑",
        'ABC"$$123==)',
        "%0AMc2%0v",
        "\\n",
        "<b>&{{7}}",
    ],
)
def test_a_value_is_stored_to_the_letter(vault: Vault, text: str):
    set_secret(vault.uri, "odd", SecretValue(text), act_id=ACT)

    assert vault.secrets.get("odd").latest.value == text


@pytest.mark.parametrize("text", ["x" * 25_600, "é" * 12_800])
def test_the_largest_value_is_taken(vault: Vault, text: str):
    set_secret(vault.uri, "big", SecretValue(text), act_id=ACT)

    assert vault.secrets.get("big").latest.value == text


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("x" * 25_601, "The value has 25,601 bytes in UTF-8; Azure takes 25,600 at most."),
        ("é" * 12_801, "The value has 25,602 bytes in UTF-8; Azure takes 25,600 at most."),
        ("\ud800", "The value holds half a character, which no text can."),
    ],
)
def test_a_value_that_azure_would_not_take_is_not_sent(azure: Azure, vault: Vault, value: str, sentence: str):
    error = failed_set(vault, value=value)

    assert (type(error), error.definite, str(error), azure.log) == (Refused, True, sentence, [])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"content_type": "x" * 256}, "The content type can have 255 characters at most."),
        (
            {"tags": {str(number): "" for number in range(16)}},
            "A secret can have 15 tags at most, and these are 16.",
        ),
        ({"tags": {"": "x"}}, "A tag needs a name."),
        ({"tags": {"x": "y" * 513}}, "A tag's name and its value can have 512 characters each at most."),
        ({"tags": {"x" * 513: ""}}, "A tag's name and its value can have 512 characters each at most."),
        ({"expires_on": datetime(2027, 1, 1)}, "A date needs a time zone."),
    ],
)
def test_properties_that_azure_would_not_take_are_not_sent(
    azure: Azure, vault: Vault, given: dict[str, Any], sentence: str
):
    assert (str(failed_set(vault, **given)), str(failed_update(vault, **given))) == (sentence, sentence)
    assert azure.log == []


def test_the_largest_properties_are_taken(vault: Vault):
    tags = {f"{number:02}" + "n" * 510: "v" * 512 for number in range(15)}

    made = set_secret(vault.uri, "x", SecretValue(""), content_type="c" * 255, tags=tags, act_id=ACT)

    assert (made.properties.content_type, made.properties.tags) == ("c" * 255, tags)


def test_a_date_in_another_time_zone_is_the_same_moment(vault: Vault):
    moment = datetime(2027, 5, 1, 7, 30, tzinfo=timezone(timedelta(hours=-5)))

    made = set_secret(vault.uri, "x", SecretValue(""), expires_on=moment, act_id=ACT)

    assert (made.properties.expires_on, vault.secrets.get("x").latest.expires_on) == (MAY, int(MAY.timestamp()))


@pytest.mark.parametrize("name", ["000", "-abc", "new", "restore", "versions", "x" * 127])
def test_odd_names_are_names(vault: Vault, name: str):
    set_secret(vault.uri, name, SecretValue(TYPED), act_id=ACT)
    update_secret_properties(vault.uri, name, "", tags={"a": "b"}, act_id=ACT)

    assert (vault.secrets.get(name).latest.value, vault.secrets.get(name).latest.tags) == (TYPED, {"a": "b"})


def test_a_name_in_another_casing_is_the_same_secret(vault: Vault):
    made = set_secret(vault.uri, "DB-Password", SecretValue(TYPED), act_id=ACT)

    assert (made.properties.name, len(vault.secrets)) == ("db-password", 1)


def test_an_update_changes_what_is_given_and_leaves_the_rest(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "api", "kept", content_type="text/plain", tags={"a": "b"}, expires_on=MAY)

    made = update_secret_properties(vault.uri, "api", "", enabled=False, act_id=ACT).properties

    stored = vault.secrets.get("api").latest
    assert (made.content_type, made.tags, made.expires_on, made.enabled) == ("text/plain", {"a": "b"}, MAY, False)
    assert (stored.value, len(vault.secrets.get("api").versions)) == ("kept", 1)


def test_an_update_of_an_old_version_leaves_the_newest(azure: Azure, vault: Vault):
    old = vault.secrets.get("db-password").latest.id
    azure.put_secret("pay-prod", "db-password", "newer")

    made = update_secret_properties(vault.uri, "db-password", old, tags={"old": "yes"}, act_id=ACT)

    assert (made.properties.version, vault.secrets.get("db-password").latest.tags) == (old, None)


def test_an_empty_content_type_and_empty_tags_clear_what_was_there(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "api", "x", content_type="text/plain", tags={"a": "b"})

    made = update_secret_properties(vault.uri, "api", "", content_type="", tags={}, act_id=ACT).properties

    assert (made.content_type, made.tags) == ("", {})


def test_an_expiry_cannot_be_taken_away_and_nobody_pretends(azure: Azure, vault: Vault):
    error = failed_update(vault, expires_on=None)

    assert str(error) == "Azure cannot take a date away from a version. Set a new version without it instead."
    assert (error.definite, azure.log) == (True, [])


def test_an_update_of_nothing_is_not_sent(azure: Azure, vault: Vault):
    assert (str(failed_update(vault)), azure.log) == ("Nothing is to be changed.", [])


def test_a_secret_of_a_certificate_is_the_certificates_to_change(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "tls", "pfx", managed=True)

    error = failed_set(vault, name="tls")

    assert (error.code, error.definite) == ("managed", True)
    assert str(error) == "The secret belongs to a certificate, so it cannot be changed by itself."


def test_a_name_that_a_deleted_secret_holds_is_told_from_one_being_deleted(azure: Azure, vault: Vault):
    azure.delete_delay = timedelta(seconds=20)
    vault.secrets.delete("db-password", azure.clock.now(), azure.delete_delay, timedelta(days=7))
    early = failed_set(vault)
    azure.clock.advance(timedelta(seconds=21))
    late = failed_set(vault)

    assert ((type(early), early.code), (type(late), late.code)) == (
        (Conflict, "being-deleted"),
        (Conflict, "deleted-recoverable"),
    )


def test_a_refused_write_names_what_is_needed(azure: Azure, vault: Vault):
    azure.revoke(KVADMIN)

    error = failed_set(vault)

    assert (type(error), "the role Key Vault Secrets Officer" in error.advice) == (Denied, True)
    assert error.request_id == azure.log[-1].correlation_id


@pytest.mark.parametrize("kind", ["lost", "truncated", "html", "server"])
def test_a_write_that_may_have_happened_is_not_tried_again(azure: Azure, vault: Vault, kind: str):
    azure.faults.set("pay-prod", Fault(kind, times=1, operations=frozenset({"SecretSet", "SecretUpdate"})))
    pauses: list[float] = []

    error = failed_set(vault, patience=Patience(sleep=pauses.append))

    assert (error.definite, pauses, operations(azure).count("SecretSet") <= 1) == (False, [], True)


@pytest.mark.parametrize("fault", [Fault("throttled", times=2), Fault("throttled", retry_after=3600, times=2)])
def test_a_throttled_write_is_tried_again_with_patience(azure: Azure, vault: Vault, fault: Fault):
    azure.faults.set("pay-prod", fault)
    pauses: list[float] = []

    update_secret_properties(
        vault.uri, "db-password", "", enabled=False, act_id=ACT, patience=Patience(sleep=pauses.append)
    )

    assert pauses == ([20.0, 20.0] if fault.retry_after else [1.0, 2.0])
    assert operations(azure) == ["SecretUpdate"]


def test_without_patience_nothing_is_tried_again(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("throttled", retry_after=7, times=1))

    error = failed_set(vault)

    assert (type(error), error.retry_after, error.definite) == (Throttled, 7, True)


def test_a_server_error_is_no_certainty(azure: Azure, vault: Vault):
    azure.faults.set("pay-prod", Fault("server", status=503))

    error = failed_set(vault)

    assert (type(error), error.definite) == (ServerError, False)


def bundle(**changes: Any) -> dict[str, Any]:
    whole = {
        "value": TYPED,
        "id": f"https://pay-prod.vault.azure.net/secrets/db-password/{'a' * 32}",
        "contentType": "text/plain",
        "tags": {"a": "b"},
        "attributes": {"enabled": True, "exp": int(MAY.timestamp())},
    }
    return {key: part for key, part in (whole | changes).items() if part is not None}


@pytest.mark.parametrize(
    "answer",
    [
        bundle(value=None),
        bundle(value=TYPED + "\n"),
        bundle(contentType=None),
        bundle(tags={"a": "c"}),
        bundle(tags=None),
        bundle(attributes={"enabled": False, "exp": int(MAY.timestamp())}),
        bundle(attributes={"enabled": True, "exp": 5}),
        bundle(attributes={"enabled": True, "exp": int(MAY.timestamp()), "nbf": 5}),
        bundle(attributes=None),
    ],
)
def test_an_answer_that_is_not_what_was_sent_is_no_success(scripted: Any, vault: Vault, answer: dict[str, Any]):
    scripted(lambda request: json_response(200, answer, {"x-ms-request-id": "r-7"}))

    error = failed_set(vault, content_type="text/plain", tags={"a": "b"}, expires_on=MAY)

    assert (error.code, error.definite, error.request_id, error.raw) == ("not-as-sent", False, "r-7", "")
    assert TYPED not in repr((error, str(error), error.args, vars(error)))


def test_an_answer_that_is_what_was_sent_is_one(scripted: Any, vault: Vault):
    sent: list[Any] = []

    def answer(request: Any) -> Response:
        sent.append(json.loads(request.body))
        return json_response(200, bundle())

    scripted(answer)

    set_secret(
        vault.uri,
        "db-password",
        SecretValue(TYPED),
        content_type="text/plain",
        tags={"a": "b"},
        expires_on=MAY,
        act_id=ACT,
    )

    assert sent == [{key: part for key, part in bundle().items() if key != "id"}]


def test_a_body_that_got_lost_on_the_way_is_noticed_by_what_azure_shows(scripted: Any, vault: Vault):
    """A call without its body is a change of nothing to Azure, and answered with 200."""
    scripted(lambda request: json_response(200, bundle()))

    error = failed_update(vault, enabled=False)

    assert (type(error), str(error)) == (
        BadAnswer,
        "Azure's answer is not what was sent, so nobody can say what was stored.",
    )


def test_a_refusal_that_repeats_the_value_keeps_none_of_it(scripted: Any, vault: Vault):
    body = {"error": {"code": "BadParameter", "message": f"Property has invalid value {TYPED}"}}
    scripted(lambda request: json_response(400, body))

    error = failed_set(vault)

    assert (error.code, error.inner, error.definite, error.raw) == ("refused", "BadParameter", True, "")
    assert TYPED not in repr((error, str(error), error.args, vars(error)))


@pytest.mark.parametrize("kind", ["truncated", "lost", "rbac", "server", "html"])
def test_no_error_and_no_log_says_the_value(azure: Azure, vault: Vault, caplog: pytest.LogCaptureFixture, kind: str):
    for name in ("", "azure", "azure.core", "urllib3", "msal"):
        caplog.set_level(logging.DEBUG, logger=name)
    azure.faults.set("pay-prod", Fault(kind))

    error = failed_set(vault)

    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [(frame.line, frame.locals) for frame in report.stack if "/kvadmin/gateway/" in frame.filename]
    assert len(frames) > 2
    assert TYPED not in repr((error, str(error), error.args, vars(error), frames)) + caplog.text
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("act_id", ["", "short", "x\r\nAuthorization: y", "a" * 65])
def test_an_act_id_that_could_forge_a_header_is_refused(azure: Azure, vault: Vault, act_id: str):
    with pytest.raises(Refused):
        set_secret(vault.uri, "db-password", SecretValue(TYPED), act_id=act_id)

    assert azure.log == []


def test_an_impossible_name_or_version_is_refused(azure: Azure, vault: Vault):
    assert [type(failed_set(vault, name=name)) for name in ("", "..", "a_b", "a/b")] == [Refused] * 4
    with pytest.raises(Refused):
        update_secret_properties(vault.uri, "db-password", "latest", enabled=True, act_id=ACT)
    assert azure.log == []


def test_a_write_to_an_address_outside_the_cloud_is_refused(azure: Azure):
    with pytest.raises(Refused):
        set_secret("https://evil.example/", "x", SecretValue(TYPED), act_id=ACT)


def test_a_read_for_an_act_is_named_as_one(azure: Azure, vault: Vault):
    assert get_secret(vault.uri, "db-password", act_id=ACT).value.expose() == CANARY
    assert azure.log[-1].client_info.startswith(f"kvadmin/{__version__} act/{ACT} ")


def test_writing_reads_nothing(azure: Azure, vault: Vault):
    set_secret(vault.uri, "db-password", SecretValue(TYPED), act_id=ACT)
    update_secret_properties(vault.uri, "db-password", "", enabled=False, act_id=ACT)

    assert operations(azure) == ["SecretSet", "SecretUpdate"]


def test_changing_an_old_version_does_not_make_it_the_newest(azure: Azure, vault: Vault):
    for day in (1, 2, 3):
        azure.put_secret("pay-prod", "turned", str(day), at=MAY + timedelta(days=day))
    before = list_properties_of_secret_versions(vault.uri, "turned").versions

    azure.clock.set(MAY + timedelta(days=30))
    update_secret_properties(vault.uri, "turned", before[-1].version, tags={"touched": "yes"}, act_id=ACT)

    after = list_properties_of_secret_versions(vault.uri, "turned").versions
    assert [version.version for version in after] == [version.version for version in before]
    assert max(after, key=lambda version: version.updated_on or MAY).version == before[-1].version


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Amsterdam", "Pacific/Kiritimati"])
def test_an_expiry_that_is_saved_again_and_again_does_not_drift(vault: Vault, zone: str):
    moment = datetime(2027, 11, 7, 1, 30, tzinfo=ZoneInfo(zone), fold=1)  # the hour that New York has twice
    expires_on: datetime | None = moment
    for _ in range(3):
        expires_on = set_secret(
            vault.uri, "x", SecretValue(""), expires_on=expires_on, act_id=ACT
        ).properties.expires_on

    assert expires_on == moment.astimezone(UTC)


@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 29, 23, 59, tzinfo=UTC)])
def test_a_date_at_the_ends_of_time_is_kept(vault: Vault, moment: datetime):
    made = set_secret(vault.uri, "x", SecretValue(""), not_before=moment, expires_on=moment, act_id=ACT)

    assert (made.properties.not_before, made.properties.expires_on) == (moment, moment)


def test_fractions_of_a_second_are_what_azure_drops(vault: Vault):
    moment = MAY + timedelta(microseconds=999_999)

    made = set_secret(vault.uri, "x", SecretValue(""), expires_on=moment, act_id=ACT)

    assert made.properties.expires_on == MAY


@pytest.mark.parametrize("name", ["error-403", "404", "429-500", "not-authorized", "disabled"])
def test_a_name_that_sounds_like_an_error_is_none(vault: Vault, name: str):
    made = set_secret(vault.uri, name, SecretValue(TYPED), act_id=ACT)

    assert made.properties.name == name
    assert failed_update(vault, name=f"{name}-x", enabled=True).code == "not-found"


@pytest.mark.parametrize("encoding", ["utf-8", '"iso-8859-1"', "klingon", ""])
def test_a_tag_about_an_encoding_changes_no_value(vault: Vault, encoding: str):
    made = set_secret(vault.uri, "x", SecretValue("é\n"), tags={"file-encoding": encoding}, act_id=ACT)

    assert (made.properties.tags, vault.secrets.get("x").latest.value) == ({"file-encoding": encoding}, "é\n")


def test_no_tag_is_added_that_nobody_asked_for(vault: Vault):
    set_secret(vault.uri, "x", SecretValue("AAEC"), content_type="application/octet-stream", act_id=ACT)

    assert vault.secrets.get("x").latest.tags == {}


def test_line_ends_alone_make_another_value(vault: Vault):
    set_secret(vault.uri, "x", SecretValue("a\r\nb"), act_id=ACT)
    set_secret(vault.uri, "x", SecretValue("a\nb"), act_id=ACT)

    assert [version.value for version in vault.secrets.get("x").versions.values()] == ["a\r\nb", "a\nb"]


def test_a_disabled_and_expired_secret_can_still_be_changed(azure: Azure, vault: Vault):
    azure.put_secret("pay-prod", "old", "x", enabled=False, expires_on=MAY - timedelta(days=900))

    made = update_secret_properties(vault.uri, "old", "", enabled=True, act_id=ACT)

    assert made.properties.enabled is True


def test_a_vault_of_another_cloud_is_written_at_its_own_address(azure: Azure, settings: Any):
    settings.KVADMIN_CLOUD = "china"
    cloud = Azure(cloud="china")
    doors.set_memory("tests", cloud)
    client.reset()
    cloud.add_subscription(SUBSCRIPTION, "Payments")
    vault = cloud.add_vault("pay-prod", subscription_id=SUBSCRIPTION)

    set_secret(vault.uri, "x", SecretValue(TYPED), act_id=ACT)

    assert (vault.uri, vault.secrets.get("x").latest.value) == ("https://pay-prod.vault.azure.cn/", TYPED)


def test_a_limit_of_the_vault_is_kept_to_by_waiting(azure: Azure, vault: Vault):
    vault.limit = (3, 10)
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        azure.clock.advance(timedelta(seconds=seconds))

    for number in range(7):
        set_secret(vault.uri, f"s{number}", SecretValue(""), act_id=ACT, patience=Patience(sleep=sleep))

    assert (len(pauses), operations(azure).count("SecretSet")) == (2, 7)


def test_a_value_survives_that_azure_asks_for_a_token_in_between(azure: Azure, vault: Vault, scripted: Any):
    """SDKs before 4.12 sent an empty body, or gave up, when a token had run out between two writes."""
    asked: list[int] = []

    def answer(request: Any) -> Response:
        asked.append(len(request.body))
        return Response(401, dict(CHALLENGE)) if len(asked) == 2 else doors.handle(azure, request)

    scripted(answer)
    for text in ("one", "two"):
        set_secret(vault.uri, "turned", SecretValue(text), act_id=ACT)

    assert [version.value for version in vault.secrets.get("turned").versions.values()] == ["one", "two"]
    assert (len(asked), asked[1] == asked[2]) == (3, True)
