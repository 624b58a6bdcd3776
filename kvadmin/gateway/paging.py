"""Lists that come in pages, and a bounded patience with a service that fails for a moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from azure.core.rest import HttpResponse

from kvadmin.gateway.classify import Need, from_response
from kvadmin.gateway.errors import GatewayError, ServerError, Throttled, Unreachable, error_for

T = TypeVar("T")
# A vault of a million secrets has 40,000 pages; a list that goes on beyond is no list.
MOST_PAGES = 100_000


@dataclass(frozen=True)
class Patience:
    """How often a call is tried, and how many seconds at most lie between two tries.

    A sweep runs where nobody waits, so it may pause; it obeys Retry-After, but only up to `longest`.
    """

    tries: int = 3
    longest: float = 20.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns, tried again when Azure throttles, fails by itself or is out of reach.

        Raises:
            GatewayError: that of the last try, or at once one that time does not heal.
        """
        return self._call(work, lambda error: error.code != "dns")

    def certain(self, work: Callable[[], T]) -> T:
        """What `work`, which changes something, returns; tried again only when Azure certainly did nothing: it
        throttled the call, or no connection was made.

        Raises:
            GatewayError: that of the last try, or at once one after which the change may have been made.
        """
        return self._call(work, lambda error: error.code == "throttled" or (error.definite and error.code != "dns"))

    def _call(self, work: Callable[[], T], heals: Callable[[GatewayError], bool]) -> T:
        for attempt in range(1, self.tries):
            try:
                return work()
            except (Throttled, ServerError, Unreachable) as error:
                if not heals(error):
                    raise
                pause = self._pause(attempt, error)
            self.sleep(pause)
        return work()

    def _pause(self, attempt: int, error: GatewayError) -> float:
        """1, 2, 4, ... seconds, or as many as Azure asked for."""
        wanted = error.retry_after if error.retry_after is not None else 2 ** (attempt - 1)
        return min(float(wanted), self.longest)


SWEEP = Patience()
AT_ONCE = Patience(tries=1)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its items as Azure sent them, and the address of the next one, or ""."""

    items: list[dict[str, Any]]
    next_link: str


def read_page(response: HttpResponse, host: str, need: Need) -> Page:
    """The page that an answer holds. To be called inside `classify.call`, which sorts a malformed one out.

    Raises:
        GatewayError: the answer is an error, no page, or points to another host than the one that gave it.
    """
    if response.status_code != 200:
        raise from_response(response, need)
    body = json.loads(response.content)
    items, link = body["value"], body.get("nextLink") or ""
    if not isinstance(items, list) or (link and not _leads_to(link, host)):
        raise error_for("bad-answer", status=200)
    return Page(items, link)


def _leads_to(link: str, host: str) -> bool:
    """Whether the address stays at the host: kvadmin would send it a token. Key Vault spells the port 443 out."""
    parts = urlsplit(link)
    return parts.scheme == "https" and parts.netloc.lower().removesuffix(":443") == host


def follow(fetch: Callable[[str], Page], first: str) -> Iterator[list[dict[str, Any]]]:
    """The items page by page, until there is no next link: an empty page in the middle is no end.

    Raises:
        BadAnswer: a link came a second time, or there are more than MOST_PAGES of them.
        GatewayError: whatever `fetch` raises.
    """
    link, seen = first, set[str]()
    while link:
        if link in seen or len(seen) >= MOST_PAGES:
            raise error_for("bad-answer", sentence="The list repeats itself without an end, so it was not used.")
        seen.add(link)
        page = fetch(link)
        link = page.next_link
        if page.items:
            yield page.items
