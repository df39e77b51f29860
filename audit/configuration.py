"""What a deployment brings along and no entry would tell: how long things are kept, and what control tests say.

It is written down once, and again whenever it is otherwise: the log shows since when.
"""

from typing import Any

from django.conf import settings
from django.db import connection, transaction

from audit.canonical import digest, parse
from audit.controls.catalogue import controls
from audit.ledger.entry import system
from audit.ledger.record import record
from audit.models import Entry

SUBJECT, BY = "countersign", system("system:configuration")
ONE_AT_A_TIME = 0x636F6E6667  # an advisory lock: two workers tell it once


def tell() -> None:
    """Write it down if it is not what was told last. A number of days that is 0 means for ever."""
    now = current()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
        last = Entry.objects.filter(subject=SUBJECT, kind="configuration.told").order_by("-id").first()
        if last is None or parse(bytes(last.body))["data"] != now:
            record("configuration.told", of=None, subject=SUBJECT, actor=BY, **now)


def current() -> dict[str, Any]:
    """As this process is configured."""
    kept = {
        "logs": settings.LOG_DAYS,
        "exports": settings.EXPORT_DAYS,
        "archive": settings.ARCHIVE_DAYS,
        "evidence": settings.EVIDENCE_YEARS * 365,
    }
    said = [one.digest for one in controls().values()]
    return {"kept": kept, "definitions": digest("countersign/controls/v1", said)}
