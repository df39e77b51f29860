"""Rows as the API shows them: a change with its chain, its timeline, a permit. Reads only, decides nothing."""

from typing import Any

from django.db.models import Prefetch, QuerySet

from approvals import chain as chains
from approvals import claims
from approvals import permit as permits
from approvals.chain import Progress, Verdict
from approvals.models import Chain, Permit
from audit.canonical import parse
from audit.ledger import openings
from audit.models import Entry
from audit.names import Names
from orchestration import access
from orchestration.api.shapes import changes as shapes
from orchestration.asking import content_of, window_of
from orchestration.definitions import repeats as times
from orchestration.definitions.digest import emergency_of
from orchestration.engine import queue
from orchestration.models import Change, Plan, Revision, Run, Step

TIMELINE = 500  # entries of one change; the audit log holds the rest


def rows(found: QuerySet[Change]) -> QuerySet[Change]:
    """With what a row shows."""
    return found.select_related("workflow", "service", "environment", "requester", "revision")


def change(row: Change) -> dict[str, Any]:
    """A change, whole, as JSON."""
    row = rows(Change.objects.filter(pk=row.pk)).get()
    content, revision = content_of(row), row.revision
    emergency = emergency_of(bytes(content.document))
    decision = revision.chain.decision if revision else None
    not_before, not_after, repeat = times.said(window_of(content))
    for name, value in {
        "reason": content.reason,
        "incident": emergency.incident if emergency else None,
        "inputs": content.inputs,
        "not_before": not_before,
        "not_after": not_after,
        "repeats": repeat._asdict() if repeat else None,
        "workflow_version": content.workflow_version.number,
        "workflow_digest": content.workflow_version.digest,
        "steps": steps(content),
        "secrets": parse(bytes(content.document))["secrets"],
        "chain": chain(revision.chain) if revision else None,
        "policy_decision": {
            "id": decision.pk,
            "bundle": decision.bundle.digest,
            "decided_at": decision.decided_at,
            "output": decision.output,
        }
        if decision
        else None,
        "plan": row.plans.select_related("run").first(),
        "run": run_key(row),
        "undoes": row.rolls_back.key if row.rolls_back else None,
        "undone_by": [one.key for one in row.rolled_back_by.order_by("number")],
    }.items():
        setattr(row, name, value)
    return dict(shapes.ChangeDetail(row).data)


def steps(revision: Revision | Plan) -> list[dict[str, Any]]:
    """What was signed, from its very bytes, without the text of the scripts: those have digests in the document."""
    planned: list[dict[str, Any]] = parse(bytes(revision.document))["steps"]
    return [{**step, "files": sorted(step.get("files", {}))} for step in planned]


def chain(row: Chain) -> dict[str, Any]:
    """A chain with each stage as it stands."""
    given = list(row.sign_offs.select_related("user", "delegation__delegator").order_by("given_at"))
    looking = claims.current(row)
    return {
        "id": row.pk,
        "digest": row.digest,
        "state": row.state,
        "opened_at": row.opened_at,
        "expires_at": row.expires_at,
        "stages": [
            {
                **{
                    name: getattr(one.stage, name)
                    for name in (
                        "id",
                        "name",
                        "order",
                        "quorum",
                        "teams",
                        "signature",
                        "distinct",
                        "due_at",
                        "escalate_to",
                    )
                },
                "why": one.stage.why,
                "reviewing": [
                    {"name": who.user.name, "until": who.until}
                    for who in looking
                    if who.stage_id == one.stage.pk
                ],
                "given": one.given,
                "state": _state(one, row),
                "sign_offs": [said for said in given if said.stage_id == one.stage.pk],
            }
            for one in chains.progress(row)
        ],
    }


def decided(row: Change, verdict: Verdict) -> dict[str, Any]:
    """What a decision led to."""
    row = Change.objects.only("state").get(pk=row.pk)
    return {"verdict": verdict.value, "state": row.state, "run": run_key(row)}


def run_key(row: Change) -> str | None:
    run = row.runs.applying().order_by("-number").only("number").first()
    return run.key if run else None


def timeline(row: Change) -> list[Entry]:
    """The entries about a change, its runs and its digests, oldest first."""
    subjects = [row.key, *(run.key for run in row.runs.all())]
    subjects += row.revisions.values_list("digest", flat=True)
    entries = list(
        Entry.objects.filter(subject__in=subjects).select_related("leaf").order_by("id")[:TIMELINE]
    )
    known, data = Names(entry.actor for entry in entries), openings.datas(entries)
    for entry in entries:
        told = {
            "index": entry.leaf.index if hasattr(entry, "leaf") else None,
            "actor_name": known.both(entry.actor, entry.occurred_at) or entry.actor,
            "data": data[entry.pk],
        }
        for name, value in told.items():
            setattr(entry, name, value)
    return entries


def run_steps(run: Run) -> QuerySet[Step]:
    """The steps of a run with their attempts."""
    return run.steps.order_by("position").prefetch_related(Prefetch("attempts"))


def stand(user: Any, run: Run) -> dict[str, Any]:
    """The place of a run in the queue for its lock."""
    line = queue.line(run) or queue.Line("", None, [])
    seen = line.holder is not None and access.visible_runs(user).filter(pk=line.holder.pk).exists()
    return {
        "holder": line.holder.key if line.holder and seen else None,
        "waits": run in line.waiting,
        "ahead": line.waiting.index(run) if run in line.waiting else 0,
        "waiting": len(line.waiting),
    }


def permit(row: Permit) -> dict[str, Any]:
    """A permit, and whether it is what our key signed."""
    return {
        "id": row.pk,
        "document": parse(bytes(row.document)),
        "signature": row.signature,
        "key_id": row.key_id,
        "issued_at": row.issued_at,
        "expires_at": row.expires_at,
        "authentic": permits.read(row) is not None,
    }


def _state(one: Progress, row: Chain) -> str:
    if one.complete:
        return "complete"
    if row.state != Chain.State.OPEN:
        return "closed"
    return "open" if one.open else "waiting"
