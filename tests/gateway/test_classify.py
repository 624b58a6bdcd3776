from __future__ import annotations

import logging
import ssl
import time
import traceback
from email.utils import formatdate
from typing import Any

import pytest
import requests
import urllib3.exceptions
from azure.core.exceptions import ClientAuthenticationError, DecodeError, HttpResponseError
from azure.identity import CredentialUnavailableError
from urllib3.connection import HTTPSConnection

from kvadmin.gateway.classify import NOTHING_NAMED, Need, call, from_exception, from_response
from kvadmin.gateway.errors import BadAnswer, GatewayError, error_for
from kvadmin.gateway.headers import retry_after, seen_address
from tests.gateway.canned import URL, error_body, send

CONNECTION = HTTPSConnection("pay-prod.vault.azure.net")


def failure(work: Any, need: Need = NOTHING_NAMED) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        call(work, need)
    return caught.value


def raising(error: Exception) -> Any:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("status", "code", "inner", "expected"),
    [
        (400, "BadParameter", "", "refused"),
        (400, "MethodNotAllowed", "RequestNotAllowedOnNonDeletedObject", "not-deleted"),
        (401, "Unauthorized", "", "credential"),
        (403, "Forbidden", "ForbiddenByRbac", "rbac"),
        (403, "Forbidden", "AccessDenied", "access-policy"),
        (403, "Forbidden", "ForbiddenByPolicy", "policy"),
        (403, "Forbidden", "ForbiddenByFirewall", "firewall"),
        (403, "Forbidden", "ForbiddenByConnection", "private-link"),
        (400, "Malformed backup blob", "", "bad-backup"),
        (403, "Forbidden", "SecretDisabled", "disabled"),
        (403, "Forbidden", "SecretManagedByKeyVault", "managed"),
        (403, "Forbidden", "", "denied"),
        (403, "AuthorizationFailed", "", "denied"),
        (404, "SecretNotFound", "", "not-found"),
        (404, "WorkspaceNotFoundError", "", "not-found"),
        (405, "MethodNotAllowed", "", "refused"),
        (408, "RequestTimeout", "", "timeout"),
        (409, "Conflict", "ObjectIsDeletedButRecoverable", "deleted-recoverable"),
        (409, "Conflict", "ObjectIsBeingDeleted", "being-deleted"),
        (409, "Conflict", "", "conflict"),
        (429, "Throttled", "", "throttled"),
        (500, "InternalServerError", "", "server"),
        (503, "ServiceUnavailable", "", "server"),
    ],
)
def test_an_answer_is_told_by_its_status_and_codes(status: int, code: str, inner: str, expected: str):
    error = from_response(send(status, error_body(code, inner), {"x-ms-request-id": "r-1"}))

    assert (error.code, error.status, error.inner, error.request_id) == (expected, status, inner or code, "r-1")
    assert error.definite == (status < 500)


def test_the_innermost_code_of_log_analytics_counts():
    inner = {"code": "SemanticError", "innererror": {"code": "SEM0100", "message": "Failed to resolve table."}}

    error = from_response(send(400, {"error": {"code": "BadArgumentError", "innererror": inner}}))

    assert (error.code, error.inner) == ("no-table", "SEM0100")


def test_an_error_without_an_envelope_is_read_as_well():
    error = from_response(send(400, {"code": "BadRequest", "message": "Too long ago."}))

    assert (error.code, error.inner) == ("refused", "BadRequest")


def test_a_code_that_is_no_identifier_is_not_repeated():
    error = from_response(send(403, error_body("<script>alert(1)</script>")))

    assert (error.code, error.inner) == ("denied", "")


@pytest.mark.parametrize("body", [b"<html>Forbidden by proxy</html>", b'"text"', b"[]", b'{"error":"x"}', b"\xff\xfe{"])
def test_a_refusal_that_azure_did_not_write_is_a_bad_answer_and_proves_nothing(body: bytes):
    error = from_response(send(403, body))

    assert (error.code, error.status, error.definite, error.raw) == ("bad-answer", 403, False, "")


@pytest.mark.parametrize(("status", "expected"), [(429, "throttled"), (502, "server"), (504, "server")])
def test_a_gateway_on_the_way_may_throttle_or_fail_in_html(status: int, expected: str):
    error = from_response(send(status, b"<html>busy</html>"))

    assert (error.code, error.definite, error.raw) == (expected, False, "")


def test_an_empty_refusal_is_told_by_its_status():
    error = from_response(send(404, b""))

    assert (error.code, error.definite) == ("not-found", True)


@pytest.mark.parametrize("status", [200, 201, 302])
def test_a_body_that_could_carry_a_value_is_never_kept(status: int):
    error = from_response(send(status, {"value": "hunter2-canary", "error": {"code": "x"}}))

    assert (error.code, error.status, error.raw, error.definite) == ("bad-answer", status, "", False)


def test_the_raw_text_of_an_error_is_kept_for_administrators():
    assert "so says a text" in from_response(send(403, error_body("Forbidden", "ForbiddenByRbac"))).raw


def test_a_missing_role_is_named_with_the_time_that_a_new_one_takes():
    error = from_response(send(403, error_body("Forbidden", "ForbiddenByRbac")), Need("Key Vault Reader", "list"))

    assert error.advice == (
        "Give kvadmin's identity the role Key Vault Reader on the vault, its resource group or its subscription. "
        "A new role assignment takes up to ten minutes to work."
    )


def test_a_missing_permission_is_named():
    error = from_response(send(403, error_body("Forbidden", "AccessDenied")), Need("Key Vault Reader", "list"))

    assert error.advice == ("Add the secret permission 'list' for kvadmin's identity to the vault's access policies.")


def test_a_firewall_names_the_address_that_the_vault_saw():
    info = {"x-ms-keyvault-network-info": "conn_type=Ipv4;addr=203.0.113.10;act_addr_fam=InterNetwork;"}

    error = from_response(send(403, error_body("Forbidden", "ForbiddenByFirewall"), info))

    assert error.advice == (
        "Allow 203.0.113.10 (the address that the vault saw) in the vault's networking settings, or connect kvadmin "
        "through a private endpoint."
    )


@pytest.mark.parametrize("info", ["", "conn_type=Ipv4", "addr=<b>"])
def test_a_firewall_without_an_address_speaks_of_kvadmins_own(info: str):
    error = from_response(
        send(403, error_body("Forbidden", "ForbiddenByFirewall"), {"x-ms-keyvault-network-info": info})
    )

    assert error.advice.startswith("Allow kvadmin's outgoing address in")


def test_an_ipv6_address_is_an_address():
    assert seen_address({"x-ms-keyvault-network-info": "conn_type=Ipv6; addr=2001:db8::7"}) == (
        "2001:db8::7 (the address that the vault saw)"
    )


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        ("AKV10032", "The vault belongs to another tenant."),
        ("AKV10022", "The vault does not take tokens of this cloud."),
        ("AKV10000", "Check KVADMIN_CREDENTIAL and the settings that belong to it."),
    ],
)
def test_a_token_that_the_vault_does_not_take_is_a_failed_sign_in(number: str, advice: str):
    response = send(401, error_body("Unauthorized", message=f"{number}: Some text."))

    error = failure(raising(ClientAuthenticationError(response=response)))

    assert (error.code, error.status, error.inner, error.definite) == ("credential", 401, number, True)
    assert error.advice.startswith(advice)


def test_entras_own_code_chooses_the_advice():
    response = send(401, {"error": "invalid_client", "error_description": "...", "error_codes": [7000215]})

    error = failure(raising(ClientAuthenticationError(response=response)))

    assert (error.code, error.inner, error.advice) == (
        "credential",
        "AADSTS7000215",
        "The client secret is wrong. Check AZURE_CLIENT_SECRET.",
    )


@pytest.mark.parametrize("body", [b"<html>", {"error_codes": []}, {"error_codes": ["x"]}, [], {"error_codes": [None]}])
def test_a_sign_in_that_fails_in_an_unknown_way_is_still_one(body: Any):
    error = failure(raising(ClientAuthenticationError(response=send(400, body))))

    assert (error.code, error.inner, error.definite) == ("credential", "", True)


def test_entras_number_is_found_where_only_a_sentence_is_left():
    error = from_exception(ClientAuthenticationError("Authentication failed: AADSTS7000222: The secret has expired."))

    assert (error.code, error.inner) == ("credential", "AADSTS7000222")
    assert error.advice == "The client secret has expired. Create a new one, and set AZURE_CLIENT_SECRET."


def test_a_credential_that_cannot_even_try_is_a_failed_sign_in():
    error = failure(raising(CredentialUnavailableError(message="az is not installed: hunter2-canary")))

    assert (error.code, error.status, error.definite) == ("credential", None, True)
    assert str(error) == "kvadmin could not sign in to Azure."


@pytest.mark.parametrize(
    ("error", "code", "definite"),
    [
        (
            requests.exceptions.ConnectionError(
                urllib3.exceptions.NameResolutionError("x", CONNECTION, OSError(-2, "x"))
            ),
            "dns",
            True,
        ),
        (
            requests.exceptions.ConnectionError(
                urllib3.exceptions.MaxRetryError(
                    None, URL, urllib3.exceptions.NameResolutionError("x", CONNECTION, OSError(-2, "x"))
                ),
            ),
            "dns",
            True,
        ),
        (
            requests.exceptions.ConnectionError(urllib3.exceptions.NewConnectionError(CONNECTION, "refused")),
            "unreachable",
            True,
        ),
        (requests.exceptions.ConnectTimeout("slow"), "timeout", True),
        (requests.exceptions.ReadTimeout("slow"), "timeout", False),
        (
            requests.exceptions.ConnectionError(urllib3.exceptions.ReadTimeoutError(None, URL, "in the body")),
            "timeout",
            False,
        ),
        (requests.exceptions.SSLError(ssl.SSLCertVerificationError("unknown authority")), "unreachable", True),
        (requests.exceptions.SSLError(ssl.SSLError("in the middle")), "unreachable", False),
        (requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("aborted")), "unreachable", False),
        (requests.exceptions.ProxyError("proxy"), "unreachable", False),
    ],
)
def test_a_network_that_fails_is_told_by_the_types_of_its_exceptions(error: Exception, code: str, definite: bool):
    found = failure(lambda: send(error=error))

    assert (found.code, found.definite, found.status) == (code, definite, None)


def test_a_name_that_does_not_resolve_is_named():
    error = urllib3.exceptions.NameResolutionError("x", CONNECTION, OSError(-2, "x"))

    found = failure(lambda: send(error=error))

    assert str(found) == "The name pay-prod.vault.azure.net does not resolve."


def test_an_exception_of_requests_that_the_sdk_lets_through_is_one_of_the_network():
    assert failure(raising(requests.exceptions.InvalidURL("?"))).code == "unreachable"


def test_an_answer_cut_off_on_the_wire_is_a_bad_answer():
    cut = requests.exceptions.ChunkedEncodingError("IncompleteRead(14 bytes read)")

    assert failure(lambda: send(error=cut)).code == "bad-answer"


@pytest.mark.parametrize(
    "error",
    [
        DecodeError(message="JSON is invalid: hunter2-canary"),
        HttpResponseError(message="hunter2-canary"),
        ValueError("hunter2-canary"),
        NotImplementedError("hunter2-canary"),
        AttributeError("hunter2-canary"),
    ],
)
def test_whatever_else_the_sdk_raises_is_a_bad_answer_without_its_text(
    error: Exception, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.DEBUG):
        found = failure(raising(error))

    assert (type(found), found.definite, found.__cause__, found.__context__) == (BadAnswer, False, None, None)
    assert "hunter2-canary" not in shown(found) + caplog.text


def test_an_unexpected_exception_is_logged_by_type_and_place_for_whoever_must_find_it(
    caplog: pytest.LogCaptureFixture,
):
    failure(raising(KeyError("hunter2-canary")))

    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        f"A call to Azure ended with KeyError at {__file__}"
    ]


def test_an_unexpected_exception_without_a_traceback_is_told_too(caplog: pytest.LogCaptureFixture):
    assert from_exception(KeyError()).code == "bad-answer"
    assert caplog.messages == ["A call to Azure ended with KeyError at ?."]


def test_an_error_of_ours_passes_without_the_frames_below():
    def work() -> None:
        canary = "hunter2-canary"
        raise error_for("bad-answer", sentence=f"{len(canary)}.")

    found = failure(work)

    assert (found.sentence, "hunter2-canary" in shown(found)) == ("14.", False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        ("1.2", 2),
        ("3600", 3600),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        ("1e300", None),
        ("soon", None),
        ("", None),
        ("Tue, 01 Dec 2020 00:00:00 GMT", 0),
        ("Tue, 01 Dec 2020 00:00:00 -0000", 0),
    ],
)
def test_retry_after_is_whole_seconds_or_nothing(text: str, seconds: int | None):
    assert retry_after({"Retry-After": text}) == seconds


def test_retry_after_may_be_a_date():
    found = retry_after({"Retry-After": formatdate(time.time() + 3600, usegmt=True)})

    assert found is not None
    assert 3500 < found <= 3600


def shown(error: BaseException) -> str:
    """All that a log formatter or an error reporter could print, local variables included."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    frames = [frame for frame in report.stack if "/kvadmin/" in frame.filename]
    return repr((error, str(error), error.args, vars(error), [(frame.line, frame.locals) for frame in frames]))
