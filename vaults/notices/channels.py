"""A notice to a chat, a webhook or a pager, by Apprise. Its URLs hold credentials and come from the environment only.

Whoever reads such a channel learns the names of vaults and secrets, and who asked.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec

from django.conf import settings
from django.utils.crypto import salted_hmac

from vaults.notices.words import Notice

PAGERS = frozenset({"pagerduty", "opsgenie"})  # they wake somebody up: only an emergency is for them


class ChannelFailed(Exception):
    """A channel did not take a notice. Its text names the kind only, for the URL is a credential."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One of KVADMIN_NOTIFY_URLS: the id by which the queue names it, and its kind."""

    id: str
    kind: str
    url: str

    def __repr__(self) -> str:
        return f"Channel({self.id}, {self.kind})"


def channels() -> list[Channel]:
    """Every channel of the settings; none without Apprise, of which check kvadmin.W004 warns.

    The id is a keyed hash: it tells nothing of the URL, and stays when others go.
    """
    urls = settings.KVADMIN_NOTIFY_URLS
    if not urls or find_spec("apprise") is None:
        return []
    return [Channel(salted_hmac("channel", url).hexdigest()[:16], url.partition("://")[0].lower(), url) for url in urls]


def post(channel: Channel, notice: Notice, *, urgent: bool = False) -> None:
    """Send it. Raises ChannelFailed when the channel refused, could not be reached, or its URL is not understood."""
    import apprise  # noqa: PLC0415 - an optional package, and two seconds to load: the worker alone pays for it

    asset = apprise.AppriseAsset(
        app_id="kvadmin", app_desc="kvadmin", app_url="", image_url_mask="", image_url_logo="", storage_mode="memory",
        http_redirects=False, allow_templates=False, pgp_autogen=False, pem_autogen=False,
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of its own imports
        sender = apprise.Apprise.instantiate(channel.url, asset=asset, suppress_exceptions=True)
    kind = apprise.NotifyType.WARNING if urgent else apprise.NotifyType.INFO
    if not sender or not sender.notify(
        title=notice.subject, body=notice.text, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
    ):
        raise ChannelFailed(f"A channel of kind {channel.kind} did not take a notice.")
