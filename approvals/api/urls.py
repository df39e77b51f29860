"""Addresses of the API about policy and one's own passkeys, below /api/v1/."""

from django.urls import URLPattern, path

from approvals.api import passkeys, views

urlpatterns: list[URLPattern] = [
    path("me/passkeys/", passkeys.Passkeys.as_view()),
    path("me/passkeys/options/", passkeys.PasskeyOptions.as_view()),
    path("me/passkeys/<uuid:key>/revoke/", passkeys.RevokePasskey.as_view()),
    path("policies/", views.Policies.as_view()),
    path("policies/<slug:name>/versions/", views.Versions.as_view()),
    path("policies/<slug:name>/versions/<str:key>/", views.OneVersion.as_view()),
]
