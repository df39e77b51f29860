"""Addresses of the API of the log and of its reports, below /api/v1/."""

from django.urls import URLPattern, path

from audit.api import reports, views

urlpatterns: list[URLPattern] = [
    path("audit/entries/", views.Entries.as_view()),
    path("audit/entries/<int:index>/", views.OneEntry.as_view()),
    path("audit/entries/<int:index>/proof", views.Proof.as_view()),
    path("audit/consistency", views.Consistency.as_view()),
    path("reports/controls/", reports.Controls.as_view()),
    path("reports/controls/<str:key>/", reports.OneControl.as_view()),
    path("reports/controls/<str:key>/evidence/", reports.ControlEvidence.as_view()),
]
