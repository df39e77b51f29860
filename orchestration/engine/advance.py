"""What follows for a run from the states of its steps. A pure verdict, computed from scratch, then written.

Computed from scratch each time, so that a missed advance heals. It must never start anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models.functions import Now

from audit.ledger.entry import Actor
from orchestration import lifecycle, reviews
from orchestration.engine import events, queue, runs
from orchestration.models import Change, Run, Step

S, R = Step.State, Run.State
_BROKEN = {S.FAILED, S.TIMED_OUT, S.CANCELLED, S.SKIPPED}
_NOT_STARTED = {S.BLOCKED, S.READY}
CHANGE_STATE = {
    R.RUNNING: Change.State.RUNNING,
    R.SUCCEEDED: Change.State.SUCCEEDED,
    R.FAILED: Change.State.FAILED,
    R.CANCELLED: Change.State.CANCELLED,
    R.UNKNOWN: Change.State.UNKNOWN,
}


@dataclass(frozen=True)
class Following:
    """What the states of the steps demand: of which steps, and of the run."""

    ready: list[Step] = field(default_factory=list)
    skipped: list[Step] = field(default_factory=list)
    cancelled: list[Step] = field(default_factory=list)
    run: Run.State | None = None


def following(steps: Sequence[Step], *, cancelling: bool) -> Following:
    """Stop at the first failure, pause on the first unknown, end when nothing is left to run."""
    states = {step.key: S(step.state) for step in steps}
    waiting = [step for step in steps if step.state in _NOT_STARTED]
    busy = any(state == S.RUNNING for state in states.values())
    doubtful = any(state == S.UNKNOWN for state in states.values())
    if cancelling or any(state in _BROKEN for state in states.values()):
        ended = R.UNKNOWN if doubtful else None if busy else _end(states, cancelling=cancelling)
        return Following(run=ended, **{"cancelled" if cancelling else "skipped": waiting})
    if doubtful:
        return Following(run=R.UNKNOWN)
    ready = [step for step in waiting if step.state == S.BLOCKED and _may_follow(step, states)]
    return Following(ready=ready, run=None if busy or waiting else R.SUCCEEDED)


def advance(run: Run, steps: Sequence[Step], *, by: Actor, told: Sequence[events.Event] = ()) -> list[UUID]:
    """Write what follows, under the run's lock, and tell it behind `told`; the steps that became ready."""
    told = list(told)
    follows = following(steps, cancelling=run.cancel_requested_at is not None)
    for to, moved in (
        (S.READY, follows.ready),
        (S.SKIPPED, follows.skipped),
        (S.CANCELLED, follows.cancelled),
    ):
        for step in moved:
            lifecycle.move_step(step, to, by=by)
            told.append((f"step.{to}", {"step": step.key, "attempt": step.attempt}))
    if follows.run is not None and follows.run != run.state:
        told.append(move_both(run, follows.run, by=by))
    events.tell(run, told)
    return [step.pk for step in follows.ready]


def move_both(run: Run, to: Run.State, *, by: Actor, reason: str = "") -> events.Event:
    """Bring a run and its change to the same state: they are one to whoever looks. What comes back, and went well,
    awaits its next time; a failure ends it, so that somebody looks before it is asked for again."""
    ended = {"ended_at": Now()} if lifecycle.is_terminal(to) else {}
    lifecycle.move_run(run, to, by=by, columns=ended, reason=reason)
    if ended:
        queue.call_next(run.lock)
    if to == R.SUCCEEDED and run.occurs_at is not None and runs.follow(run.change, by=by):
        lifecycle.move(run.change, Change.State.SCHEDULED, by=by, run=run.key, reason=reason)
        return (f"run.{to}", {"reason": reason})
    lifecycle.move(run.change, CHANGE_STATE[to], by=by, run=run.key, reason=reason)
    if ended:
        reviews.open_for(run.change, by=by)
    return (f"run.{to}", {"reason": reason})


def _may_follow(step: Step, states: dict[str, Step.State]) -> bool:
    return all(states.get(key) == S.SUCCEEDED for key in step.needs)


def _end(states: dict[str, Step.State], *, cancelling: bool) -> Run.State:
    if all(state == S.SUCCEEDED for state in states.values()):
        return R.SUCCEEDED  # everything had run before the cancellation could stop it
    return R.CANCELLED if cancelling else R.FAILED
