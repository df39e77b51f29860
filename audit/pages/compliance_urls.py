"""Addresses of the compliance pages."""

from collections.abc import Callable

from django.http import HttpRequest
from django.urls import URLPattern, path

from audit.ledger.entry import Actor
from audit.pages import compliance


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("compliance/", compliance.index, name="compliance"),
        path("compliance/controls/<str:key>/", compliance.detail, name="control"),
        path("compliance/controls/<str:key>/export/", compliance.exporter(actor_of)),
    ]
