"""What is asked for becomes rows: a revision with the chain for exactly its bytes, or a plan with the run that looks.

Each function runs in its caller's transaction, the change locked by the caller. It must never decide who may ask,
nor evaluate a policy: what it is given is judged already.
"""

from django.db.models import F

from approvals import chain as chains
from approvals import demand, planned, recusal
from approvals.clock import database_time
from approvals.models import Chain
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Refusal, StaleVersion
from orchestration import lifecycle
from orchestration.asking import Asked
from orchestration.definitions import artifacts
from orchestration.definitions import digest as digests
from orchestration.engine import cancel, runs
from orchestration.engine.rows import lock_run
from orchestration.models import Change, Environment, Plan, Revision, Run, Service

C = Change.State


class PlanNotSigned(Refusal):
    """Plan steps run before anybody signs, which does not go together with a passkey that policy demands."""

    code = "plan_under_passkey"


def hold(service: Service, environment: Environment) -> None:
    """Both records as policy saw them, held still until the change is written."""
    for row in (service, environment):
        seen = (
            type(row)._default_manager.select_for_update(no_key=True).filter(pk=row.pk, version=row.version)
        )
        if not seen.exists():
            raise StaleVersion(
                f"{row.name} was changed at the same moment; nothing was saved. Send it again."
            )


def put(change: Change, asked: Asked, *, why: str = "", plan: Plan | None = None) -> Revision:
    """A revision takes the place of what was asked for: whatever was signed is void, and everybody is asked anew."""
    first, by = change.revision is None, asked.by.actor
    _check_recused(change, asked)
    if change.revision is not None:
        void(change, change.revision, by=by, why=why)
    revision = _insert(change, asked, plan)
    columns = {"revision": revision, "title": digests.title(asked.content)}
    if change.state == C.WAITING:
        lifecycle.touch(change, "change.edited", by=by, columns=columns)
    else:
        lifecycle.move(change, C.WAITING, by=by, columns=columns)
    if first:
        _announce(change, revision, "change.requested", asked)
    else:
        _announce(change, revision, "change.revised", asked)
    return revision


def plan(change: Change, asked: Asked) -> Plan:
    """What was asked for is to be planned first: nothing else of the change stands, and nobody is asked yet."""
    by, title = asked.by.actor, {"title": digests.title(asked.content)}
    if change.revision is not None:
        void(change, change.revision, by=by, why="edited")
    if change.state != C.DRAFT:
        lifecycle.move(change, C.DRAFT, by=by, columns=title)
    elif change.plans.exists():
        lifecycle.touch(change, "change.edited", by=by, columns=title)
    stop_plans(change, by=by, why="planned anew")
    return _insert_plan(change, asked)


def _check_recused(change: Change, asked: Asked) -> None:
    """Nobody who recused themselves while policy was asked is asked again by what it answered."""
    said = recusal.persons(change.revisions.values_list("chain", flat=True))
    if not said <= asked.draft.conflicted:
        raise StaleVersion(
            f"Somebody recused themselves from {change.key} meanwhile; nothing was saved. Send it again."
        )


def _insert(change: Change, asked: Asked, plan: Plan | None) -> Revision:
    """The revision's bytes, their digest, and the chain that is opened for exactly them."""
    draft, document = asked.draft, digests.document(asked.content)
    digest = digests.digest(document)
    chain = chains.open_chain(
        digest=digest,
        decision=asked.decision,
        conflicted=draft.conflicted,
        by=asked.by.actor,
        is_emergency=draft.emergency is not None,
    )
    return Revision.objects.create(
        change=change,
        number=draft.number,
        workflow_version=draft.version,
        inputs=dict(draft.inputs),
        reason=draft.reason,
        not_before=draft.not_before,
        not_after=draft.not_after,
        document=document,
        digest=digest,
        chain=chain,
        plan=plan,
        author=asked.by.user,
    )


def _announce(change: Change, revision: Revision, kind: str, asked: Asked) -> None:
    """The entry from which control tests start, and the hints that something is new."""
    record(
        kind, of=None, subject=change.key, actor=asked.by.actor,
        change=change.key, revision=revision.number, digest=revision.digest,
        workflow=change.workflow.slug, workflow_digest=asked.draft.version.digest,
        service=change.service.slug, environment=change.environment.slug,
        environment_tier=change.environment.tier, requester_person=str(change.requester.person_id),
        conflicted=sorted(str(person) for person in asked.draft.conflicted),
        policy_decision=str(asked.decision.pk), chain=str(revision.chain.pk), chain_digest=revision.chain.digest,
        incident=asked.draft.emergency.incident if asked.draft.emergency else None,
        rolls_back=asked.draft.undo.change if asked.draft.undo else None,
        artifacts=artifacts.found(asked.draft.inputs.values()),
    )  # fmt: skip
    lifecycle.tell(change)


def _insert_plan(change: Change, asked: Asked) -> Plan:
    """The plan's bytes under the signature of this door, and the run of its plan steps."""
    if demand.needs_passkey(asked.decision.output):
        raise PlanNotSigned(
            f"Nothing was planned: for {change.environment.name} policy demands a passkey, and plan steps run before"
            " anybody has signed. Use a workflow without plan steps here."
        )
    draft, document = asked.draft, digests.document(asked.content)
    digest = digests.plan_digest(document)
    made = Plan.objects.create(
        change=change,
        number=change.plans.count() + 1,
        workflow_version=draft.version,
        inputs=dict(draft.inputs),
        reason=draft.reason,
        not_before=draft.not_before,
        not_after=draft.not_after,
        document=document,
        digest=digest,
        signature=planned.sign(change=change.key, digest=digest),
        decision=asked.decision,
        author=asked.by.user,
        auth=asked.by.auth,
    )
    _record_asked(change, made, by=asked.by.actor)
    runs.plan(change, made, by=asked.by.actor, at=database_time())
    return made


def plan_again(change: Change, old: Plan, *, by: Actor) -> Plan:
    """The same bytes once more, in the name of whoever asked for them; `by` only wants to see what is found now."""
    stop_plans(change, by=by, why="planned again")
    again = {name: getattr(old, name) for name in _SAME}
    made = Plan.objects.create(change=change, number=change.plans.count() + 1, again=True, **again)
    _record_asked(change, made, by=by)
    runs.plan(change, made, by=by, at=database_time())
    return made


def settle(
    plan: Plan, outcome: Plan.Outcome, *, by: Actor, why: str = "", revision: int | None = None
) -> None:
    """Write what came of a plan, once: the row is locked by its change."""
    seen = Plan.objects.filter(pk=plan.pk, version=plan.version, outcome=Plan.Outcome.OPEN)
    if not seen.update(outcome=outcome, why=why, version=F("version") + 1):
        raise StaleVersion(f"{plan.key} was settled meanwhile; nothing was done.")
    plan.outcome, plan.why, plan.version = outcome, why, plan.version + 1
    record(
        "plan.settled", of=plan, subject=plan.change.key, actor=by, change=plan.change.key, plan=str(plan.pk),
        number=plan.number, outcome=str(outcome), why=why, revision=revision,
    )  # fmt: skip


def void(change: Change, revision: Revision, *, by: Actor, why: str) -> None:
    """The chain ends, and a run that has not started with it."""
    runs.void(change, by=by, reason=why)
    chain = revision.chain
    chain.refresh_from_db()
    if chain.state in {Chain.State.OPEN, Chain.State.COMPLETE}:
        chains.void(chain, by=by, why=why)


def stop_plans(change: Change, *, by: Actor, why: str) -> None:
    """End what still looks: nobody waits for what it finds."""
    open_ = [Run.State.READY, Run.State.RUNNING, Run.State.UNKNOWN]
    asked = Run.objects.planning().filter(change=change, state__in=open_, cancel_requested_at=None)
    for run_id in asked.values_list("pk", flat=True):
        run = lock_run(run_id)
        run.change = change
        cancel.request(run, by=by, reason=why)


def _record_asked(change: Change, plan: Plan, *, by: Actor) -> None:
    record(
        "plan.asked", of=plan, subject=change.key, actor=by, change=change.key, plan=str(plan.pk),
        number=plan.number, again=plan.again, digest=plan.digest, workflow=change.workflow.slug,
        workflow_digest=plan.workflow_version.digest, service=change.service.slug,
        environment=change.environment.slug, policy_decision=str(plan.decision_id), signature=plan.signature,
    )  # fmt: skip


_SAME = (
    "workflow_version", "inputs", "reason", "not_before", "not_after", "document", "digest", "signature",
    "decision", "author", "auth",
)  # fmt: skip
