"""One answer, or one exception of the network, as the SDK's own pipeline hands it on. No socket is opened."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import requests
from azure.core import PipelineClient
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPResponse

URL = "https://pay-prod.vault.azure.net/secrets/a/"


class Canned(BaseAdapter):
    """Gives the same answer to everything, or raises the same exception."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str], error: Exception | None) -> None:
        super().__init__()
        self.status, self.body, self.headers, self.error = status, body, dict(headers), error

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if self.error is not None:
            raise self.error
        raw = HTTPResponse(io.BytesIO(self.body), self.headers, self.status, preload_content=False)
        return HTTPAdapter().build_response(request, raw)

    def close(self) -> None:
        pass


def send(
    status: int = 200, body: Any = b"", headers: Mapping[str, str] | None = None, error: Exception | None = None
) -> HttpResponse:
    """The answer, or the exception into which the SDK's transport turns `error`. `body`: bytes, or sent as JSON."""
    session = requests.Session()
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    session.mount("https://", Canned(status, content, headers or {}, error))
    client = PipelineClient("https://x", policies=[], transport=RequestsTransport(session=session))
    return client.send_request(HttpRequest("GET", URL))


def error_body(code: str, inner: str = "", message: str = "Not authorized, so says a text.") -> dict[str, Any]:
    """An error in Azure's form. The message misleads on purpose: nothing may be decided by it."""
    error: dict[str, Any] = {"code": code, "message": message}
    return {"error": error | ({"innererror": {"code": inner}} if inner else {})}
