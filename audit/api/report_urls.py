"""Addresses of the control reports, below /api/v1/."""

from django.urls import URLPattern, path

from audit.api import reports

urlpatterns: list[URLPattern] = [
    path("reports/controls/", reports.Controls.as_view()),
    path("reports/controls/<str:key>/", reports.OneControl.as_view()),
    path("reports/controls/<str:key>/evidence/", reports.ControlEvidence.as_view()),
]
