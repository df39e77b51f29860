"""The times of a change that comes back, each with the run that it made. It must never make one."""

from typing import Any

from approvals.calendar.words import words
from approvals.clock import database_time
from orchestration.asking import window_of
from orchestration.models import Change, Plan, Revision

AHEAD = 5  # times to come that are shown


def context(change: Change, revision: Revision | Plan) -> dict[str, Any]:
    """Empty for a change that runs once."""
    repeats = window_of(revision).repeats
    if repeats is None or isinstance(revision, Plan):
        return {}
    runs = {run.occurs_at: run for run in change.runs.filter(revision=revision)}
    now = database_time()
    past = [one for one in repeats.occurrences if one.end <= now or one.start in runs]
    coming = [one for one in repeats.occurrences if one not in past]
    return {
        "repeats": words(repeats),
        "times": [
            {"start": one.start, "end": one.end, "run": runs.get(one.start)}
            for one in [*past, *coming[:AHEAD]]
        ],
        "more": max(0, len(coming) - AHEAD),
    }
