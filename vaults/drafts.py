"""What a form held when it could not be taken: its sender signs in (again), and nothing typed is lost.

Only fields that are named here are kept, so that no value can be: a new field of a form is lost until it is named, and
a value never is. What is kept lies in the session for ten minutes, for the person who typed it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.urls import reverse

from audit import clock
from kvadmin.http import Request, is_small
from vaults import sessions

KEPT = (
    "reason", "ticket", "minutes", "use", "comment", "note", "username", "holder", "role", "mode", "scope_kind",
    "environment", "subscription", "vault", "prefix", "name", "approvals_needed", "ticket_pattern", "verdict",
    "not_before", "expires_on", "lines", "text",
)  # fmt: skip
_NOT_TYPED = ("csrfmiddlewaretoken", "next", "seen", "version")
KEPT_SECONDS = 600
# Of one text; and of all together where nobody knows whose they are. What is longer is not kept at all, never by half.
MOST_CHARACTERS = 10_000
_DRAFT = "draft"


def keep(request: HttpRequest, back: str) -> None:
    """Keep what this POST held for the page `back`. Raises nothing: a draft is a courtesy."""
    sent = request.POST.items() if is_small(request) else ()  # a file that its page still has, and nobody has read yet
    typed = {name: text for name, text in sent if text and name not in _NOT_TYPED}
    owner = sessions.owner(request)
    fields = {name: text for name, text in typed.items() if name in KEPT and len(text) <= MOST_CHARACTERS}
    if owner is None and sum(map(len, fields.values())) > MOST_CHARACTERS:
        fields = {}  # nobody that was here: or any stranger fills the table of sessions
    request.session[_DRAFT] = {
        "back": urlsplit(back).path,
        "action": request.path,
        "at": clock.now().timestamp(),
        "person": owner,
        "fields": fields,
        # A script sends a value as JSON, and nothing is read of that.
        "all": is_small(request) and fields.keys() == typed.keys() and _is_plain(request),
    }


def _is_plain(request: HttpRequest) -> bool:
    return not request.FILES and request.content_type != "application/json"


def outlive(request: HttpRequest, end: Callable[[HttpRequest], None]) -> None:
    """End the session by `end`; what is kept waits in the new one, for the same person."""
    kept = request.session.get(_DRAFT)
    end(request)
    if kept:
        request.session[_DRAFT] = kept


def is_ours(request: HttpRequest) -> bool:
    """Whether the browser says that a page of kvadmin sent this: no other site may put text into somebody's form."""
    own = f"{request.scheme}://{request.get_host()}"
    return request.headers.get("Origin") == own or request.headers.get("Sec-Fetch-Site") == "same-origin"


def of_page(request: HttpRequest, back: str = "") -> dict[str, Any]:
    """What is kept for this page (or for `back`): `fields`, the form's `action`, and whether that is `all`; or {}."""
    kept = request.session.get(_DRAFT) or {}
    if kept.get("back") != (back or request.path) or clock.now().timestamp() - kept["at"] >= KEPT_SECONDS:
        return {}
    return dict(kept) if kept["person"] in {None, request.user.pk} else {}


def waits(request: HttpRequest) -> bool:
    """Whether something is kept until somebody signs in."""
    kept = request.session.get(_DRAFT) or {}
    return bool(kept) and clock.now().timestamp() - kept["at"] < KEPT_SECONDS


def forget(request: HttpRequest) -> None:
    """The form was sent and taken."""
    request.session.pop(_DRAFT, None)


def before(request: HttpRequest) -> dict[str, Any] | None:
    """What was kept of this form before it came again; for a middleware, which gives it to `forget_taken`."""
    kept = request.session.get(_DRAFT) or {}
    return kept if kept.get("action") == request.path else None


def forget_taken(request: HttpRequest, earlier: dict[str, Any]) -> None:
    """This form was taken now, unless it was kept anew meanwhile."""
    if request.session.get(_DRAFT) == earlier:
        forget(request)


def page_of(request: Request) -> str:
    """The page that sent this request, as an address of this host: what one comes back to after signing in."""
    if request.htmx:  # None when the page is another host's, or unknown
        return request.htmx.current_url_abs_path or reverse("home")
    if request.method in {"GET", "HEAD"}:
        return request.get_full_path()
    try:
        parts = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return reverse("home")
    ours = parts.netloc == request.get_host() and parts.path.startswith("/") and not parts.path.startswith("//")
    return parts._replace(scheme="", netloc="", fragment="").geturl() if ours else reverse("home")
