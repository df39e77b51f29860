"""What an auditor and the owner of a control test tell each other: entries, whose texts lie beside the log.

There is no table of them. What is erased is said to be; the rest is as everybody wrote it.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from audit.controls.catalogue import Control
from audit.ledger import openings
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.models import Entry
from audit.names import Names
from audit.refusals import Invalid

KIND = "control.commented"
LONGEST = 4000  # characters
MOST = 200  # that are shown, the newest


@dataclass(frozen=True)
class Remark:
    """One of them, as a timeline tells it."""

    entry: UUID
    actor: str
    at: datetime
    said: str
    seq: int | None  # none until it has its place
    verb = "wrote"
    state = "comment"

    @property
    def url(self) -> str:
        return f"/audit/{self.seq}/"


def add(control: Control, text: str, *, by: Actor) -> Entry:
    """Write one; Invalid when it says nothing, or more than fits."""
    text = text.strip().replace("\r\n", "\n")
    plain = all(one.isprintable() for line in text.split("\n") for one in line)
    if not (text and plain and len(text) <= LONGEST):
        words = f"Write 1 to {LONGEST} characters, without control characters."
        raise Invalid(f"The comment was not saved. {words}", errors=[{"pointer": "/text", "detail": words}])
    with transaction.atomic():
        return record(
            "control.commented", of=None, subject=control.id, actor=by, control=control.id, definition=control.digest,
            text=Erasable(text),
        )  # fmt: skip


def of(control: Control) -> list[Remark]:
    """Those of a control test, the oldest first."""
    found = Entry.objects.filter(subject=control.id, kind=KIND).select_related("leaf").order_by("-id")[:MOST]
    entries = list(reversed(found))
    names, said = Names(one.actor for one in entries), openings.datas(entries)
    return [
        Remark(
            one.pk, names.both(one.actor, one.occurred_at) or one.actor, one.occurred_at, str(said[one.pk]["text"]),
            one.leaf.index if hasattr(one, "leaf") else None,
        )
        for one in entries
    ]  # fmt: skip
