"""An authorized request, and what all operations share: their table and their lists."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from kvadmin.emulator import answers, rules
from kvadmin.emulator.bundles import list_page
from kvadmin.emulator.http import JSON_TYPE, Request, Response
from kvadmin.emulator.state import Azure, Vault
from kvadmin.emulator.store import Deleted, Secret, Version, page

T = TypeVar("T")


@dataclass
class Call:
    """One authorized request. `object_id` is what the audit log will name as the object, "" for nothing."""

    azure: Azure
    vault: Vault
    request: Request
    name: str
    version: str
    now: datetime
    endless: bool = False
    object_id: str = field(default="")

    @property
    def secret(self) -> Secret:
        """The live secret that is meant; raises the 404."""
        secret = self.vault.secrets.get(self.name)
        if secret is None or (secret.readable_from or self.now) > self.now:
            raise answers.secret_not_found(self.name)
        return secret

    @property
    def one_version(self) -> tuple[Secret, Version]:
        """The version that is meant, the newest without one; raises the 404."""
        secret = self.secret
        version = secret.version(self.version)
        if version is None:
            raise answers.secret_not_found(f"{self.name}/{self.version}")
        return secret, version

    @property
    def deleted(self) -> Deleted:
        """The deleted secret that is meant; raises the 409 while Azure is not done deleting, and the 404."""
        entry = self.vault.secrets.deleted(self.name, self.now)
        if entry is None:
            raise answers.deleted_not_found(self.name)
        if entry.visible_from > self.now:
            raise answers.being_deleted(self.name)
        return entry


def list_answer(call: Call, items: list[bytes], token: dict[str, Any] | None, size: int) -> Response:
    """A page with the link to the next one, port and all as Azure writes it; an endless list links to its start."""
    token = {"NextMarker": ""} if call.endless else token
    link = None
    if token is not None:
        skip = base64.urlsafe_b64encode(json.dumps(token, separators=(",", ":")).encode()).decode().rstrip("=")
        version = call.request.query["api-version"]
        query = f"api-version={version}&$skiptoken={skip}&maxresults={size}"
        link = f"https://{call.vault.host}:443{call.request.path}?{query}"
    return Response(200, {"Content-Type": JSON_TYPE}, list_page(items, link))


def page_answer(call: Call, entries: Mapping[str, T], write: Callable[[T], bytes]) -> Response:
    """A page of `entries`, in the order of their keys and each as `write` has it, with the link to the next one."""
    size = rules.page_size(call.request)
    keys, following = page(sorted(entries), marker_of(call.request)[0], size)
    items = [write(entries[key]) for key in keys]
    return list_answer(call, items, {"NextMarker": following} if following else None, size)


def marker_of(request: Request) -> tuple[str, bool]:
    """Where the page starts, and whether its empty predecessor was given already."""
    text = request.query.get("$skiptoken", "")
    if not text:
        return "", False
    try:
        token = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return str(token["NextMarker"]), bool(token.get("Skipped"))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise answers.bad_parameter("The request URI contains an invalid $skiptoken.") from None


@dataclass(frozen=True)
class Operation:
    """An operation: its name in the log, its place on the wire, and what a caller needs for it.

    `permission` is an access policy's: of secrets without a prefix, else such as "keys/list".
    """

    name: str
    method: str
    path: re.Pattern[str]
    data_action: str
    permission: str
    run: Callable[[Call], Response]


def operation(
    name: str, method: str, path: str, data_action: str, permission: str, run: Callable[[Call], Response]
) -> Operation:
    """An operation; in `path`, "{n}" stands for a name and "{v}" for a version."""
    pattern = path.replace("{n}", "(?P<name>[^/]*)").replace("{v}", "(?P<version>[^/]*)")
    return Operation(name, method, re.compile(pattern), data_action, permission, run)
