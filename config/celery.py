"""Celery carries wake-ups, never truth: a lost message costs seconds, a duplicate one costs a query."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("countersign")
app.config_from_object("config.celeryconfig")
app.autodiscover_tasks(["orchestration"])
