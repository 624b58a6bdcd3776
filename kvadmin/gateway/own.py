"""What a call of kvadmin's tells about kvadmin: for whom Azure takes it, and whether the clocks agree."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from azure.core.rest import HttpRequest

from kvadmin.gateway.classify import call
from kvadmin.gateway.client import arm_client, credential
from kvadmin.gateway.clouds import cloud
from kvadmin.gateway.errors import GatewayError

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Own:
    """kvadmin's identity as its token names it: object id (the principal that roles are given to), app, and tenant."""

    object_id: str
    app_id: str
    tenant_id: str


def own_identity() -> Own:
    """Sign in to Azure, and say as whom. The token itself goes nowhere.

    Raises:
        GatewayError: the sign-in failed, or the token cannot be read.
    """
    return call(lambda: _named(credential().get_token(cloud().arm_scope).token))


def own_object_id() -> str:
    """The object id of kvadmin's own identity, in lower case; "" when nobody tells.

    What a token holds is Azure's affair and may change, so nothing is decided by it: it only says "this is kvadmin".
    """
    try:
        found = own_identity().object_id.lower()
    except GatewayError:
        return ""
    return found if _GUID.fullmatch(found) else ""


def _named(token: str) -> Own:
    """Unchecked: it is our own token, and nothing is decided by it."""
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return Own(*(str(claims.get(name, "")) for name in ("oid", "appid", "tid")))


def azure_time() -> datetime | None:
    """The time that Azure Resource Manager gives in an answer, whatever the answer is; None when it gives none.

    Raises:
        GatewayError: no answer came.
    """
    request = HttpRequest("GET", f"{cloud().arm}/subscriptions?api-version=2022-12-01")
    return call(lambda: _time(arm_client().send_request(request).headers.get("Date", "")))


def _time(text: str) -> datetime | None:
    return parsedate_to_datetime(text).astimezone(UTC) if text else None
