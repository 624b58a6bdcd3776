"""Sessions: the engine that Django stores them with, what ends them by the clock, and ending them by hand.

A session is over after KVADMIN_SESSION_IDLE_MINUTES without use, and after KVADMIN_SESSION_HOURS in any case.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.backends import db
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone

from audit import ledger
from kvadmin import actions as a
from kvadmin import crypto
from vaults.models import Person, Session

_STARTED_AT = "started_at"
_PURPOSE = "sessions"
TOUCH_SECONDS = 60  # the last use is known to the minute: a write for each request would cost more than it tells


@receiver(user_logged_in, dispatch_uid="kvadmin-session-start")
def start(sender: object, request: HttpRequest, **kwargs: Any) -> None:
    """The absolute limit counts from here. Whoever proved anew who they are gets a new key, too."""
    if _STARTED_AT in request.session:
        request.session.cycle_key()
    request.session[_STARTED_AT] = timezone.now().timestamp()


def digest(session_key: str) -> str:
    """What the table holds of a session's key: 160 bits of its SHA-256."""
    return hashlib.sha256(session_key.encode()).hexdigest()[:40]


class SessionStore(db.SessionStore):
    """Django's own engine, with limits, digests instead of keys, and columns that tell a session from another.

    `row` is what was loaded. `address` and `browser` are told by kvadmin.middleware.SessionUseMiddleware.
    """

    row: Session | None = None
    address = browser = ""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def _get_session_from_db(self) -> Session | None:
        live = Session.objects.filter(session_key=digest(self.session_key or ""), expire_date__gt=timezone.now())
        self.row = live.order_by().first()
        if self.row is None:
            self._session_key = None
        return self.row

    def encode(self, session_dict: dict[str, Any]) -> str:
        """The session's content is encrypted: it may hold a token, or the secret of a second factor in the making."""
        return crypto.encrypt(super().encode(session_dict), _PURPOSE)

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        """An unreadable session is empty, as Django does it with one whose signature is wrong."""
        text = session_data.decode() if isinstance(session_data, bytes) else session_data
        try:
            found: dict[str, Any] = super().decode(crypto.decrypt(text, _PURPOSE))
        except crypto.Unreadable:
            return {}
        return found

    def exists(self, session_key: str) -> bool:
        return super().exists(digest(session_key))

    def delete(self, session_key: str | None = None) -> None:
        if key := session_key or self.session_key:
            Session.objects.filter(session_key=digest(key)).delete()

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        now = timezone.now()
        started = _moment(data.get(_STARTED_AT), now)
        return Session(
            session_key=digest(self._get_or_create_session_key()),  # type: ignore[attr-defined] # of Django's own
            session_data=self.encode(data),
            person_id=data.get(SESSION_KEY),
            started_at=started,
            used_at=now,
            expire_date=_ends(started, now),
            address=self.address,
            browser=self.browser,
        )

    def touch(self) -> None:
        """Note that a person uses this session now. At most once a minute, unless it is from elsewhere."""
        row, now = self.row, timezone.now()
        if row is None or row.person_id is None or self.modified:
            return
        fresh = now - row.used_at < timedelta(seconds=TOUCH_SECONDS)
        if fresh and row.address in {"", self.address}:
            return
        ends = _ends(row.started_at, now)
        Session.objects.filter(pk=row.pk).update(
            used_at=now, expire_date=ends, address=self.address, browser=self.browser
        )


def _moment(seconds: object, otherwise: datetime) -> datetime:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, float) else otherwise


def _ends(started: datetime, used: datetime) -> datetime:
    idle = timedelta(minutes=settings.KVADMIN_SESSION_IDLE_MINUTES)
    return min(used + idle, started + timedelta(hours=settings.KVADMIN_SESSION_HOURS))


# --- Listing and ending ----------------------------------------------------------------------------------------------
def live(person: Person) -> QuerySet[Session]:
    """The sessions in which this person is signed in, the last used first."""
    return person.sessions.filter(expire_date__gt=timezone.now())


def owner(request: HttpRequest) -> int | None:
    """The id of whoever is signed in, or was until the session that the browser still names was over; else None."""
    if request.user.pk:
        return int(request.user.pk)
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    return Session.objects.filter(pk=digest(key)).values_list("person_id", flat=True).first()


def is_current(request: HttpRequest, session: Session) -> bool:
    return session.pk == digest(request.session.session_key or "")


def end(actor: ledger.Actor, person: Person, sessions: QuerySet[Session], *, reason: str = "") -> int:
    """End these sessions of this person, on record; how many. Of none there is nothing to record."""
    with transaction.atomic():
        ended = [str(session) for session in sessions.select_for_update()]
        sessions.filter(person=person).delete()
        if ended:
            whose = "their own sessions" if actor.id == str(person.pk) else f"sessions of {person} ({person.username})"
            ledger.record(
                a.SESSION_REVOKE, actor, reason=reason, note=f"Ended {len(ended)} of {whose}: {'; '.join(ended)}."
            )
    return len(ended)
