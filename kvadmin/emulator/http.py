"""One request and one answer, as every door hands them to the emulator and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from requests.structures import CaseInsensitiveDict

JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """What a client sent. `host` is lower-case, `path` still percent-encoded, `port` 0 when the URL spells none."""

    method: str
    host: str
    port: int
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def url(self) -> str:
        """The whole address, as Azure's log shows it: the port only when the client spelled it."""
        port = f":{self.port}" if self.port else ""
        query = urlencode(self.query, safe="$:/,")
        return f"https://{self.host}{port}{self.path}" + (f"?{query}" if query else "")

    @property
    def bearer(self) -> str:
        """The bearer token, or "" when the request carries none."""
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    def json(self) -> Any:
        """The body read as JSON; raises ValueError when it is none."""
        return json.loads(self.body)


@dataclass
class Response:
    """What goes back. The door waits `delay` seconds before it hands the answer over."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0


def request_of(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Request:
    """A Request out of an absolute `url` and what came with it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(
        method.upper(),
        (parts.hostname or "").lower(),
        parts.port or 0,
        parts.path or "/",
        query,
        CaseInsensitiveDict(headers),
        body,
    )


def json_response(status: int, obj: Any, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose body is `obj` as JSON, in UTF-8, without padding, as Azure writes it."""
    body = json.dumps(obj, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(status, {"Content-Type": JSON_TYPE, **(headers or {})}, body)
