"""The ways into the fake cloud: routing by host name, and a `requests` adapter for either side of a process boundary.

Clients mount `open_door(address)` on "https://" of a `requests.Session`; nothing else of them knows of the emulator.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError, ProtocolError

from kvadmin.emulator import arm, directory, keyvault, tokens
from kvadmin.emulator.faults import NetworkError
from kvadmin.emulator.http import Request, Response, request_of
from kvadmin.emulator.server import HOST_HEADER, NETWORK_HEADER, EmulatorServer
from kvadmin.emulator.state import CLOUDS, Azure

ARM_HOSTS = frozenset(cloud.arm for cloud in CLOUDS.values())
LOG_HOSTS = frozenset(host for cloud in CLOUDS.values() for host in cloud.logs)

_clouds: dict[str, Azure] = {}
_clouds_lock = threading.Lock()


def handle(azure: Azure, request: Request) -> Response:
    """Azure's answer to the request; raises NetworkError when there would be none."""
    if request.host in ARM_HOSTS:
        return arm.handle(azure, request)
    if request.host in LOG_HOSTS:
        return _logs(azure, request)
    if request.host in directory.HOSTS:
        return directory.handle(azure, request)
    if request.host in tokens.HOSTS:
        return tokens.handle(azure, request)
    return keyvault.handle(azure, request)


def _logs(azure: Azure, request: Request) -> Response:
    # Imported when it is asked for: the KQL engine is a demo and test extra, the rest works without it.
    from kvadmin.emulator import logs  # noqa: PLC0415

    return logs.handle(azure, request)


def memory(name: str) -> Azure:
    """The in-process cloud of this name; raises LookupError when there is none."""
    with _clouds_lock:
        try:
            return _clouds[name]
        except KeyError:
            raise LookupError(f"There is no cloud called {name!r} in this process.") from None


def set_memory(name: str, azure: Azure) -> None:
    """Make `azure` reachable as memory://NAME in this process."""
    with _clouds_lock:
        _clouds[name] = azure


def drop_memory(name: str) -> None:
    """Forget the in-process cloud of this name, if there is one."""
    with _clouds_lock:
        _clouds.pop(name, None)


def open_door(address: str) -> BaseAdapter:
    """An adapter to mount on "https://": `memory://NAME`, or `http://127.0.0.1:PORT` of a served cloud.

    Raises ValueError for any other address.
    """
    parts = urlsplit(address)
    if parts.scheme == "memory":
        return MemoryDoor(parts.netloc)
    if parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}:
        return LoopbackDoor(address)
    raise ValueError("An emulator's address is memory://NAME or http://127.0.0.1:PORT.")


def serve(azure: Azure, port: int) -> EmulatorServer:
    """A server of this cloud on the loopback address, not serving yet; port 0 takes a free one."""
    return EmulatorServer(azure, port, lambda request: handle(azure, request))


class MemoryDoor(BaseAdapter):
    """Answers requests by calling the emulator in this process; no socket is opened."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._builder = HTTPAdapter()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002
        timeout: Any = None,
        verify: Any = True,  # noqa: FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The emulator's answer as a `requests` response, or the exception that a network would cause."""
        sent = request_of(request.method or "GET", request.url or "", request.headers, _body(request.body))
        try:
            answer = handle(memory(self._name), sent)
        except NetworkError as error:
            raise broken(error.kind, error.host, request) from None
        except LookupError:
            raise broken("refused", sent.host, request) from None
        _wait(answer.delay, timeout, request)
        return self._builder.build_response(request, _urllib3(answer))

    def close(self) -> None:
        """Nothing is held open."""


class LoopbackDoor(HTTPAdapter):
    """Sends requests to a served cloud, with the host that the client meant in a header."""

    def __init__(self, address: str) -> None:
        super().__init__(pool_connections=1, pool_maxsize=64)
        self._address = address.rstrip("/")

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002
        timeout: Any = None,
        verify: Any = True,  # noqa: FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """The served cloud's answer; its network faults become the exceptions that a network would cause."""
        meant = urlsplit(request.url or "")
        inner = request.copy()
        inner.url = self._address + request.path_url
        inner.headers[HOST_HEADER] = meant.netloc
        response = super().send(inner, stream=stream, timeout=timeout)
        response.url, response.request = request.url or "", request
        if NETWORK_HEADER in response.headers:
            response.close()
            raise broken(response.headers[NETWORK_HEADER], meant.hostname or "", request)
        return response


def _body(body: Any) -> bytes:
    """The request's body as bytes, whatever form `requests` holds it in."""
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else b"".join(body)


def _wait(delay: float, timeout: Any, request: requests.PreparedRequest) -> None:
    """Take as long as the answer takes; a client that would have given up need not wait to learn it."""
    patience = timeout[1] if isinstance(timeout, tuple) else timeout
    if patience is not None and delay > patience:
        raise requests.exceptions.ReadTimeout(f"Read timed out. (read timeout={patience})", request=request)
    if delay:
        time.sleep(delay)


def _urllib3(answer: Response) -> HTTPResponse:
    headers = {**answer.headers, "Content-Length": str(len(answer.body))}
    return HTTPResponse(
        body=io.BytesIO(answer.body),
        headers=headers,
        status=answer.status,
        preload_content=False,
        decode_content=False,
    )


def broken(kind: str, host: str, request: requests.PreparedRequest) -> requests.exceptions.ConnectionError:
    """What `requests` raises, cause and text, for a network fault ("dns", "reset", "refused") on the way to `host`."""
    return requests.exceptions.ConnectionError(_CAUSES[kind](host, request.path_url), request=request)


def _no_address(host: str, path: str) -> Exception:
    cause = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    reason = NameResolutionError(host, HTTPSConnection(host), cause)
    return MaxRetryError(HTTPSConnectionPool(host, 443), path, reason)


def _reset(host: str, path: str) -> Exception:
    return ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset by peer"))


def _refused(host: str, path: str) -> Exception:
    reason = NewConnectionError(HTTPSConnection(host), "Failed to establish a new connection: Connection refused")
    return MaxRetryError(HTTPSConnectionPool(host, 443), path, reason)


_CAUSES: dict[str, Callable[[str, str], Exception]] = {"dns": _no_address, "reset": _reset, "refused": _refused}
