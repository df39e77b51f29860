"""What the live page replays: gap-free numbers for each run. Never the truth, only its order."""

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection

from orchestration import notify
from orchestration.models import Run

# The run row is locked by the caller; one statement numbers and stores whatever happened together.
_TELL = """
    WITH moved AS (UPDATE orchestration_run SET event_seq = event_seq + %s WHERE id = %s RETURNING event_seq)
    INSERT INTO orchestration_runevent (run_id, seq, kind, payload, at)
    SELECT %s, moved.event_seq - %s + told.place, told.kind, told.payload::jsonb, clock_timestamp()
      FROM moved, unnest(%s::text[], %s::text[]) WITH ORDINALITY AS told(kind, payload, place)
"""

Event = tuple[str, dict[str, Any]]


def tell(run: Run, events: Sequence[Event]) -> None:
    """Number and store these events of a locked run, and hint at the last of them."""
    if not events:
        return
    count, kinds = len(events), [kind for kind, _ in events]
    payloads = [json.dumps(payload) for _, payload in events]
    with connection.cursor() as cursor:
        cursor.execute(_TELL, [count, run.pk, run.pk, count, kinds, payloads])
    run.event_seq += count
    notify.hint(notify.run_topic(run.pk), run.event_seq, "events")
