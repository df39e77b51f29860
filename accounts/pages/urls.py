"""Addresses of the pages about people."""

from allauth.account import views as allauth
from django.urls import URLPattern, path

from accounts.pages import demo

urlpatterns: list[URLPattern] = [
    path("accounts/login/", allauth.login, name="account_login"),
    path("accounts/logout/", allauth.logout, name="account_logout"),
    path("welcome/", demo.welcome, name="welcome"),
    path("demo/persona/", demo.persona, name="persona"),
]
