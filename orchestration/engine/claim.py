"""Takes a step for this worker, or leaves it: the one place that asks the gate.

Everything is judged and written in one transaction, under the locks of the change and its run. A step may be
started only after this transaction's commit is known to have succeeded; it must never start anything itself.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from approvals import demand, gate, sealing
from approvals.demand import Judged
from approvals.models import Permit, Stage
from approvals.periods import Place
from audit.canonical import uuid7
from audit.ledger.entry import Actor, system
from audit.ledger.record import record_refusal
from audit.refusals import Refusal
from orchestration import lifecycle
from orchestration.definitions import limits, phases, turn
from orchestration.definitions import repeats as times
from orchestration.definitions.digest import digest, plan_digest, told
from orchestration.engine import artifacts, asks, enrolled, events, queue
from orchestration.engine.attempt import Attempt, Files
from orchestration.engine.failpoints import failpoint
from orchestration.engine.plan import Planned, Source, source_of, step_of
from orchestration.engine.rows import glance, lock_startable
from orchestration.models import Plan, Run, Step, StepAttempt
from orchestration.secrets import references
from orchestration.secrets.references import Newest

WAITS_SECONDS = (
    5,
    10,
)  # asked about again within this span where time alone may open the gate: a freeze ends
_ATTEMPT = """
    INSERT INTO orchestration_stepattempt (id, step_id, number, worker_boot_id, started_at, outcome, reason, answer,
                                           last_seq, dropped_bytes)
    VALUES (%s, %s, %s, %s, statement_timestamp(), '', '', '', 0, 0)
"""
HELD_SECONDS = (30, 60)  # where a person has to act first
S, R = Step.State, Run.State


class StaleRevision(Refusal):
    """The run belongs to a revision that is no longer the change's."""

    code = "stale_revision"


class TooMuch(Refusal):
    """A step asks for more than the installation allows."""

    code = "limit_exceeded"


class NotPlanned(Refusal):
    """The run is at a time that the signed content does not name."""

    code = "not_planned"


@dataclass(frozen=True)
class Claimed:
    """A step that this worker holds, and what it needs to report about it."""

    attempt: Attempt
    attempt_id: UUID
    run_key: str
    planned: Planned
    permit_expires_at: datetime
    actor: Actor
    sealed_permit: UUID | None = None  # nothing is started before this one is sealed

    @property
    def step_id(self) -> UUID:
        return self.attempt.step_id

    @property
    def guard(self) -> Mapping[str, Any]:
        """What the step's row shows while this worker, and nobody after it, holds the step."""
        return {"attempt": self.attempt.number, "lease_owner": self.attempt.boot_id}


def claim(step_id: UUID, *, boot_id: UUID) -> Claimed | None:
    """The step, held by this worker; None when it is not startable now, whoever took it or whatever holds it, or
    when a person does it.

    An error from the database, the commit's among them, leaves this function: nothing is started then, and a
    lease that was written after all lapses.
    """
    worker = system(f"worker:{boot_id}")
    try:
        seen = glance(step_id)
        if seen is None:  # taken, or stopped
            return None
        judged = _judge(step_id) if seen.begins else None
        newest = _look_up(step_id) if seen.has_secrets else {}
        with transaction.atomic():
            claimed = _claim(step_id, judged, newest, boot_id=boot_id, worker=worker)
            failpoint("claim.before_commit")
    except (enrolled.WorkerUnknown, enrolled.NotForThisWorker) as refusal:
        enrolled.refused(boot_id, refusal)  # the step is for another worker, and waits for nothing else
        return None
    except Refusal as refusal:
        _hold(step_id, refusal, by=worker)
        return None
    failpoint("claim.after_commit")
    return claimed


def _judge(step_id: UUID) -> Judged:
    """Before the first start: ask policy again about the bytes that will run. Judged under locks thereafter."""
    source = source_of(Run.objects.select_related("revision", "plan").get(steps=step_id))
    if not isinstance(source, Plan):
        sealing.wait_for(Stage.objects.filter(chain=source.chain_id))
    document = source.content
    which = {"plan": source.decision_id} if isinstance(source, Plan) else {"chain": source.chain_id}
    return demand.judge(told=told(document), requesters=document["requesters"], **which)


def _look_up(step_id: UUID) -> Newest:
    """Before any lock: the newest versions of secrets that other places keep, where the newest was agreed to."""
    step = Step.objects.select_related("run__revision", "run__plan").get(pk=step_id)
    return references.look_up(step_of(source_of(step.run), step).secrets)


def _claim(
    step_id: UUID, judged: Judged | None, newest: Newest, *, boot_id: UUID, worker: Actor
) -> Claimed | None:
    step = lock_startable(step_id)
    if step is None or step.run.state not in {R.READY, R.RUNNING} or _is_stopped(step.run):
        return None
    run = step.run
    source = _source(run)
    signed_off = step_of(source, step)
    its = turn.of(source)
    enrolled.check(boot_id, environment=its.environment, pool=its.pool, runner=its.runner)
    permit = gate.authorise(_start(run, source, signed_off, judged, by=worker))
    queue.take(run, its.lock)
    plans = {} if isinstance(source, Plan) else artifacts.signed(source)
    news = _start_run(run, source, permit, by=worker)
    if asks.is_asked(signed_off):
        events.tell(run, [*news, asks.ask(step, boot_id=boot_id, by=worker)])
        return None
    attempt_id = _lease(step, boot_id=boot_id, by=worker)
    events.tell(run, [*news, ("step.running", {"step": step.key, "attempt": step.attempt})])
    handed = references.hand_over(
        signed_off.secrets, newest, run.change, run=run.key, attempt=step.attempt, by=worker
    )
    return Claimed(
        attempt=_attempt(step, signed_off, plans, boot_id=boot_id, secrets=handed),
        attempt_id=attempt_id,
        run_key=run.key,
        planned=signed_off,
        permit_expires_at=permit.expires_at,
        actor=worker,
        sealed_permit=permit.pk if sealing.is_demanded(permit) else None,
    )


def _is_stopped(run: Run) -> bool:
    return run.cancel_requested_at is not None or run.paused_at is not None


def _source(run: Run) -> Source:
    """What is signed off, or asked for: the newest of the change, which must be the one this run was made from."""
    newest = run.change.plans.first() if run.plan_id else run.change.revision
    if newest is None or newest.pk != (run.plan_id or run.revision_id):
        raise StaleRevision(f"{run.change.key} was edited after {run.key} was made; it was not started.")
    return newest


def _start(run: Run, source: Source, step: Planned, judged: Judged | None, *, by: Actor) -> gate.Start:
    """What the gate judges: rows under lock, and digests computed now from the bytes that would run."""
    document = bytes(source.document)
    content = source.content
    begins, ends = (None, None) if isinstance(source, Plan) else _span(run, content)
    return gate.Start(
        run_id=run.pk,
        change_key=run.change.key,
        document_digest="sha256:" + hashlib.sha256(document).hexdigest(),
        place=_place(content),
        change_state=run.change.state,
        cancel_requested=run.cancel_requested_at is not None,
        not_before=begins,
        not_after=ends,
        permit_id=run.permit_id,
        first=run.state == R.READY,
        by=by,
        emergency=bool(content.get("emergency")),
        content=content,
        told=told(content) if run.state == R.READY else {},
        judged=judged,
        step=step.spec,
        **_named(source, document),
    )


def _named(source: Source, document: bytes) -> dict[str, Any]:
    """What was agreed to, by its chain; or what was only asked for, by the signature of the door."""
    if isinstance(source, Plan):
        asked = {"purpose": str(Permit.Purpose.PLAN), "signature": source.signature}
        return {"digest": plan_digest(document), "chain_id": None, **asked}
    return {"digest": digest(document), "chain_id": source.chain_id}


def _span(run: Run, content: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    """Between what this run may start, by the bytes. Of a change that comes back they name each time, the row which."""
    repeats = times.read(content)
    if repeats is None:
        window = content["window"]
        return _moment(window["not_before"]), _moment(window["not_after"])
    time = times.at(repeats, run.occurs_at) if run.occurs_at else None
    if time is None:
        raise NotPlanned(f"{run.key} is at no time that {run.change.key} names, so it was not started.")
    return time.start, time.end


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _place(content: Mapping[str, Any]) -> Place:
    """What the start would touch, by the slugs that freezes and windows name: of the bytes, which no row can turn."""
    return Place(*(content[name]["slug"] for name in ("environment", "service", "workflow")))


def _start_run(run: Run, source: Source, permit: Permit, *, by: Actor) -> list[events.Event]:
    if run.state != R.READY:
        return []
    columns: dict[str, Any] = {"permit": permit, "started_at": Now()}
    if limit := source.content.get("timeout_seconds"):  # its time runs from its start
        columns["deadline_at"] = Now() + timedelta(seconds=limit)
    run.permit = permit
    lifecycle.move_run(run, R.RUNNING, by=by, columns=columns)
    if run.plan_id is None:
        lifecycle.move(run.change, run.change.State.RUNNING, by=by, run=run.key)
    return [("run.running", {})]


def _lease(step: Step, *, boot_id: UUID, by: Actor) -> UUID:
    """Hold the step; the id of the attempt."""
    step.attempt += 1  # the fencing token: the guard below holds the row to the number before it
    columns = {
        "attempt": step.attempt,
        "lease_owner": boot_id,
        "lease_until": Now() + timedelta(seconds=settings.LEASE_TTL_SECONDS),
        "heartbeat_at": Now(),
        "started_at": Now(),
        "ended_at": None,
        "held_reason": "",
    }
    before = {"attempt": step.attempt - 1}
    lifecycle.move_step(step, S.RUNNING, by=by, guard=before, columns=columns, worker=str(boot_id))
    attempt_id = uuid7()
    with connection.cursor() as cursor:
        cursor.execute(_ATTEMPT, [attempt_id, step.pk, step.attempt, boot_id])
    return attempt_id


def _attempt(
    step: Step, signed_off: Planned, plans: Files, *, boot_id: UUID, secrets: Sequence[Mapping[str, Any]]
) -> Attempt:
    """What the supervisor is handed: from the bytes that were signed off, not from the row."""
    return Attempt(
        run_id=step.run_id,
        step_id=step.pk,
        step_key=signed_off.key,
        number=step.attempt,
        boot_id=boot_id,
        idempotency_key=str(step.pk),
        uses=signed_off.spec["uses"],
        with_=signed_off.spec.get("with", {}),
        effect=signed_off.effect,
        timeout_seconds=signed_off.timeout_seconds,
        lease_ttl_seconds=settings.LEASE_TTL_SECONDS,
        grace_seconds=settings.GRACE_SECONDS,
        files=signed_off.spec.get("files", {}),
        env={},
        secrets=secrets,
        phase=phases.PLAN if phases.is_plan(signed_off.spec) else phases.APPLY,
        plans=plans,
        limits=_limits(signed_off),
        check=_check(step, signed_off),
    )


def _limits(signed_off: Planned) -> dict[str, int]:
    """What was signed, and else what is usual; refused where the installation allows less by now."""
    given = signed_off.spec.get("limits", {})
    for words in limits.beyond(given):
        raise TooMuch(f"{signed_off.key} was not started: {words}.")
    return {**limits.usual(), **given}


def _check(step: Step, signed_off: Planned) -> Mapping[str, Any] | None:
    """What is asked before another attempt: whether the one before did it. A person who said no is believed."""
    if signed_off.check is None or step.attempt == 1:
        return None
    before = StepAttempt.objects.filter(step=step, number=step.attempt - 1).values_list("answer", flat=True)
    return None if before.first() == StepAttempt.Answer.RETRY else signed_off.check


def _hold(step_id: UUID, refusal: Refusal, *, by: Actor) -> None:
    """Ask again later. The same answer is told once, however often it is given."""
    span = WAITS_SECONDS if getattr(refusal, "waits", False) else HELD_SECONDS
    later = Now() + timedelta(seconds=random.uniform(*span))  # noqa: S311 - spreads the load
    ready = Step.objects.filter(pk=step_id, state=S.READY)
    ready.update(not_before=later)
    step = Step.objects.select_related("run").get(pk=step_id)
    queue.asked(step.run, refusal)
    if ready.exclude(held_reason=str(refusal)).update(held_reason=str(refusal)):
        record_refusal(refusal, attempted="step.running", subject=step.run.key, actor=by)
