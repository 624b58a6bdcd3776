"""The audit pages: mounted at /audit/ by kvadmin/urls.py."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from audit.views import coverage, events, export, ledger

urlpatterns: list[URLPattern | URLResolver] = [
    path("", events.timeline, name="audit"),
    path("events/<int:event_id>/", events.event, name="audit-event"),
    path("export/", export.events, name="audit-export"),
    path("coverage/", coverage.coverage, name="coverage"),
    path("coverage/backfill/", coverage.fill, name="backfill"),
    path("ledger/", ledger.entries, name="ledger"),
    path("ledger/verify/", ledger.verify, name="verify-ledger"),
    path("ledger/export/", export.entries, name="ledger-export"),
]
