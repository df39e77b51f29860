"""The only writer of a state: three tables of moves, one guarded UPDATE and one entry for each move.

It must never decide whether a move is wise, take a lock or open a transaction. Whoever watches a change
is given a hint of each move. The caller holds the transaction, and the locks in their one order: the change
first, then its run.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from django.db import models
from django.db.models import F
from django.db.models.functions import Now

from audit.canonical import Json
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import MoveNotAllowed, StaleVersion
from orchestration import notify
from orchestration.models import Change, Run, Step

Row = TypeVar("Row", Change, Run, Step)
Columns: TypeAlias = Mapping[str, Any]

C, R, S = Change.State, Run.State, Step.State
_BEFORE_START = {C.WITHDRAWN, C.EXPIRED, C.SUPERSEDED}
_ONWARDS = {C.RUNNING, C.WAITING, C.DRAFT, C.REJECTED, C.CANCELLED, *_BEFORE_START}
RUN_ENDS = frozenset({R.SUCCEEDED, R.FAILED, R.CANCELLED})

# The three tables. A state without a key is terminal and absorbs.
MOVES: dict[Change.State, frozenset[Change.State]] = {
    C.DRAFT: frozenset({C.WAITING, C.REJECTED, C.WITHDRAWN}),  # being planned
    C.WAITING: frozenset({C.APPROVED, C.SENT_BACK, C.REJECTED, C.DRAFT, *_BEFORE_START}),
    C.SENT_BACK: frozenset({C.WAITING, C.DRAFT, *_BEFORE_START}),
    C.APPROVED: frozenset({*_ONWARDS, C.SCHEDULED}),
    C.SCHEDULED: frozenset({*_ONWARDS, C.APPROVED}),
    C.RUNNING: frozenset({C.SUCCEEDED, C.FAILED, C.CANCELLED, C.UNKNOWN, C.SCHEDULED}),  # comes back
    C.UNKNOWN: frozenset({C.RUNNING, C.SUCCEEDED, C.FAILED, C.CANCELLED}),
}
RUN_MOVES: dict[Run.State, frozenset[Run.State]] = {
    R.READY: frozenset({R.RUNNING, R.CANCELLED}),
    R.RUNNING: frozenset({R.SUCCEEDED, R.FAILED, R.CANCELLED, R.UNKNOWN}),
    R.UNKNOWN: frozenset({R.RUNNING, R.SUCCEEDED, R.FAILED, R.CANCELLED}),
}
STEP_MOVES: dict[Step.State, frozenset[Step.State]] = {
    S.BLOCKED: frozenset({S.READY, S.CANCELLED, S.SKIPPED, S.OMITTED}),
    S.READY: frozenset({S.RUNNING, S.ASKING, S.CANCELLED, S.SKIPPED}),
    S.ASKING: frozenset({S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.CANCELLED}),  # a person
    S.RUNNING: frozenset({S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.CANCELLED, S.UNKNOWN, S.READY}),
    S.UNKNOWN: frozenset({S.SUCCEEDED, S.FAILED, S.CANCELLED, S.READY}),
}


def move(
    change: Change, to: Change.State, *, by: Actor, columns: Columns | None = None, **data: Json
) -> None:
    """Bring a change to another state: `change.<to>` in the ledger."""
    was = change.state
    _check(change, MOVES.get(C(was), frozenset()), to, name=change.key)
    _write_change(change, {**(columns or {}), "state": to})
    _record_change(change, f"change.{to}", by=by, was=was, **data)


def touch(change: Change, kind: str, *, by: Actor, columns: Columns | None = None, **data: Json) -> None:
    """Write a change's content in place, its state as it is: a new revision while it waits, for one."""
    _write_change(change, columns or {})
    _record_change(change, kind, by=by, was=change.state, **data)


def move_run(run: Run, to: Run.State, *, by: Actor, columns: Columns | None = None, **data: Json) -> None:
    """Bring a run to another state: `run.<to>` in the ledger."""
    was = run.state
    _check(run, RUN_MOVES.get(R(was), frozenset()), to, name=run.key)
    _write(run, {**(columns or {}), "state": to}, guard={}, name=run.key)
    record(f"run.{to}", of=run, subject=run.key, actor=by, was=was, **of_run(run), **data)


def touch_run(run: Run, kind: str, *, by: Actor, columns: Columns | None = None, **data: Json) -> None:
    """Write what is asked of a run, its state as it is: that it shall be cancelled, for one."""
    _write(run, columns or {}, guard={}, name=run.key)
    record(kind, of=run, subject=run.key, actor=by, was=run.state, **of_run(run), **data)


def move_step(
    step: Step,
    to: Step.State,
    *,
    by: Actor,
    guard: Columns | None = None,
    columns: Columns | None = None,
    **data: Json,
) -> None:
    """Bring a step to another state: `step.<to>` in the ledger.

    `guard` narrows the row further: the attempt and the lease owner of whoever reports.
    """
    was, name = step.state, f"{step.run.key}/{step.key}"
    _check(step, STEP_MOVES.get(S(was), frozenset()), to, name=name)
    lease = {} if to == S.RUNNING else {"lease_owner": None, "lease_until": None}
    _write(step, {**lease, **(columns or {}), "state": to}, guard=guard or {}, name=name)
    known: dict[str, Json] = {"was": was, "run": step.run.key, "step": step.key, "attempt": step.attempt}
    record(f"step.{to}", of=step, subject=step.run.key, actor=by, **known, **data)


def of_run(run: Run) -> dict[str, Json]:
    """What each entry of a run tells: which run of which change, and the digest it executes."""
    return {
        "run": run.key,
        "change": run.change.key,
        "digest": run.digest,
        "permit": str(run.permit_id) if run.permit_id else None,
        "environment": run.change.environment.slug,
        **({"plan": str(run.plan_id)} if run.plan_id else {}),
    }


def tell(change: Change) -> None:
    """Number the news of a change whose state stays as it is, and hint at it after the commit."""
    change.event_seq += 1
    Change.objects.filter(pk=change.pk).update(event_seq=change.event_seq)
    notify.hint(notify.change_topic(change.pk), change.event_seq)
    notify.hint(notify.INBOX, 0)


def is_terminal(state: str) -> bool:
    """Whether a run or a step in this state will never move again."""
    return state in RUN_ENDS or state in {S.TIMED_OUT, S.SKIPPED, S.OMITTED}


def _check(row: models.Model, allowed: frozenset[Any], to: Any, *, name: str) -> None:
    if to not in allowed:
        state = str(getattr(row, "state")).replace("_", " ")  # noqa: B009 - three row types, one column
        raise MoveNotAllowed(f"{name} is {state}; it cannot become {str(to).replace('_', ' ')}.")


def _write(row: Row, columns: Columns, *, guard: Columns, name: str) -> None:
    """The guarded UPDATE: exactly the row that was read, or nothing."""
    seen = type(row).objects.filter(pk=row.pk, state=row.state, version=row.version, **guard)
    if not seen.update(**columns, version=F("version") + 1):
        raise StaleVersion(f"{name} was changed meanwhile; nothing was done. Reload it.")
    row.version += 1
    for column, value in columns.items():
        if not hasattr(value, "resolve_expression"):  # what the database computed is not known here
            setattr(row, column, value)


def _write_change(change: Change, columns: Columns) -> None:
    told = {"event_seq": F("event_seq") + 1, "updated_at": Now()}
    _write(change, {**columns, **told}, guard={}, name=change.key)
    change.event_seq += 1
    notify.hint(notify.change_topic(change.pk), change.event_seq, "state")
    notify.hint(notify.INBOX, 0, "changed")


def _record_change(change: Change, kind: str, *, by: Actor, was: str, **data: Json) -> None:
    known: dict[str, Json] = {"change": change.key}
    if change.revision is not None:
        known["digest"] = change.revision.digest
    record(kind, of=change, subject=change.key, actor=by, **{"was": was, **known, **data})
