"""The audit pages: mounted at /audit/ by kvadmin/urls.py."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from audit.views import events, ledger

urlpatterns: list[URLPattern | URLResolver] = [
    path("", events.timeline, name="audit"),
    path("events/<int:event_id>/", events.event, name="audit-event"),
    path("ledger/", ledger.entries, name="ledger"),
    path("ledger/verify/", ledger.verify, name="verify-ledger"),
]
