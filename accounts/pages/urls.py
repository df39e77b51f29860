"""Addresses of the pages about people."""

from allauth.account import views as allauth
from django.urls import URLPattern, path

from accounts.pages import access_reviews, away, confirm, demo, me, people

urlpatterns: list[URLPattern] = [
    path("accounts/login/", allauth.login, name="account_login"),
    path("accounts/logout/", allauth.logout, name="account_logout"),
    path("accounts/password/change/", allauth.password_change, name="account_change_password"),
    path("me/", me.profile, name="me"),
    path("me/tokens/", me.create_token, name="create_token"),
    path("me/tokens/<str:token>/revoke/", me.revoke_token, name="revoke_token"),
    path("me/machines/<str:machine>/narrow/", me.narrow, name="narrow_machine"),
    path("me/sessions/<str:handle>/end/", me.end_session, name="end_session"),
    path("me/away/", away.away, name="away"),
    path("me/away/<uuid:pk>/end/", away.end, name="end_delegation"),
    path("me/confirm/", confirm.confirm, name="confirm"),
    path("me/theme/", me.theme, name="theme"),
    path("people/", people.people, name="people"),
    path("people/reviews/", access_reviews.index, name="access_reviews"),
    path("people/reviews/<uuid:pk>/", access_reviews.detail, name="access_review"),
    path("people/reviews/<uuid:pk>/decide/", access_reviews.decide, name="decide_access"),
    path("people/reviews/of/<slug:slug>/", access_reviews.begin, name="begin_access_review"),
    path("welcome/", demo.welcome, name="welcome"),
    path("demo/persona/", demo.persona, name="persona"),
]
