"""Addresses of the log: for readers below /audit/ and /compliance/, for monitors below /audit/log/."""

from collections.abc import Callable

from django.http import HttpRequest
from django.urls import URLPattern, path

from audit.ledger.entry import Actor
from audit.pages import compliance, explorer, exports, log, metrics, samples, testing, tlog, trail


def urls(actor_of: Callable[[HttpRequest], Actor]) -> list[URLPattern]:
    """`actor_of` names who sent a request: accounts live above."""
    return [
        path("audit/", log.log, name="audit"),
        path("audit/news/", log.news),
        path("audit/views/", log.save),
        path("audit/views/<str:key>/forget/", log.forget),
        path("audit/export/", log.exporter(actor_of)),
        path("audit/checkpoints/", explorer.checkpoints),
        path("audit/checkpoints/<int:size>.tsr", explorer.stamp),
        path("audit/checkpoints/<int:size>.note", explorer.note),
        path("audit/verify.py", explorer.verifier),
        path("audit/trust.json", explorer.trust),
        path("audit/bundle/", explorer.bundler(actor_of)),
        path("audit/<int:index>/", explorer.entry, name="entry"),
        path("audit/<int:index>/within/", explorer.within),
        path("audit/<int:index>/entry.json", explorer.body),
        path("audit/<int:index>/proof", explorer.proof),
        path("audit/log/checkpoint", tlog.newest),
        path("audit/log/key", tlog.key),
        path("audit/log/keys", tlog.steps),
        path("audit/log/tile/<int:level>/<path:place>", tlog.tile),
        path("compliance/", compliance.index, name="compliance"),
        path("compliance/controls/<str:key>/", compliance.detail, name="control"),
        path("compliance/controls/<str:key>/evidence/<str:item>/", trail.detail, name="evidence"),
        path("compliance/controls/<str:key>/export/", compliance.exporter(actor_of)),
        *exports.urls(actor_of),
        *metrics.urls(actor_of),
        *samples.urls(actor_of),
        *testing.urls(actor_of),
    ]
