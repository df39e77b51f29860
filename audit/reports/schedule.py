"""Packs of the month: once a month is over and sealed, its reports are made by themselves, for every reader."""

from datetime import timedelta

from django.conf import settings

from audit.alone import alone
from audit.clock import database_time
from audit.ledger import checkpoint
from audit.ledger.entry import system
from audit.models import Export
from audit.reports import exports
from audit.reports.metrics import month

LOCK = 0x4D6F6E74686C  # advisory lock of whoever asks for the packs
ASKER = system("system:schedule")


def ask_for_last_month() -> list[Export]:
    """Ask for each format of the last month that nobody asked for yet; nothing before all of it is sealed."""
    if not settings.MONTHLY_PACK:
        return []
    with alone(LOCK) as mine:
        end = month(database_time())
        start = month(end - timedelta(days=1))
        signed = checkpoint.latest()
        if not mine or signed is None or signed.created_at < end:
            return []
        period = {"from": start.date().isoformat(), "to": end.date().isoformat()}
        had = Export.objects.filter(actor=ASKER.id, asked__contains=period)
        missing = [
            one for one in settings.MONTHLY_PACK if one not in set(had.values_list("format", flat=True))
        ]
        return [exports.ask({"format": one, **period}, by=ASKER) for one in missing]
