"""The audit pages: mounted at /audit/ by kvadmin/urls.py."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from audit.views import charts, coverage, events, export, findings, leavers, ledger, names, people, saved

urlpatterns: list[URLPattern | URLResolver] = [
    path("", events.timeline, name="audit"),
    path("events/<int:event_id>/", events.event, name="audit-event"),
    path("export/", export.events, name="audit-export"),
    path("charts/", charts.charts, name="audit-charts"),
    path("findings/", findings.finding_list, name="findings"),
    path("findings/acknowledge/", findings.acknowledge, name="acknowledge"),
    path("findings/<int:finding_id>/", findings.finding, name="finding"),
    path("people/<path:who>/", people.person, name="audit-person"),
    path("secrets/<str:vault>/<str:secret>/", people.secret, name="audit-secret"),
    path("leavers/", leavers.leaver, name="leavers"),
    path("leavers/export/", leavers.export_list, name="leavers-export"),
    path("names/", names.name_list, name="names"),
    path("views/", saved.save, name="save-view"),
    path("views/<int:view_id>/delete/", saved.delete, name="delete-view"),
    path("coverage/", coverage.coverage, name="coverage"),
    path("coverage/backfill/", coverage.fill, name="backfill"),
    path("ledger/", ledger.entries, name="ledger"),
    path("ledger/verify/", ledger.verify, name="verify-ledger"),
    path("ledger/export/", export.entries, name="ledger-export"),
]
