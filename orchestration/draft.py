"""A request that is valid and that nobody has judged yet, and what policy may read of it.

The facts are derived here from records; nothing that a requester claims decides who must agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.models import Membership, User
from approvals import freezes
from approvals.calendar.schedule import Schedule
from approvals.periods import Place
from audit.ledger.record import timestamp
from orchestration.definitions import digest as digests
from orchestration.definitions import phases, repeats
from orchestration.definitions.digest import Content, Emergency
from orchestration.definitions.undo import Undo
from orchestration.models import Change, Environment, Run, Service, WorkflowVersion

HISTORY = 20  # how many earlier runs are looked at for failures in a row


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A request that is valid and allowed, and that nobody has judged yet."""

    change_id: UUID
    change_key: str
    number: int  # of the revision
    version: WorkflowVersion
    service: Service
    environment: Environment
    inputs: Mapping[str, Any]
    reason: str
    not_before: datetime | None
    not_after: datetime | None
    requester: User
    authors: tuple[User, ...]  # whoever asked, edited, or wrote what will run
    emergency: Emergency | None
    repeats: Schedule | None = None
    secrets: Sequence[Mapping[str, str]] = ()
    found: tuple[Mapping[str, Any], ...] = ()  # what plan steps found, by digest
    plans: int = 0  # how many plans of the change there were when this was made
    recused: frozenset[UUID] = frozenset()  # persons who said that they have a conflict of interest
    undo: Undo | None = None  # of a rollback: what it undoes, and how

    @property
    def has_plan(self) -> bool:
        """Whether something is to be found out before anybody can be asked: a rollback was signed already."""
        steps = self.version.document["spec"]["steps"]
        return self.undo is None and any(phases.is_plan(step) for step in steps)

    @property
    def conflicted(self) -> frozenset[UUID]:
        """Persons who never count; a service account stands for the person who answers for it."""
        return self.recused | {one.person_id for one in (self.requester, *self.authors)}

    @property
    def place(self) -> Place:
        return Place(self.environment.slug, self.service.slug, self.version.workflow.slug)

    def content(self, bundle_digest: str) -> Content:
        return Content(
            change_id=self.change_id,
            number=self.number,
            version=self.version,
            service=self.service,
            environment=self.environment,
            inputs=self.inputs,
            reason=self.reason,
            requesters=self.conflicted,
            bundle_digest=bundle_digest,
            freezes=freezes.versions(self.place),
            not_before=self.not_before,
            not_after=self.not_after,
            emergency=self.emergency,
            repeats=self.repeats,
            secrets=self.secrets,
            plan=self.found,
            undo=self.undo,
        )


def facts(draft: Draft) -> dict[str, Any]:
    """What policy may read: derived here from records, never from what the request claims."""
    version, service, environment = draft.version, draft.service, draft.environment
    said = freezes.active(draft.place)
    steps = digests.steps(draft.content(""))
    return {
        "api": "v1",
        "phase": "request",
        "now": timestamp(said.now),
        "change": {
            "id": draft.change_key,
            "revision": draft.number,
            "inputs": dict(draft.inputs),
            "reason": draft.reason,
            "emergency": draft.emergency is not None,
            "repeats": repeats.fact(draft.repeats),
            "plan": phases.fact(draft.found),
            "rolls_back": draft.undo.change if draft.undo else None,
        },
        "workflow": {
            "slug": version.workflow.slug,
            "title": version.workflow.title,
            "version": version.number,
            "digest": version.digest,
            "owner": version.workflow.owner.slug,
            "effects": sorted({step["effect"] for step in steps}),
            "acts": digests.acts(steps),
        },
        "service": {"slug": service.slug, "tier": service.tier, "owner": service.owner.slug},
        "environment": {
            "slug": environment.slug,
            "tier": environment.tier,
            "protected": environment.protected,
            "frozen_by": [freeze.name for freeze in said.held],
        },
        "requester": {
            "id": str(draft.requester.pk),
            "teams": _teams(draft.requester),
            "kind": str(draft.requester.kind),
        },
        "authors": sorted({str(author.pk) for author in draft.authors}),
        "history": _history(draft),
        "evidence": {},
        "claims": {},
    }


def _teams(user: User) -> list[str]:
    return sorted(Membership.objects.filter(user=user, ended_at=None).values_list("team__slug", flat=True))


def _history(draft: Draft) -> dict[str, Any]:
    """What became of the same workflow and service in the same environment before."""
    similar = Change.objects.filter(
        workflow=draft.version.workflow, service=draft.service, environment=draft.environment
    ).exclude(pk=draft.change_id)
    runs = Run.objects.applying().filter(change__in=similar, ended_at__isnull=False).order_by("-ended_at")
    ends = list(runs.values_list("state", flat=True)[:HISTORY])
    in_a_row = next((count for count, state in enumerate(ends) if state != Run.State.FAILED), len(ends))
    last = runs.filter(state=Run.State.SUCCEEDED).values_list("ended_at", flat=True).first()
    return {
        "last_success": timestamp(last) if last else None,
        "recent_failures": in_a_row,
        "similar_changes": similar.count(),
    }
