"""Addresses of the API about people, below /api/v1/."""

from django.urls import URLPattern, path

from accounts.api import access_reviews, delegations, views

urlpatterns: list[URLPattern] = [
    path("me/", views.Me.as_view()),
    path("me/delegations/", delegations.Delegations.as_view()),
    path("me/delegations/<uuid:pk>/end/", delegations.EndDelegation.as_view()),
    path("me/tokens/", views.Tokens.as_view()),
    path("me/tokens/<str:token>/revoke/", views.RevokeToken.as_view()),
    path("machines/", views.Machines.as_view()),
    path("machines/<str:machine>/narrow/", views.NarrowMachine.as_view()),
    path("access-reviews/", access_reviews.AccessReviews.as_view()),
    path("access-reviews/<uuid:pk>/decisions/", access_reviews.DecideAccess.as_view()),
    path("access-reviews/<uuid:pk>/complete/", access_reviews.CompleteReview.as_view()),
    path("teams/", views.Teams.as_view()),
    path("teams/<str:key>/", views.OneTeam.as_view()),
]
