"""A request before it is stored: validated, authorised, and judged by policy outside any transaction.

What policy may read is derived here from records; nothing a requester claims decides who must agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator

from accounts import permissions
from accounts.acting import Acting
from accounts.models import Membership, User
from approvals import eligibility, freezes, policy
from approvals.clock import database_time
from approvals.models import Decision, Stage
from approvals.policy import bundles
from audit.canonical import NotCanonical, canonical, uuid7
from audit.ledger.record import timestamp
from audit.refusals import Invalid, MoveNotAllowed
from orchestration import access, actions
from orchestration.definitions import digest as digests
from orchestration.definitions.digest import Content
from orchestration.definitions.workflow import document as definition_of
from orchestration.definitions.workflow import inputs_schema as schema_of
from orchestration.models import (
    Change,
    Environment,
    Revision,
    Service,
    Workflow,
    WorkflowVersion,
)

C = Change.State
BEFORE_START = {C.WAITING, C.SENT_BACK, C.APPROVED, C.SCHEDULED}
HISTORY = 20  # how many earlier changes count as similar
TEXT_MAX = 4000
Found = tuple[WorkflowVersion, Service, Environment]


@dataclass(frozen=True)
class Asked:
    """A request that is valid, allowed and judged by policy; nothing of it is stored but the decision."""

    change_id: UUID
    number: int
    version: WorkflowVersion
    service: Service
    environment: Environment
    inputs: Mapping[str, Any]
    reason: str
    not_before: datetime | None
    not_after: datetime | None
    decision: Decision
    conflicted: frozenset[UUID]
    by: Acting

    @property
    def content(self) -> Content:
        return Content(
            change_id=self.change_id,
            number=self.number,
            version=self.version,
            service=self.service,
            environment=self.environment,
            inputs=self.inputs,
            requesters=self.conflicted,
            bundle_digest=self.decision.bundle.digest,
            not_before=self.not_before,
            not_after=self.not_after,
        )


def ask(
    *,
    workflow: str,
    service: str,
    environment: str,
    inputs: Mapping[str, Any],
    reason: str,
    by: Acting,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> Asked:
    """Validate, authorise and let policy decide. Not inside a transaction: policy may take its time."""
    found = _find(workflow, service, environment, by=by)
    return _judge(
        uuid7(),
        1,
        found,
        inputs,
        reason,
        requester=by.user,
        not_before=not_before,
        not_after=not_after,
        by=by,
    )


def ask_again(change: Change, *, inputs: Mapping[str, Any], reason: str, by: Acting) -> Asked:
    """The same for an edit: the active version of the workflow, a new decision, the requester's window."""
    if C(change.state) not in BEFORE_START:
        raise MoveNotAllowed(f"{change.key} is {state_word(change)}; it cannot be edited. Request it anew.")
    found = _find(change.workflow.slug, change.service.slug, change.environment.slug, by=by)
    last = current_revision(change)
    window = {"not_before": last.not_before, "not_after": last.not_after}
    return _judge(
        change.pk, last.number + 1, found, inputs, reason, requester=change.requester, by=by, **window
    )


def preview(
    *, workflow: str, service: str, environment: str, inputs: Mapping[str, Any], by: Acting, reason: str = ""
) -> dict[str, Any]:
    """What policy would demand, with the people who could agree. Stores nothing."""
    found = _find(workflow, service, environment, by=by)
    inputs = with_defaults(found[0], inputs)
    _check_inputs(found[0], inputs)
    conflicted = _conflicted(found[0], by.user, by)
    output = policy.preview(_facts(uuid7(), 1, found, inputs, reason, by.user, conflicted))
    content = Content(uuid7(), 1, *found, inputs, conflicted, bundles.active().digest)
    named = [{**one, "people": _people(one, conflicted)} for one in output["require"]]
    allowed = not output["deny"]
    seen = digests.digest(digests.document(content))
    return {**output, "require": named, "allowed": allowed, "digest_preview": seen}


def current_revision(change: Change) -> Revision:
    """What is asked for now."""
    if change.revision is None:
        raise MoveNotAllowed(f"{change.key} has no content yet.")
    return change.revision


def with_defaults(version: WorkflowVersion, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, and the declared default of what was not: a digest leaves nothing to a later reading."""
    rules = definition_of(version)["spec"].get("inputs", {})
    return {**{name: rule["default"] for name, rule in rules.items() if "default" in rule}, **inputs}


def inputs_schema(version: WorkflowVersion) -> dict[str, Any]:
    """The JSON Schema of a version's inputs."""
    return schema_of(definition_of(version))


def _find(workflow: str, service: str, environment: str, *, by: Acting) -> Found:
    """The three records by slug, each with the right to request it."""
    flow = access.get_workflow_or_404(by.user, workflow, may="request")
    if flow.active is None:
        raise Invalid(
            f"{flow.title} has no active version; nothing was sent. {flow.owner.name} can activate one."
        )
    where = Environment.objects.filter(slug=environment).first()
    what = Service.objects.select_related("owner").filter(slug=service).first()
    problems = []
    if what is None or not permissions.may(by.user, "view", what):
        problems.append(
            {"pointer": "/service", "detail": f"There is no service named {service or 'nothing'}."}
        )
    if where is None or not permissions.may(by.user, "view", where):
        problems.append(
            {
                "pointer": "/environment",
                "detail": f"There is no environment named {environment or 'nothing'}.",
            }
        )
    elif where.slug not in flow.active.document["spec"]["environments"]:
        problems.append({"pointer": "/environment", "detail": f"{flow.title} does not run in {where.name}."})
    if problems or what is None or where is None:
        raise Invalid(f"Nothing was sent. {problems[0]['detail']}", errors=problems)
    permissions.require(by.user, "request", what)
    permissions.require(by.user, "request", where)
    return flow.active, what, where


def _judge(
    change_id: UUID,
    number: int,
    found: Found,
    inputs: Mapping[str, Any],
    reason: str,
    *,
    requester: User,
    not_before: datetime | None,
    not_after: datetime | None,
    by: Acting,
) -> Asked:
    inputs = with_defaults(found[0], inputs)
    _check_inputs(found[0], inputs)
    _check_words(reason, not_before, not_after)
    conflicted = _conflicted(found[0], requester, by)
    decision = policy.decide(_facts(change_id, number, found, inputs, reason, requester, conflicted))
    return Asked(
        change_id, number, *found, inputs, reason.strip(), not_before, not_after, decision, conflicted, by
    )


def _check_inputs(version: WorkflowVersion, inputs: Mapping[str, Any]) -> None:
    """Against the version's JSON Schema, and against the profile that a digest can hold."""
    schema = schema_of(definition_of(version))
    faults = sorted(
        Draft202012Validator(schema).iter_errors(inputs), key=lambda fault: list(fault.absolute_path)
    )
    errors = [_fault(fault, schema) for fault in faults]
    try:
        canonical(inputs)
    except NotCanonical as fault:
        errors.append({"pointer": "/inputs", "detail": f"{fault}."})
    if errors:
        raise Invalid(f"Nothing was sent. {errors[0]['detail']}", errors=errors)


def _fault(fault: Any, schema: Mapping[str, Any]) -> dict[str, str]:
    """One fault of jsonschema in words a requester understands."""
    path = [str(part) for part in fault.absolute_path]
    name = path[0] if path else ""
    if fault.validator == "required":
        name = next((one for one in fault.validator_value if one not in fault.instance), "")
        path = [name]
    title = schema["properties"].get(name, {}).get("title", name)
    said = {
        "required": f"{title} is missing.",
        "pattern": f"{title} does not have the expected form.",
        "enum": f"{title} is not one of the choices.",
    }
    return {
        "pointer": "/".join(["/inputs", *path]),
        "detail": said.get(str(fault.validator), f"{title}: {fault.message}."),
    }


def _check_words(reason: str, not_before: datetime | None, not_after: datetime | None) -> None:
    errors = []
    if not reason.strip():
        errors.append(
            {"pointer": "/reason", "detail": "Say why now, and what could go wrong: reviewers read it first."}
        )
    if len(reason) > TEXT_MAX:
        errors.append({"pointer": "/reason", "detail": f"The reason is longer than {TEXT_MAX} characters."})
    if not_before and not_after and not_after <= not_before:
        errors.append({"pointer": "/not_after", "detail": "The end of the window lies before its start."})
    if errors:
        raise Invalid(f"Nothing was sent. {errors[0]['detail']}", errors=errors)


def _conflicted(version: WorkflowVersion, requester: User, by: Acting) -> frozenset[UUID]:
    """Persons who never count: who asked, on whose behalf, who edited, who wrote what will run."""
    persons = {requester.person_id, by.user.person_id}
    if version.author is not None:
        persons.add(version.author.person_id)
    return frozenset(persons)


def _facts(
    change_id: UUID,
    number: int,
    found: Found,
    inputs: Mapping[str, Any],
    reason: str,
    requester: User,
    conflicted: frozenset[UUID],
) -> dict[str, Any]:
    """What policy may read: derived here from records, never from what the request claims."""
    version, service, environment = found
    now = database_time()
    return {
        "api": "v1",
        "phase": "request",
        "now": timestamp(now),
        "change": {
            "id": str(change_id),
            "revision": number,
            "inputs": dict(inputs),
            "reason": reason,
            "emergency": False,
            "plan": None,
        },
        "workflow": {
            "slug": version.workflow.slug,
            "title": version.workflow.title,
            "version": version.number,
            "digest": version.digest,
            "owner": version.workflow.owner.slug,
            "effects": sorted(_effects(version)),
        },
        "service": {"slug": service.slug, "tier": service.tier, "owner": service.owner.slug},
        "environment": {
            "slug": environment.slug,
            "tier": environment.tier,
            "protected": environment.protected,
            "frozen_by": [freeze.name for freeze in freezes.active(environment.slug, at=now)],
        },
        "requester": {"id": str(requester.pk), "teams": _teams(requester), "kind": requester.kind},
        "authors": sorted(
            str(user) for user in User.objects.filter(person__in=conflicted).values_list("pk", flat=True)
        ),
        "history": _history(version.workflow, service, environment),
        "evidence": {},
        "claims": {},
    }


def _effects(version: WorkflowVersion) -> set[str]:
    """The effect classes of its steps, declared or the action's own."""
    steps = version.document["spec"]["steps"].values()
    return {
        step.get("effect") or getattr(actions.get(step["uses"]), "effect", "at_most_once") for step in steps
    }


def _teams(user: User) -> list[str]:
    return sorted(Membership.objects.filter(user=user, ended_at=None).values_list("team__slug", flat=True))


def _history(workflow: Workflow, service: Service, environment: Environment) -> dict[str, Any]:
    similar = Change.objects.filter(workflow=workflow, service=service, environment=environment)
    last = similar.filter(state=C.SUCCEEDED).order_by("-number").first()
    recent = list(similar.order_by("-number").values_list("state", flat=True)[:HISTORY])
    return {
        "last_success": timestamp(last.updated_at) if last else None,
        "recent_failures": recent.count(C.FAILED),
        "similar_changes": len(recent),
    }


def _people(demand: Mapping[str, Any], conflicted: frozenset[UUID]) -> list[dict[str, Any]]:
    """Who could agree to a stage that is only demanded so far."""
    teams, users = eligibility.pin(demand["teams"], demand.get("users", []), rule=demand["why"]["rule"])
    stage = Stage(team_ids=list(teams.values()), user_ids=users)
    return [
        {"id": str(one.user), "name": one.name} for one in eligibility.people(stage, conflicted=conflicted)
    ]


def state_word(change: Change) -> str:
    return C(change.state).label.lower()
