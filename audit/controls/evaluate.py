"""Control tests over the whole population up to one checkpoint: the same checkpoint gives the same bytes."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from audit.canonical import canonical
from audit.canonical import digest as digest_of
from audit.controls.catalogue import Control, controls
from audit.controls.facts import Facts, fold
from audit.controls.judgements import Execution, Judgement, counted, execution, judge
from audit.ledger.export import bodies
from audit.ledger.record import timestamp
from audit.models import Checkpoint

RESULTS = ("pass", "fail", "exception", "na", "indeterminate")


@dataclass(frozen=True)
class Scope:
    """What is asked: a period `[start, end)` and one environment, or all."""

    start: datetime | None = None
    end: datetime | None = None
    environment: str = ""

    def holds(self, one: Execution) -> bool:
        at, environment = one.start.time, one.start.data["environment"]
        after = self.start is None or timestamp(self.start) <= at
        before = self.end is None or at < timestamp(self.end)
        return after and before and self.environment in ("", environment)

    def plain(self) -> dict[str, Any]:
        return {
            "from": timestamp(self.start) if self.start else None,
            "to": timestamp(self.end) if self.end else None,
            "environment": self.environment or None,
        }


@dataclass(frozen=True)
class Tested:
    """One control test's outcome."""

    control: Control
    result: str
    counts: dict[str, int]
    rows: list[dict[str, Any]]

    @property
    def population(self) -> int:
        return len(self.rows)

    def plain(self) -> dict[str, Any]:
        return {
            "id": self.control.id,
            "version": self.control.version,
            "definition": self.control.digest,
            "result": self.result,
            "population": self.population,
            "counts": self.counts,
            "rows": self.rows,
        }


@dataclass(frozen=True)
class Report:
    """All control tests over one scope, under one checkpoint."""

    checkpoint: Checkpoint
    scope: Scope
    tested: list[Tested]

    def of(self, control: str) -> Tested:
        """The outcome of one control test."""
        return next(one for one in self.tested if one.control.id == control)

    def plain(self) -> dict[str, Any]:
        root = bytes(self.checkpoint.root).hex()
        return {
            "v": 1,
            "checkpoint": {"size": self.checkpoint.size, "root": root},
            "scope": self.scope.plain(),
            "controls": [one.plain() for one in self.tested],
        }

    def bytes(self) -> bytes:
        """The one spelling of this report."""
        return canonical(self.plain())

    @property
    def digest(self) -> str:
        return digest_of("countersign/control-report/v1", self.plain())


def evaluate(checkpoint: Checkpoint, scope: Scope) -> Report:
    """Every control test over every execution in scope."""
    facts = known(checkpoint.size, bytes(checkpoint.root))
    return report(facts, checkpoint, scope)


def report(facts: Facts, checkpoint: Checkpoint, scope: Scope) -> Report:
    """The same from facts that are folded already."""
    started = (execution(start, facts) for start in facts.starts)
    items = [one for one in started if scope.holds(one) and not one.only_planned]
    return Report(checkpoint, scope, [_test(control, items, facts) for control in controls().values()])


@lru_cache(maxsize=2)
def known(size: int, root: bytes) -> Facts:
    """The facts under one checkpoint: what is sealed never changes, so they may be kept."""
    return fold(bodies(size))


def _test(control: Control, items: list[Execution], facts: Facts) -> Tested:
    rows = [_row(one, judge(control.id, one, facts), facts) for one in items]
    counted_results = Counter(row["result"] for row in rows)
    counts = {result: counted_results[result] for result in RESULTS}
    return Tested(control, verdict(counts), counts, rows)


def verdict(counts: dict[str, int]) -> str:
    """The result of a test; nothing tested is never a success."""
    if counts["fail"] or counts["indeterminate"]:
        return "not_effective"
    if counts["exception"]:
        return "effective_with_exceptions"
    return "effective" if counts["pass"] else "not_tested"


def _row(one: Execution, judgement: Judgement, facts: Facts) -> dict[str, Any]:
    """The evidence of one item: what an auditor follows from the start back to the request."""
    approvals = counted(one, facts)
    request = one.revision.data if one.revision else {}
    return {
        "result": judgement.result,
        "reason": judgement.reason,
        "words": judgement.words,
        "deviation": judgement.deviation or None,
        "run": one.start.data["run"],
        "change": one.change,
        "service": request.get("service"),
        "environment": one.start.data["environment"],
        "requester": request.get("requester_person"),
        "requester_actor": one.revision.actor if one.revision else None,
        "approvers": sorted({sign_off.person for sign_off in approvals}),
        "approver_actors": sorted({sign_off.given.actor for sign_off in approvals}),
        "requested_at": one.revision.time if one.revision else None,
        "approved_at": max((sign_off.given.time for sign_off in approvals), default=None),
        "started_at": one.start.time,
        "digest": one.digest,
        "workflow_digest": request.get("workflow_digest"),
        "policy_decision": request.get("policy_decision"),
        "index": one.start.index,
        "permit_index": one.permit.index if one.permit else None,
        "permit_checkpoint": one.permit.data["checkpoint_size"] if one.permit else None,
        "approval_indexes": sorted(sign_off.given.index for sign_off in approvals),
    }
