"""Makes a run out of an approved revision or of a plan, and ends one that must not start. Never starts anything.

Each function runs in its caller's transaction, the change locked by the caller.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import Max, Q
from django.db.models.functions import Now

from approvals.clock import database_time
from audit.ledger.entry import Actor
from audit.ledger.record import record, record_all
from audit.ledger.rows import written
from orchestration import lifecycle
from orchestration.definitions import repeats as times
from orchestration.definitions import turn
from orchestration.engine import dispatch, events
from orchestration.engine.flow import first
from orchestration.engine.plan import Planned, Source, planned
from orchestration.engine.rows import steps_of
from orchestration.models import Change, Plan, Revision, Run, Step

RUN_DEADLINE = timedelta(days=7)  # a run that still goes on then is asked to stop
S, R = Step.State, Run.State


class Time(NamedTuple):
    """When a run may start; the two columns say which time it is of a change that comes back."""

    begins: datetime
    occurs_at: datetime | None = None
    start_by: datetime | None = None


def create(change: Change, *, revision: Revision, by: Actor, at: datetime) -> Run | None:
    """The run of an approved revision, its first steps ready: at once, or when its window opens.

    A revision has one run, or one for each time that it comes back: the next one, and None after the last. Approved
    again after a sign-off was withdrawn, its run is waiting already.
    """
    mine = Q(occurs_at=None) | Q(state=R.READY)
    run = Run.objects.filter(mine, revision=revision).first()
    time = _time(revision, run, at=at)
    if time is None:
        return None
    begins = max(at, time.begins)
    if run is None:
        run = _insert(change, revision, by=by, time=time._replace(begins=begins))
    else:
        Step.objects.filter(run=run, state=S.READY).update(not_before=begins)
        run.change = change
    for step_id in Step.objects.filter(run=run, state=S.READY).values_list("pk", flat=True):
        dispatch.wake(step_id)
    return run


def plan(change: Change, plan: Plan, *, by: Actor, at: datetime) -> Run:
    """The run that finds out what reviewers are to see: of the plan steps alone, at once."""
    run = _insert(change, plan, by=by, time=Time(at))
    for step_id in Step.objects.filter(run=run, state=S.READY).values_list("pk", flat=True):
        dispatch.wake(step_id)
    return run


def follow(change: Change, *, by: Actor) -> bool:
    """After a time that is over: the run of the next one, whose turn the change awaits; whether there is one."""
    if change.revision is None:
        return False
    return create(change, revision=change.revision, by=by, at=database_time()) is not None


def _time(revision: Revision, run: Run | None, *, at: datetime) -> Time | None:
    repeats = times.read(revision.content)
    if repeats is None:
        return Time(revision.not_before or at)
    if run is not None and run.occurs_at is not None:
        return Time(run.occurs_at, run.occurs_at, run.start_by)
    last = Run.objects.filter(revision=revision).aggregate(last=Max("occurs_at"))["last"]
    found = times.following(repeats, after=last, now=at)
    return Time(found.start, found.start, found.end) if found else None


def void(change: Change, *, by: Actor, reason: str) -> None:
    """Cancel the run that has not started, if there is one: the change was edited, withdrawn, or its time is over."""
    for run in Run.objects.select_for_update(no_key=True).filter(change=change, state=R.READY):
        run.change = change
        told: list[events.Event] = [("run.cancelled", {"reason": reason})]
        left = [step for step in steps_of(run) if not lifecycle.is_terminal(step.state)]
        lifecycle.move_steps(left, S.CANCELLED, by=by, reason=reason)
        told += [("step.cancelled", {"step": step.key, "attempt": step.attempt}) for step in left]
        lifecycle.move_run(
            run, R.CANCELLED, by=by, columns={"ended_at": Now(), "reason": reason}, reason=reason
        )
        events.tell(run, told)


def _insert(change: Change, source: Source, *, by: Actor, time: Time) -> Run:
    of = {"plan": source} if isinstance(source, Plan) else {"revision": source}
    said = turn.of(source)
    run = Run.objects.create(
        lock=said.lock,
        pool=list(said.pool),
        runner=said.runner,
        turn_at=time.begins - said.head_start,
        change=change,
        digest=source.digest,
        deadline_at=time.begins + RUN_DEADLINE,
        occurs_at=time.occurs_at,
        start_by=time.start_by,
        **of,
    )
    known = {**lifecycle.of_run(run), "environment_tier": change.environment.tier}
    record("run.created", of=run, subject=run.key, actor=by, **known)
    begins = first(source.content, planning=isinstance(source, Plan))
    ready, omitted = ({step.key for step in some} for some in (begins.ready, begins.omitted))
    steps = [_step(run, one, not_before=time.begins, ready=one.key in ready) for one in planned(source)]
    Step.objects.bulk_create(steps)
    told = [({"run": run.key, "step": step.key}) for step in steps]
    record_all("step.created", list(zip(written(steps), told, strict=True)), subject=run.key, actor=by)
    passed = [omit(step, when=step.spec["when"], by=by) for step in steps if step.key in omitted]
    events.tell(run, [("run.created", {}), *passed])
    return run


def omit(step: Step, *, when: str, by: Actor) -> events.Event:
    """Pass a step over, by its own condition."""
    reason = f"Its condition was false: {when}"
    lifecycle.move_step(step, S.OMITTED, by=by, columns={"reason": reason}, reason=reason)
    return ("step.omitted", {"step": step.key, "attempt": step.attempt, "reason": reason})


def _step(run: Run, one: Planned, *, not_before: datetime, ready: bool) -> Step:
    return Step(
        run=run,
        key=one.key,
        spec=one.spec,
        max_attempts=one.max_attempts,
        state=S.READY if ready else S.BLOCKED,
        not_before=not_before,
        **one.columns,
    )
