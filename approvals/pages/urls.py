"""Addresses of the pages about policy, and about one's own passkeys."""

from django.urls import URLPattern, path

from approvals.pages import commits, passkeys, policies

urlpatterns: list[URLPattern] = [
    path("me/passkeys/", passkeys.passkeys, name="passkeys"),
    path("me/passkeys/<uuid:key>/revoke/", passkeys.revoke, name="revoke_passkey"),
    path("policies/", policies.index, name="policies"),
    path("policies/sync/", commits.sync, name="policy_sync"),
    path("policies/commits/<str:commit>/", commits.detail, name="policy_commit"),
    path("policies/change/", policies.detail, name="policy"),
    path("policies/change/<int:serial>/", policies.detail, name="policy_version"),
]
