from __future__ import annotations
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.state import Azure
def handle(azure: Azure, request: Request) -> Response:
    return json_response(404, {})
