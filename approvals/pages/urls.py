"""Addresses of the pages about policy."""

from django.urls import URLPattern, path

from approvals.pages import policies

urlpatterns: list[URLPattern] = [
    path("policies/", policies.index, name="policies"),
    path("policies/change/", policies.detail, name="policy"),
    path("policies/change/<int:serial>/", policies.detail, name="policy_version"),
]
