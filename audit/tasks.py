"""Celery's door: keep the log outside. Losing a call costs an hour."""

from celery import shared_task
from django.db import close_old_connections

from audit.archive import writing


@shared_task(name="audit.keep")
def keep() -> None:
    """Each hour; it is done once a day, and nothing where nothing is set."""
    close_old_connections()
    writing.nightly()
