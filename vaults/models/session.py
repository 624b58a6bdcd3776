"""A browser's session as it is stored: whose, since when, when and from where it was last used."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone


class Session(AbstractBaseSession):
    """One row for each session, so that ending one is deleting its row.

    `session_key` holds a digest of the key that the browser's cookie has: a copy of the table opens no session. The
    address and the browser are those of the last use alone; nothing tells where a session was before.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="sessions")
    started_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(default=timezone.now)
    address = models.CharField(max_length=45, blank=True)
    browser = models.CharField(max_length=60, blank=True)

    class Meta(AbstractBaseSession.Meta):
        ordering = ["-used_at", "session_key"]

    @classmethod
    def get_session_store_class(cls) -> type[SessionStore]:
        from vaults.sessions import SessionStore  # noqa: PLC0415 - it needs the models

        return SessionStore

    def __str__(self) -> str:
        return f"{self.browser or 'An unknown browser'}, {self.address or 'from an unknown address'}"
