"""Addresses of the API of the log and of its reports, below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path

from audit.api import exports, metrics, reports, samples, saved_views, tested, views
from audit.api.door import Once, WhoAsks


def urls(actor_of: WhoAsks, once: Once) -> list[URLPattern | URLResolver]:
    """`actor_of` names who sent a request, `once` answers it once for its key: accounts live above."""
    return [
        path("audit/entries/", views.Entries.as_view()),
        path("audit/entries/<int:index>/", views.OneEntry.as_view()),
        path("audit/entries/<int:index>/proof", views.Proof.as_view()),
        path("audit/consistency", views.Consistency.as_view()),
        path("reports/controls/", reports.Controls.as_view()),
        path("reports/controls/<str:key>/", reports.OneControl.as_view()),
        path("reports/controls/<str:key>/evidence/", reports.ControlEvidence.as_view()),
        path("reports/metrics/", metrics.Metrics.as_view()),
        path("reports/", include(exports.urls(actor_of, once))),
        path("reports/", include(tested.urls(actor_of, once))),
        path("reports/", include(samples.urls(actor_of, once))),
        path("audit/", include(saved_views.urls(actor_of, once))),
        path("audit/export", views.ExportEntries.as_view(actor_of=actor_of)),
        path("audit/bundle", views.Bundle.as_view(actor_of=actor_of)),
    ]
