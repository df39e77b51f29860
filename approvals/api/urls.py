"""Addresses of the API about policy and freezes, below /api/v1/."""

from collections.abc import Callable, Collection

from django.urls import URLPattern, path

from approvals.api import passkeys, views


def urls(environments: Callable[[], Collection[str]]) -> list[URLPattern]:
    """`environments` says which slugs there are: a freeze of a misspelt one would freeze nothing."""
    return [
        path("me/passkeys/", passkeys.Passkeys.as_view()),
        path("me/passkeys/options/", passkeys.PasskeyOptions.as_view()),
        path("me/passkeys/<uuid:key>/revoke/", passkeys.RevokePasskey.as_view()),
        path("policies/", views.Policies.as_view()),
        path("policies/simulate/", views.Simulate.as_view()),
        path("policies/<slug:name>/versions/", views.Versions.as_view()),
        path("policies/<slug:name>/versions/<str:key>/", views.OneVersion.as_view()),
        path("freezes/", views.Freezes.as_view(known=environments)),
        path("freezes/<uuid:key>/", views.OneFreeze.as_view()),
    ]
