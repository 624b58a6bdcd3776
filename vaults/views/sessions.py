"""Sessions: one's own, and, for an administrator of everything, anybody's."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from kvadmin import actions as a
from kvadmin.http import Request
from vaults import policy, sessions
from vaults.models import Person, Session
from vaults.session_forms import EndSessionsForm, RevokeSessionsForm
from vaults.views.roles import signed_in

GONE = "None of these sessions is there any more."


@dataclass(frozen=True, slots=True)
class Row:
    """A session as the list shows it."""

    session: Session
    is_current: bool
    picked: bool


def _rows(request: Request, listed: QuerySet[Session], picked: list[str]) -> list[Row]:
    return [Row(session, sessions.is_current(request, session), session.pk in picked) for session in listed]


@require_safe
def session_list(request: Request) -> HttpResponse:
    return _page(request, signed_in(request), EndSessionsForm(sessions.live(signed_in(request))))


@require_POST
def end_sessions(request: Request) -> HttpResponse:
    """End some or all of one's own; with the one that this was sent from, one lands on the sign-in page."""
    me = signed_in(request)
    form = EndSessionsForm(sessions.live(me), request.POST)
    if not form.is_valid():
        return _page(request, me, form, status=422)
    _tell(request, sessions.end(policy.actor(request), me, form.ended))
    here = sessions.live(me).filter(pk=sessions.digest(request.session.session_key or "")).exists()
    if not here:
        request.session.flush()
    return redirect("sessions" if here else "sign-in")


@require_http_methods(["GET", "POST"])
def person_sessions(request: Request, person_id: int) -> HttpResponse:
    policy.require_everywhere(request, a.SESSION_REVOKE)
    somebody = get_object_or_404(Person, pk=person_id)
    form = RevokeSessionsForm(sessions.live(somebody), request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        reason = form.cleaned_data["reason"]
        _tell(request, sessions.end(policy.actor(request), somebody, form.ended, reason=reason))
        return redirect("person-sessions", somebody.pk)
    return _page(request, somebody, form, status=422 if form.errors else 200)


def _tell(request: Request, ended: int) -> None:
    if ended:
        messages.success(request, f"{ended} session{'s' if ended != 1 else ''} ended.")
    else:
        messages.info(request, GONE)


def _page(request: Request, somebody: Person, form: EndSessionsForm, *, status: int = 200) -> HttpResponse:
    rows = _rows(request, form.listed, form.picked)
    limits = {"idle": settings.KVADMIN_SESSION_IDLE_MINUTES, "hours": settings.KVADMIN_SESSION_HOURS}
    context = {"rows": rows, "form": form, "somebody": somebody, **limits}
    template = "vaults/person_sessions.html" if isinstance(form, RevokeSessionsForm) else "vaults/sessions.html"
    return render(request, template, context, status=status)
