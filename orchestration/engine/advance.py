"""Writes what follows for a run from the states of its steps, under the run's lock. Never starts anything."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from audit.ledger.entry import Actor
from orchestration import lifecycle, reviews
from orchestration.engine import dispatch, events, queue, runs
from orchestration.engine.flow import NO_WAY, Way, following
from orchestration.engine.plan import source_of
from orchestration.models import Change, Run, Step

S, R = Step.State, Run.State
CHANGE_STATE = {
    R.RUNNING: Change.State.RUNNING,
    R.SUCCEEDED: Change.State.SUCCEEDED,
    R.FAILED: Change.State.FAILED,
    R.CANCELLED: Change.State.CANCELLED,
    R.UNKNOWN: Change.State.UNKNOWN,
}


def advance(run: Run, steps: Sequence[Step], *, by: Actor, told: Sequence[events.Event] = ()) -> list[UUID]:
    """Write what follows, under the run's lock, and tell it behind `told`; the steps that became ready."""
    told = list(told)
    way = _way(run, steps)
    cancelling = run.cancel_requested_at is not None
    follows = following(steps, cancelling=cancelling, way=way, outputs=_outputs(run, way))
    told += [runs.omit(step, when=way.says(step.key, "when"), by=by) for step in follows.omitted]
    for to, moved in (
        (S.READY, follows.ready),
        (S.SKIPPED, follows.skipped),
        (S.CANCELLED, follows.cancelled),
    ):
        told += _leave(moved, to, by=by, reason=follows.reason if to == S.SKIPPED else "")
    if follows.run is not None and follows.run != run.state:
        told.append(move_both(run, follows.run, by=by, reason=follows.reason))
    events.tell(run, told)
    return [step.pk for step in follows.ready]


def _leave(steps: Sequence[Step], to: Step.State, *, by: Actor, reason: str) -> list[events.Event]:
    """Bring steps that have not started on, and say why they never will, where they will not."""
    told: dict[str, Any] = {"reason": reason} if reason else {}
    lifecycle.move_steps(steps, to, by=by, columns=told, **told)
    return [(f"step.{to}", {"step": step.key, "attempt": step.attempt, **told}) for step in steps]


def _way(run: Run, steps: Sequence[Step]) -> Way:
    """Read only where a row shows that something is said: a row that hides it is not what was signed, and starts
    nothing."""
    if not any(getattr(step, "has_way", False) for step in steps):
        return NO_WAY
    return Way.of(source_of(run).content)


def _outputs(run: Run, way: Way) -> Mapping[str, Mapping[str, Any]]:
    """What the steps said, where a condition may read it."""
    if not way.asks:
        return {}
    return dict(Step.objects.filter(run=run).exclude(outputs={}).values_list("key", "outputs"))


def move_both(run: Run, to: Run.State, *, by: Actor, reason: str = "") -> events.Event:
    """Bring a run and its change to the same state: they are one to whoever looks. What comes back, and went well,
    awaits its next time; a failure ends it, so that somebody looks before it is asked for again."""
    reason = reason or ("" if to == R.SUCCEEDED else run.reason)
    ended = {"ended_at": Now(), "reason": reason} if lifecycle.is_terminal(to) else {}
    lifecycle.move_run(run, to, by=by, columns=ended, reason=reason)
    if ended:
        queue.call_next(run.lock)
    if run.plan_id is not None:
        return _planned(run, to, reason)
    if to == R.SUCCEEDED and run.occurs_at is not None and runs.follow(run.change, by=by):
        lifecycle.move(run.change, Change.State.SCHEDULED, by=by, run=run.key, reason=reason)
        return (f"run.{to}", {"reason": reason})
    lifecycle.move(run.change, CHANGE_STATE[to], by=by, run=run.key, reason=reason)
    if ended:
        reviews.open_for(run.change, by=by)
    return (f"run.{to}", {"reason": reason})


def _planned(run: Run, to: Run.State, reason: str) -> events.Event:
    """A plan's run decides nothing: of what it found policy is asked, outside of any transaction, by planning.py."""
    if to == R.SUCCEEDED and run.plan_id is not None:
        dispatch.settle(run.plan_id)
    lifecycle.tell(run.change)
    return (f"run.{to}", {"reason": reason})
