"""What went wrong on the way to Azure, by the types of exceptions that lie behind one another, never by their texts."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import requests
import urllib3.exceptions
from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from kvadmin.gateway.errors import GatewayError, error_for

FAILURES = (
    ServiceRequestError,
    ServiceResponseError,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)
# These come before anything is sent: Azure certainly gave nothing out.
_NEVER_SENT = (
    urllib3.exceptions.ConnectTimeoutError,  # NewConnectionError and NameResolutionError are kinds of it
    requests.exceptions.ConnectTimeout,
    ssl.SSLCertVerificationError,
)
_TIMEOUTS = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)


def failure(error: Exception) -> GatewayError:
    """Our error for one of FAILURES."""
    chain = list(_chain(error))
    never_sent = any(isinstance(link, _NEVER_SENT) for link in chain)
    return error_for(_code(chain), definite=never_sent, host=_host(chain))


def _code(chain: list[BaseException]) -> str:
    """Names are told from other failures by urllib3's exception type, as everything here."""
    if any(isinstance(link, urllib3.exceptions.NameResolutionError) for link in chain):
        return "dns"
    if any(isinstance(link, urllib3.exceptions.NewConnectionError) for link in chain):
        return "unreachable"  # urllib3 counts a refused connection as a kind of time-out
    return "timeout" if any(isinstance(link, _TIMEOUTS) for link in chain) else "unreachable"


def _host(chain: list[BaseException]) -> str:
    """The name that did not resolve, which may be a proxy's or the sign-in's, or ""."""
    for link in chain:
        if isinstance(link, urllib3.exceptions.NameResolutionError):
            return str(getattr(link.conn, "host", ""))
    return ""


def _chain(error: BaseException | None, seen: set[int] | None = None) -> Iterator[BaseException]:
    """The exception and all that lie behind it, however the SDK, requests and urllib3 keep them."""
    seen = set() if seen is None else seen
    if not isinstance(error, BaseException) or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    behind = (getattr(error, "inner_exception", None), getattr(error, "reason", None), *error.args)
    for link in (*behind, error.__cause__, error.__context__):
        yield from _chain(link, seen)
