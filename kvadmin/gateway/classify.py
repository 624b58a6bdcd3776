"""From an exception of the SDK, or an answer of Azure, to one of our errors.

Decided by exception types, HTTP status, `error.code` and `innererror.code` only, never by words in a text: Azure's
firewall message says "not authorized", and its texts change. Two identifiers are read out of a text, because they stand
nowhere else: the leading `AKV<number>` of a 401, and Entra's `AADSTS<number>` where the SDK keeps only the text of a
failed sign-in. They choose the advice, not the class.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from azure.core.exceptions import AzureError, ClientAuthenticationError, DecodeError, HttpResponseError
from azure.core.rest import HttpResponse

from kvadmin.gateway import network
from kvadmin.gateway.errors import GatewayError, error_for
from kvadmin.gateway.headers import retry_after, seen_address
from kvadmin.metrics import tallies

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Need(NamedTuple):
    """What a call needs, for the advice: an Azure role, or an access policy's permission on "secret", "key" ...

    `identity` is whose rights it uses, where they are not kvadmin's own.
    """

    role: str = ""
    permission: str = ""
    kind: str = "secret"
    identity: str = ""


NOTHING_NAMED = Need()

_BY_INNER = {
    "ForbiddenByRbac": "rbac",
    "AccessDenied": "access-policy",
    "ForbiddenByPolicy": "policy",
    "ForbiddenByFirewall": "firewall",
    "ForbiddenByConnection": "private-link",
    "SecretDisabled": "disabled",
    "ObjectIsDeletedButRecoverable": "deleted-recoverable",
    "ObjectIsBeingDeleted": "being-deleted",
    "RequestNotAllowedOnNonDeletedObject": "not-deleted",
    "SecretManagedByKeyVault": "managed",
    "Malformed backup blob": "bad-backup",
    "SEM0100": "no-table",
}
_BY_STATUS = {401: "credential", 403: "denied", 404: "not-found", 408: "timeout", 409: "conflict", 429: "throttled"}
_SIGN_IN_ADVICE = {
    "AKV10032": "The vault belongs to another tenant. Name that tenant in KVADMIN_ALLOWED_TENANTS, and give kvadmin's "
    "identity access there.",
    "AKV10022": "The vault does not take tokens of this cloud. Check KVADMIN_CLOUD.",
    "AADSTS7000215": "The client secret is wrong. Check AZURE_CLIENT_SECRET.",
    "AADSTS7000222": "The client secret has expired. Create a new one, and set AZURE_CLIENT_SECRET.",
    "AADSTS700016": "The application is unknown in this tenant. Check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
    "AADSTS65001": "Nobody has consented yet that kvadmin's app registration may use Azure Key Vault for people. An "
    "administrator of Entra gives that consent once, for everybody.",
    "AADSTS500011": "Azure Key Vault is unknown in this tenant. An administrator of Entra adds its service principal.",
    "AADSTS90002": "There is no such tenant. Check AZURE_TENANT_ID and KVADMIN_CLOUD.",
}
# What no sign-in of a person mends: the app registration that acts for them is set up wrongly.
_APP_ADVICE = {
    "AADSTS7000215": "The app registration's secret is wrong. Check KVADMIN_OIDC_CLIENT_SECRET.",
    "AADSTS7000222": "The app registration's secret has expired. Create a new one, and set KVADMIN_OIDC_CLIENT_SECRET.",
    "AADSTS700016": "The app registration is unknown in this tenant. Check KVADMIN_OIDC_CLIENT_ID.",
    **dict.fromkeys(
        ("AADSTS70021", "AADSTS700213"),
        "The app registration does not trust kvadmin's own identity. Check issuer, subject and audience of its "
        "federated credential.",
    ),
}


def call(work: Callable[[], T], need: Need = NOTHING_NAMED) -> T:
    """What `work` returns; whatever it raises comes out as a GatewayError that carries nothing of the SDK's.

    The error is raised after the `except` block has ended, so that `__context__`, which `from None` merely hides,
    is empty as well; and its traceback begins here, without the frames in which an answer lies.

    Raises:
        GatewayError: always a subclass of it.
    """
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - the SDK lets ValueError and others escape, with the answer in them
        failure = from_exception(error, need).with_traceback(None)
    _count(failure)
    raise failure from None


def _count(failure: GatewayError) -> None:
    """Once for each error, although a call may lie within another."""
    if not failure.counted:
        failure.counted = True
        tallies.add(tallies.AZURE_ERRORS, failure.code)


def from_exception(error: Exception, need: Need = NOTHING_NAMED) -> GatewayError:
    """Our error for any exception that a call of the SDK raised."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, ClientAuthenticationError):
        return _sign_in(error, need)
    response = error.response if isinstance(error, HttpResponseError) else None
    if isinstance(response, HttpResponse):
        return from_response(response, need)
    if isinstance(error, DecodeError):
        return error_for("bad-answer")
    if isinstance(error, network.FAILURES):
        return network.failure(error)
    return _unexpected(error)


def from_response(response: HttpResponse, need: Need = NOTHING_NAMED) -> GatewayError:
    """Our error for an answer that is not the one asked for: any status but a good one, or a good one unreadable."""
    answer = _read(response)
    headers = response.headers
    return error_for(
        _code(answer),
        status=answer.status,
        inner=answer.inner,
        request_id=headers.get("x-ms-request-id", "")[:64],
        retry_after=retry_after(headers),
        definite=answer.readable and 400 <= answer.status < 500,
        raw=answer.text,
        advice=_SIGN_IN_ADVICE.get(answer.inner, ""),
        identity=need.identity,
        role=need.role,
        permission=f"'{need.permission}'" if need.permission else "",
        kind=need.kind,
        address=seen_address(headers),
    )


@dataclass(frozen=True)
class _Answer:
    """An error answer, read. `readable`: it is an error in Azure's form, or empty; `text` is "" otherwise."""

    status: int
    readable: bool = False
    inner: str = ""
    text: str = ""


def _read(response: HttpResponse) -> _Answer:
    status = response.status_code
    if not 400 <= status < 600:
        return _Answer(status)  # its body may hold a value, and is not looked at
    try:
        text = response.text()
        error = _envelope(json.loads(text)) if text.strip() else {}
    except (ValueError, LookupError, AzureError):
        error, text = None, ""
    if error is None:
        return _Answer(status)
    return _Answer(status, readable=True, inner=_inner(error), text=text)


def _envelope(body: Any) -> dict[str, Any] | None:
    """The error object: under "error", or, as the activity log sends it, without an envelope. None: no error."""
    found = body.get("error", body) if isinstance(body, dict) else None
    return found if isinstance(found, dict) and "code" in found else None


def _inner(error: Mapping[str, Any]) -> str:
    """The innermost code (Log Analytics nests three of them); without one, the AKV number of a 401, or the code."""
    inner = error.get("innererror")
    code = ""
    while isinstance(inner, dict):
        code = _word(inner.get("code")) or code
        inner = inner.get("innererror")
    number = re.match(r"AKV\d{5}\b", str(error.get("message") or ""))
    return code or (number.group() if number else _word(error.get("code")))


def _word(code: object) -> str:
    """A code as short text. Only identifiers are codes: anything else is not repeated."""
    return code if isinstance(code, str) and re.fullmatch(r"[\w. -]{1,80}", code) else ""


def _code(answer: _Answer) -> str:
    if answer.status == 429:
        return "throttled"
    if 500 <= answer.status < 600:
        return "server"
    if not answer.readable:
        return "bad-answer"
    return _BY_INNER.get(answer.inner) or _BY_STATUS.get(answer.status, "refused")


def _sign_in(error: ClientAuthenticationError, need: Need = NOTHING_NAMED) -> GatewayError:
    """The credential failed: at the vault (401), at Entra (its own form of error), or before any call."""
    code, advices = ("own-sign-in", _APP_ADVICE) if need.identity else ("credential", {})
    if not isinstance(error.response, HttpResponse):
        inner = _entra_code_in(error.message)
        advice = advices.get(inner) or _SIGN_IN_ADVICE.get(inner, "")
        return error_for("credential" if inner in advices else code, inner=inner, advice=advice, definite=True)
    found = from_response(error.response)
    inner = found.inner or _entra_code(error.response)
    return error_for(
        "credential" if inner in advices else code,
        status=found.status,
        inner=inner,
        request_id=found.request_id,
        retry_after=found.retry_after,
        definite=True,
        raw=found.raw,
        advice=advices.get(inner) or _SIGN_IN_ADVICE.get(inner, ""),
    )


def _entra_code(response: HttpResponse) -> str:
    """The number in Entra's `error_codes`, in the form in which it is documented: AADSTS7000215."""
    try:
        return f"AADSTS{int(json.loads(response.text())['error_codes'][0])}"
    except (ValueError, LookupError, TypeError, AzureError):
        return ""


def _entra_code_in(text: object) -> str:
    """The same out of a sentence: ClientSecretCredential and its like raise no more than that."""
    found = re.search(r"\bAADSTS\d{4,7}\b", str(text))
    return found.group() if found else ""


def _unexpected(error: Exception) -> GatewayError:
    """An answer that the SDK could not read (JSONDecodeError, ValueError), or a fault of a program, told by place."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "?"
    logger.warning("A call to Azure ended with %s at %s.", type(error).__name__, place)
    return error_for("bad-answer")
