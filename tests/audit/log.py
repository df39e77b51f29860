"""A log to test with: entries written as the product writes them, placed and signed in this process."""

import time
from itertools import count
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.db import connection, transaction

from audit.canonical import uuid7
from audit.ledger import checkpoint
from audit.ledger.entry import system
from audit.ledger.record import record
from audit.ledger.sequencer import Sequencer
from audit.models import Checkpoint, Coupled, Entry

TESTER = system("system:test")
_numbers = count()


class Subject(Coupled):
    """A governed thing without a table of its own."""

    class Meta:
        managed = False
        app_label = "audit"


def write(number=1, kind="test.happened", **data):
    """So many entries, each in its own stream."""
    with transaction.atomic():
        return [
            record(kind, of=None, subject=f"T-{next(_numbers)}", actor=TESTER, **data) for _ in range(number)
        ]


def stream(versions):
    """One stream with so many versions."""
    subject = Subject(id=uuid7(), version=0)
    with transaction.atomic():
        for version in range(1, versions + 1):
            subject.version = version
            record("test.moved", of=subject, subject="T-S", actor=TESTER)
    return list(Entry.objects.filter(stream=subject.pk).order_by("stream_version"))


def sequence(signer=None):
    """Place and sign everything, as a sequencer that has just been started; the signer is in this process."""
    if signer is None:
        signer = checkpoint.keeper()
        signer.forget()  # whatever an earlier test has had signed
    sequencer = Sequencer.start(signer.answer)
    while sequencer.integrate():
        pass
    sequencer.sign(now=time.monotonic())
    return sequencer


def address(role):
    """This test's database, as another role of it connects."""
    parts = urlsplit(settings.DATABASE_URL)
    host = dict(parse_qsl(parts.query))["host"]
    name = connection.settings_dict["NAME"]
    return urlunsplit(("postgres", f"{role}@", f"/{name}", urlencode({"host": host}), ""))


def newest() -> Checkpoint:
    """The newest checkpoint, which there must be."""
    found = checkpoint.newest()
    assert found is not None
    return found


def as_insider(sql, *values):
    """Run SQL as somebody who may switch the database's own guards off."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)
        return cursor.rowcount
