"""The only writer of a state: three tables of moves, one guarded UPDATE and one entry for each move.

It must never decide whether a move is wise, take a lock or open a transaction. Whoever watches a change
is given a hint of each move. The caller holds the transaction, and the locks in their one order: the change
first, then its run.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from django.db import connection, models
from django.db.models import F
from django.db.models.functions import Now

from audit.canonical import Json
from audit.ledger import rows
from audit.ledger.entry import Actor
from audit.ledger.record import record_all
from audit.ledger.rows import Written
from audit.refusals import MoveNotAllowed, StaleVersion
from orchestration import notify
from orchestration.models import Change, Run, Step

Row = TypeVar("Row", Change, Run, Step)
Columns: TypeAlias = Mapping[str, Any]

C, R, S = Change.State, Run.State, Step.State
_BEFORE_START = {C.WITHDRAWN, C.EXPIRED, C.SUPERSEDED}
_ONWARDS = {C.RUNNING, C.WAITING, C.DRAFT, C.REJECTED, C.CANCELLED, *_BEFORE_START}
RUN_ENDS = frozenset({R.SUCCEEDED, R.FAILED, R.CANCELLED})
_NEWS = "UPDATE orchestration_change SET event_seq = %s WHERE id = %s"
_state = attrgetter("state")
_ENDS = {"succeeded", "failed", "cancelled"}

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
    written = _write_change(change, {**(columns or {}), "state": to})
    _record_change(change, written, f"change.{to}", by=by, was=was, **data)


def touch(change: Change, kind: str, *, by: Actor, columns: Columns | None = None, **data: Json) -> None:
    """Write a change's content in place, its state as it is: a new revision while it waits, for one."""
    written = _write_change(change, columns or {})
    _record_change(change, written, kind, by=by, was=change.state, **data)


def move_run(run: Run, to: Run.State, *, by: Actor, columns: Columns | None = None, **data: Json) -> None:
    """Bring a run to another state: `run.<to>` in the ledger."""
    was = run.state
    _check(run, RUN_MOVES.get(R(was), frozenset()), to, name=run.key)
    written = _write([run], {**(columns or {}), "state": to}, name=run.key)
    told = {"was": was, **of_run(run), **data}
    record_all(f"run.{to}", [(written[run.pk], told)], subject=run.key, actor=by)


def touch_run(run: Run, kind: str, *, by: Actor, columns: Columns | None = None, **data: Json) -> None:
    """Write what is asked of a run, its state as it is: that it shall be cancelled, for one."""
    written = _write([run], columns or {}, name=run.key)
    told = {"was": run.state, **of_run(run), **data}
    record_all(kind, [(written[run.pk], told)], subject=run.key, actor=by)


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
    move_steps([step], to, by=by, guard=guard, columns=columns, **data)


def move_steps(
    steps: Sequence[Step],
    to: Step.State,
    *,
    by: Actor,
    guard: Columns | None = None,
    columns: Columns | None = None,
    **data: Json,
) -> None:
    """The same of several steps of one run, at once."""
    for was, some in groupby(sorted(steps, key=_state), key=_state):
        _move_steps(list(some), to, was, by=by, guard=guard or {}, columns=columns or {}, **data)


def _move_steps(
    steps: Sequence[Step],
    to: Step.State,
    was: str,
    *,
    by: Actor,
    guard: Columns,
    columns: Columns,
    **data: Json,
) -> None:
    """Of those in one state."""
    run, name = steps[0].run, f"{steps[0].run.key}/{steps[0].key}"
    _check(steps[0], STEP_MOVES.get(S(was), frozenset()), to, name=name)
    lease = {} if to == S.RUNNING else {"lease_owner": None, "lease_until": None}
    written = _write(steps, {**lease, **columns, "state": to}, guard=guard, name=name)
    known: dict[str, Json] = {"was": was, "run": run.key}
    told = [
        (written[one.pk], {**known, "step": one.key, "attempt": one.attempt, **_verified(one, to), **data})
        for one in steps
    ]
    record_all(f"step.{to}", told, subject=run.key, actor=by)


def _verified(step: Step, to: Step.State) -> dict[str, Json]:
    """That it has verified what the others did; control tests ask for it."""
    if to != S.SUCCEEDED:
        return {}
    phase = (
        vars(step)["phase"] if "phase" in vars(step) else step.spec.get("phase")
    )  # the engine read it alone
    return {"phase": "verify"} if phase == "verify" else {}


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
    with connection.cursor() as cursor:
        cursor.execute(_NEWS, [change.event_seq, change.pk])
    notify.hint(notify.change_topic(change.pk), change.event_seq)
    notify.hint(notify.INBOX, 0)


def is_terminal(state: str) -> bool:
    """Whether a run or a step in this state will never move again."""
    return state in RUN_ENDS or state in {S.TIMED_OUT, S.SKIPPED, S.OMITTED}


def _check(row: models.Model, allowed: frozenset[Any], to: Any, *, name: str) -> None:
    if to not in allowed:
        state = str(getattr(row, "state")).replace("_", " ")  # noqa: B009 - three row types, one column
        raise MoveNotAllowed(f"{name} is {state}; it cannot become {str(to).replace('_', ' ')}.")


def _write(
    read: Sequence[Row], columns: Columns, *, guard: Columns | None = None, name: str
) -> dict[UUID, Written]:
    """The guarded UPDATE: exactly the rows that were read, all in one state, or nothing."""
    written = rows.update(read, columns, guard={"state": read[0].state, **(guard or {})})
    if len(written) != len(read):
        raise StaleVersion(f"{name} was changed meanwhile; nothing was done. Reload it.")
    for row in read:
        row.version += 1
        for column, value in columns.items():
            if not hasattr(value, "resolve_expression"):  # what the database computed is not known here
                setattr(row, column, value)
    return written


def _write_change(change: Change, columns: Columns) -> Written:
    told = {"event_seq": F("event_seq") + 1, "updated_at": Now()}
    written = _write([change], {**columns, **told}, name=change.key)
    change.event_seq += 1
    notify.hint(notify.change_topic(change.pk), change.event_seq, "state")
    notify.hint(notify.INBOX, 0, "changed")
    return written[change.pk]


def _record_change(change: Change, written: Written, kind: str, *, by: Actor, was: str, **data: Json) -> None:
    known: dict[str, Json] = {"was": was, "change": change.key}
    if change.revision is not None:
        known["digest"] = change.revision.digest
    record_all(kind, [(written, {**known, **data})], subject=change.key, actor=by)
