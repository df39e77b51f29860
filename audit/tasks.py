"""Celery's doors: make exports, have the log examined, seen by others, kept outside. Losing a call costs minutes."""

from uuid import UUID

from celery import shared_task
from django.db import close_old_connections

from audit import configuration
from audit.archive import writing
from audit.ledger import alarm, examined, stamped
from audit.reports import exports, schedule, tested


@shared_task(name=exports.TASK)
def export(id: str) -> None:  # noqa: A002 - the message's own field name
    """Make one."""
    close_old_connections()
    exports.work(UUID(id))


@shared_task(name=tested.TASK)
def test_controls(id: str) -> None:  # noqa: A002 - the message's own field name
    """Run every control test."""
    close_old_connections()
    tested.work(UUID(id))


@shared_task(name="audit.test_daily")
def test_daily() -> None:
    """Once a day; a call that was lost is told again."""
    close_old_connections()
    for key in tested.sweep():
        tested.call(key)
    tested.daily()


@shared_task(name="audit.sweep_exports")
def sweep_exports() -> None:
    """Beat's way to what waits: lost calls, killed workers, files whose time is over, the packs of the last month."""
    close_old_connections()
    schedule.ask_for_last_month()
    for key in exports.sweep():
        exports.call(key)


@shared_task(name="audit.watch")
def watch() -> None:
    """Raise the alarm when the log stands still."""
    close_old_connections()
    alarm.look()


@shared_task(name="audit.keep")
def keep() -> None:
    """Every ten minutes; each is done once a day, or when it is due, and nothing where nothing is set."""
    close_old_connections()
    configuration.tell()
    stamped.daily()
    writing.nightly()


@shared_task(name="audit.examine")
def examine() -> None:
    """Every ten minutes, or less often where it takes long."""
    close_old_connections()
    examined.routinely()
