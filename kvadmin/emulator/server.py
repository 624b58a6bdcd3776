"""The fake cloud on a loopback port, for when its clients are other processes."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kvadmin.emulator.faults import Fault, NetworkError
from kvadmin.emulator.http import Request, Response, json_response, request_of
from kvadmin.emulator.state import Azure

HOST_HEADER = "x-emulator-host"
NETWORK_HEADER = "x-emulator-network"


class EmulatorServer(ThreadingHTTPServer):
    """Serves one cloud on 127.0.0.1; a thread per connection, and none is left behind by `server_close`."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, azure: Azure, port: int, answer: Callable[[Request], Response]) -> None:
        self.azure = azure
        self.answer = answer
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def address(self) -> str:
        """What `doors.open_door` takes."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        with self._open_lock:
            return len(self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that it can be ended."""
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection is over."""
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no error; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Stop: kept-alive connections are ended too, else their threads would wait for requests for ever."""
        with self._open_lock:
            for connection in self._open:
                _end(connection)
        super().server_close()


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RD)
    except OSError:
        return  # the client was faster


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet: two would wait for each other's acknowledgement
    server: EmulatorServer

    def answer(self) -> None:
        """Answer one request, by whoever it is meant for."""
        try:
            request = self._request()
        except ValueError:
            self.close_connection = True
            self._send(json_response(400, {"error": "This is no HTTP request."}))
            return
        own = OWN.get((self.command, request.path)) if HOST_HEADER not in self.headers else None
        self._send(own(self.server.azure, request) if own else self._cloud(request))

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = answer  # noqa: N815 - http.server's names

    def _request(self) -> Request:
        """The request as its client meant it; raises ValueError when it cannot be read."""
        body = b"".join(self._chunks())
        host = self.headers.get(HOST_HEADER) or self.headers.get("Host", "")
        return request_of(self.command, f"https://{host}{self.path}", dict(self.headers.items()), body)

    def _cloud(self, request: Request) -> Response:
        try:
            answer = self.server.answer(request)
        except NetworkError as error:
            return Response(502, {NETWORK_HEADER: error.kind})
        if answer.delay:
            time.sleep(answer.delay)
        return answer

    def _chunks(self) -> Iterator[bytes]:
        """The request's body, sent whole or chunk by chunk."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, answer: Response) -> None:
        self.send_response_only(answer.status)
        for name, value in {"Date": self.date_time_string(), **answer.headers}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else answer.body)
        self.wfile.flush()

    def log_message(self, *args: Any) -> None:
        """Say nothing: a request line may name a secret."""


def _healthz(azure: Azure, request: Request) -> Response:
    return json_response(200, {"status": "ok", "vaults": len(azure.vaults)})


def _clock(azure: Azure, request: Request) -> Response:
    """{"advance_seconds": N}: let N seconds pass."""
    try:
        azure.clock.advance(timedelta(seconds=float(request.json()["advance_seconds"])))
    except (ValueError, KeyError, TypeError, OverflowError):
        return json_response(400, {"error": 'Send {"advance_seconds": N}.'})
    return json_response(200, {"now": azure.clock.now().isoformat()})


def _faults(azure: Azure, request: Request) -> Response:
    """{"vault": NAME, "kind": ..., and Fault's other fields}: switch it on; without a kind: all of them off."""
    try:
        wanted = dict(request.json())
        vault = str(wanted.pop("vault"))
        azure.faults.set(vault, *([Fault(**wanted)] if wanted else []))
    except (ValueError, KeyError, TypeError) as error:
        return json_response(400, {"error": f"Send a vault, a kind and its options: {error}"})
    return json_response(200, {"vault": vault, **wanted})


OWN: dict[tuple[str, str], Callable[[Azure, Request], Response]] = {
    ("GET", "/healthz"): _healthz,
    ("POST", "/_emulator/clock"): _clock,
    ("POST", "/_emulator/faults"): _faults,
}
