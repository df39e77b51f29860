"""What plan steps left, as rows: stored with the step's end, and checked against what was signed before each start.

It must never hand out bytes whose digest is not the one in the signed document.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Refusal
from orchestration.definitions import summary
from orchestration.engine.attempt import Files
from orchestration.models import Artifact, Plan, Revision, Run, Step


class ArtifactAltered(Refusal):
    """What a plan found is not, or no longer, what was signed."""

    code = "artifact_altered"


def store(run: Run, step: Step, left: Mapping[str, bytes], *, by: Actor) -> None:
    """Keep what a plan step left, in the transaction that ends it."""
    if run.plan is None:
        return
    for name, data in sorted(left.items()):
        row = Artifact.objects.create(
            plan=run.plan, step=step.key, name=name, digest=digest(data), size=len(data), data=data
        )
        record(
            "artifact.kept", of=row, subject=run.key, actor=by, run=run.key, change=run.change.key,
            plan=str(run.plan.pk), step=step.key, name=name, digest=row.digest, bytes=row.size,
        )  # fmt: skip


def listed(plan: Plan) -> list[dict[str, Any]]:
    """What a plan found, as the document says it; a summary with what it counts."""
    return [_listed(one) for one in plan.artifacts.all()]


def signed(revision: Revision) -> Files:
    """The files that an apply step is to find, each the very bytes that the signed document names."""
    named: Sequence[Mapping[str, Any]] = revision.content.get("plan", [])
    if not named:
        return {}
    rows = {(one.step, one.name): one for one in Artifact.objects.filter(plan=revision.plan_id)}
    found: dict[str, dict[str, bytes]] = {}
    for one in named:
        row = rows.get((one["step"], one["name"]))
        data = bytes(row.data) if row else b""
        if row is None or (digest(data), len(data)) != (one["digest"], one["bytes"]):
            raise ArtifactAltered(
                f"{one['name']} of {one['step']} is not what was signed off; nothing was started. Plan it again."
            )
        found.setdefault(one["step"], {})[one["name"]] = data
    return found


def digest(data: bytes) -> str:
    return "sha256:" + sha256(data).hexdigest()


def _listed(one: Artifact) -> dict[str, Any]:
    items = summary.read(bytes(one.data)) if one.name == summary.NAME else None
    counted = {} if items is None else summary.counts(items)
    return {"step": one.step, "name": one.name, "digest": one.digest, "bytes": one.size, **counted}
