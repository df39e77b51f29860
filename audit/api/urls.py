"""Addresses of the API of the log and of its reports, below /api/v1/."""

from collections.abc import Callable

from django.urls import URLPattern, path
from rest_framework.request import Request

from audit.api import reports, views
from audit.ledger.entry import Actor


def urls(actor_of: Callable[[Request], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("audit/entries/", views.Entries.as_view()),
        path("audit/entries/<int:index>/", views.OneEntry.as_view()),
        path("audit/entries/<int:index>/proof", views.Proof.as_view()),
        path("audit/consistency", views.Consistency.as_view()),
        path("reports/controls/", reports.Controls.as_view()),
        path("reports/controls/<str:key>/", reports.OneControl.as_view()),
        path("reports/controls/<str:key>/evidence/", reports.ControlEvidence.as_view()),
        path("audit/bundle", views.Bundle.as_view(actor_of=actor_of)),
    ]
