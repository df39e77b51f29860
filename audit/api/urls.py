"""Addresses of the API of the log and of its reports, below /api/v1/."""

from collections.abc import Callable

from django.urls import URLPattern, URLResolver, include, path
from rest_framework.request import Request

from audit.api import exports, metrics, reports, views
from audit.ledger.entry import Actor


def urls(actor_of: Callable[[Request], Actor], once: exports.Once) -> list[URLPattern | URLResolver]:
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
        path("audit/bundle", views.Bundle.as_view(actor_of=actor_of)),
    ]
