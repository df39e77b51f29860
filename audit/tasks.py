"""Celery's door: have the log seen by others, and keep it outside. Losing a call costs ten minutes."""

from celery import shared_task
from django.db import close_old_connections

from audit.archive import writing
from audit.ledger import stamped


@shared_task(name="audit.keep")
def keep() -> None:
    """Every ten minutes; each is done once a day, and nothing where nothing is set."""
    close_old_connections()
    stamped.daily()
    writing.nightly()
