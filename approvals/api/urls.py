"""Addresses of the API about policy, freezes and windows, below /api/v1/."""

from django.urls import URLPattern, path

from approvals.api import passkeys, periods, views


def urls(known: periods.KnownSlugs, seen: periods.SeenSlugs) -> list[URLPattern]:
    """`known` says which slugs there are: a freeze of a misspelt one would freeze nothing; `seen`, who sees which."""
    return [
        path("me/passkeys/", passkeys.Passkeys.as_view()),
        path("me/passkeys/options/", passkeys.PasskeyOptions.as_view()),
        path("me/passkeys/<uuid:key>/revoke/", passkeys.RevokePasskey.as_view()),
        path("policies/", views.Policies.as_view()),
        path("policies/<slug:name>/versions/", views.Versions.as_view()),
        path("policies/<slug:name>/versions/<str:key>/", views.OneVersion.as_view()),
        path("freezes/", periods.Freezes.as_view(known=known, seen=seen)),
        path("freezes/<uuid:key>/", periods.OneFreeze.as_view(seen=seen)),
        path("windows/", periods.Windows.as_view(known=known, seen=seen)),
        path("windows/<uuid:key>/", periods.OneWindow.as_view(seen=seen)),
    ]
