"""Entries as CloudEvents 1.0 in JSON: one in structured mode, or several as a batch. Pure.

`data` is the entry as it was sealed: its canonical JSON behind a zero byte has the SHA-256 that `leafhash` says.
"""

import base64
import json
from typing import Any

from audit.ledger.record import timestamp
from orchestration.outgoing.batches import Batch, Event

TYPE = "dev.countersign"
ONE = "application/cloudevents+json; charset=utf-8"
MANY = "application/cloudevents-batch+json; charset=utf-8"


def body(batch: Batch, *, source: str, several: bool) -> bytes:
    """What is posted; `several` makes it a batch, however many it holds."""
    events = [event(one, source=source) for one in batch.events]
    return json.dumps(events if several else events[0], ensure_ascii=False, separators=(",", ":")).encode()


def event(one: Event, *, source: str) -> dict[str, Any]:
    """The envelope and what is in it."""
    made = {
        "specversion": "1.0",
        "id": one.id,
        "source": source,
        "type": f"{TYPE}.{one.kind}",
        "subject": one.subject,
        "time": timestamp(one.at),
        "sequence": place(one.index),
        "previous": None if one.previous is None else place(one.previous),
        "leafhash": one.leaf_hash.hex(),
        "actorname": one.actor_name or None,
    }
    kept = {name: value for name, value in made.items() if value is not None}
    if one.said is None:  # somebody wrote over the entry: what is there now arrives, and the hash of what was
        return {**kept, "data_base64": base64.b64encode(one.body).decode()}
    return {**kept, "datacontenttype": "application/json", "data": one.said}


def place(index: int) -> str:
    """An index as text that sorts like the number, as `sequence` has to."""
    return f"{index:020d}"
