"""Microsoft Graph, as far as kvadmin asks it: which of these groups somebody is in."""

from __future__ import annotations

import re
from uuid import uuid4

from kvadmin.emulator.answers import Refusal
from kvadmin.emulator.http import Request, Response, json_response
from kvadmin.emulator.identities import audience_of
from kvadmin.emulator.state import Azure

HOSTS = frozenset({"graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"})
AT_ONCE = 20
CHECK = re.compile(r"/v1\.0/users/([0-9a-fA-F-]{36})/checkMemberGroups")


def handle(azure: Azure, request: Request) -> Response:
    """Graph's answer to POST /users/{id}/checkMemberGroups, the one thing that it is asked."""
    with azure.lock:
        try:
            response = json_response(200, {"value": _check(azure, request)})
        except Refusal as refusal:
            response = refusal.response()
    response.headers |= {"request-id": str(uuid4())}
    return response


def _check(azure: Azure, request: Request) -> list[str]:
    _authenticate(azure, request)
    found = CHECK.fullmatch(request.path) if request.method == "POST" else None
    if found is None:
        raise Refusal(404, "ResourceNotFound", "Resource not found for the segment.")
    wanted = request.json()["groupIds"]
    if len(wanted) > AT_ONCE:
        raise Refusal(400, "Request_BadRequest", "Too many values are specified for parameter 'groupIds'.")
    return [group for group in wanted if found[1].lower() in azure.groups.get(group.lower(), set())]


def _authenticate(azure: Azure, request: Request) -> None:
    try:
        audience = audience_of(request.bearer)
    except ValueError:
        audience = ""
    if audience != f"https://{request.host}":
        raise Refusal(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid audience.")
    if not azure.directory_open:
        raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
