"""Approved changes to run, each with the history a real one has: policy, chain, sign-offs, and all."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.acting import Acting
from accounts.models import User
from approvals.clock import database_time
from audit.canonical import canonical, digest, uuid7
from audit.ledger.entry import system
from audit.ledger.record import record
from orchestration import lifecycle
from orchestration.engine import runs
from orchestration.models import Change, Environment, Revision, Run, Service, Step, Workflow, WorkflowVersion
from orchestration.secrets import references
from tests.approvals.cast import Bank, complete, facts, team

SETUP = system("system:setup")


def step(key: str, *, needs: list[str] | None = None, seconds: int = 0, **more: Any) -> dict[str, Any]:
    """One step as a revision's document tells it."""
    return {"key": key, "uses": "wait", "with": {"seconds": seconds}, "needs": needs or [], **more}


def made(row: Any, kind: str) -> Any:
    row.save(force_insert=True)
    record(kind, of=row, subject=str(row.pk), actor=SETUP)
    return row


class World:
    """The bank, and what it may change: a service, an environment, a workflow."""

    def __init__(self) -> None:
        self.bank = Bank()
        tag = uuid7().hex[-8:]
        with transaction.atomic():
            owner = team("payments")
            service = Service(slug=f"payments-{tag}", name="Payments", tier=1, owner=owner)
            self.service = made(service, "service.created")
            there = Environment.objects.filter(slug="production").first()  # policy knows it by this name
            production = Environment(slug="production", name="Production", tier=1, position=9)
            self.environment = there or made(production, "environment.created")
            workflow = Workflow(slug=f"deploy-{tag}", title="Deploy", owner=owner)
            self.workflow = made(workflow, "workflow.created")
            version = WorkflowVersion(
                workflow=workflow, number=1, digest=f"sha256:{tag}", source="", document={}
            )
            self.workflow_version = made(version, "workflow_version.created")

    @property
    def requester(self) -> User:
        return self.bank.noor

    @property
    def by(self) -> Acting:
        return Acting(self.requester, "session")

    @property
    def witness(self) -> Acting:
        """Somebody who took no part, and says what became of a step."""
        return Acting(self.bank.sam, "session")

    def draft(self) -> Change:
        """In the caller's transaction."""
        change = Change.objects.create(
            workflow=self.workflow,
            service=self.service,
            environment=self.environment,
            requester=self.requester,
            title="Deploy payments",
        )
        record("change.requested", of=change, subject=change.key, actor=self.by.actor)
        return change

    def approved(self, *steps: dict[str, Any], not_after: datetime | None = None, **says: Any) -> Change:
        """A change that went from draft over waiting to approved, signed off by everybody who was asked."""
        with transaction.atomic():
            change = self.draft()
        asked = self.facts()
        document = {**self.document(change, asked, list(steps)), **says}
        named = digest("countersign/change/v1", document)
        chain = complete(self.bank, digest=named, **asked)
        with transaction.atomic():
            revision = Revision.objects.create(
                change=change,
                number=1,
                workflow_version=self.workflow_version,
                inputs={},
                reason="because",
                document=canonical(document),
                digest=named,
                chain=chain,
                author=self.requester,
                not_after=not_after,
            )
            lifecycle.move(change, Change.State.WAITING, by=self.by.actor, columns={"revision": revision})
            lifecycle.move(change, Change.State.APPROVED, by=self.by.actor)
        return change

    def facts(self) -> dict[str, Any]:
        """What policy is asked about this service, here, by this workflow."""
        asked = facts(self.requester)
        return {
            "service": {**asked["service"], "slug": self.service.slug},
            "workflow": {**asked["workflow"], "slug": self.workflow.slug, "acts": []},
            "change": {**asked["change"], "inputs": {}, "reason": "because"},
        }

    def document(self, change: Change, asked: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
        """What would run, as far as anybody reads it."""
        return {
            "change": str(change.pk),
            "revision": 1,
            "workflow": {name: asked["workflow"][name] for name in ("slug", "version", "digest")},
            "service": {"slug": self.service.slug},
            "environment": {"slug": self.environment.slug},
            "inputs": {},
            "reason": "because",
            "emergency": None,
            "window": {"not_before": None, "not_after": None},
            "effects": asked["workflow"]["effects"],
            "requesters": [str(self.requester.person_id)],
            "steps": steps,
            "secrets": references.resolve(steps, self.workflow, self.service, self.environment),
        }

    def run(self, *steps: dict[str, Any], **more: Any) -> Run:
        """The run of an approved change, ready to start."""
        change = self.approved(*steps, **more)
        assert change.revision is not None
        with transaction.atomic():
            run = runs.create(change, revision=change.revision, by=self.by.actor, at=database_time())
        assert run is not None
        return run


def chain_of(count: int, **more: Any) -> list[dict[str, Any]]:
    """Steps that follow one another: s0, s1, ..."""
    return [step(f"s{i}", needs=[f"s{i - 1}"] if i else [], **more) for i in range(count)]


def walked(row: Any, to: Any, moves: dict[Any, frozenset[Any]], by_move: Callable[..., None]) -> None:
    """Bring a fresh row to a state by legal moves alone: each row of a test has the history of a real one."""
    start = type(to)(row.state)
    came_from, front = {start: start}, [start]
    while to not in came_from:
        state = front.pop(0)
        fresh = [near for near in sorted(moves.get(state, ())) if near not in came_from]
        came_from.update(dict.fromkeys(fresh, state))
        front += fresh
    path = [to]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    for state in reversed(path[:-1]):
        by_move(row, state)


def states(run: Run) -> dict[str, str]:
    """The states of a run's steps, by key."""
    return dict(Step.objects.filter(run=run).order_by("position").values_list("key", "state"))
