"""A request before it is stored: validated, authorised, and judged by policy outside any transaction.

It must never store one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.conf import settings
from django.db import connection

from accounts import permissions
from accounts.acting import Acting
from accounts.models import User
from approvals import eligibility, policy, recusal
from approvals.models import Decision
from approvals.policy import bundles
from audit.canonical import parse, uuid7
from audit.refusals import Invalid, MoveNotAllowed, Refusal
from orchestration import access, demanded, sense, undoing
from orchestration import emergency as emergencies
from orchestration.definitions import digest as digests
from orchestration.definitions import inputs as forms
from orchestration.definitions import repeats as times
from orchestration.definitions.digest import Content, Emergency
from orchestration.definitions.repeats import Repeat, Window
from orchestration.definitions.undo import Undo
from orchestration.draft import Draft, facts
from orchestration.engine.flow import foreseen
from orchestration.models import (
    CONTROL_ROOM,
    ITSELF,
    Change,
    Environment,
    Plan,
    Revision,
    Service,
    WorkflowVersion,
)
from orchestration.secrets import references

C = Change.State
BEFORE_START = {C.WAITING, C.SENT_BACK, C.APPROVED, C.SCHEDULED}
EDITABLE = {C.DRAFT, *BEFORE_START}

Found = tuple[WorkflowVersion, Service, Environment]


class NobodyCanDecide(Refusal):
    """Policy asks people who hold no grant to sign off here."""

    code = "nobody_can_decide"


class TooManyOpen(Refusal):
    """One requester has as many changes before their start as this installation lets anybody have."""

    code = "too_many_open"


@dataclass(frozen=True)
class Asked:
    """A draft that policy has judged; nothing of it is stored but the decision."""

    draft: Draft
    decision: Decision
    by: Acting

    @property
    def content(self) -> Content:
        return self.draft.content(self.decision.bundle.digest)


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
    repeats: Repeat | None = None,
    emergency: Emergency | None = None,
) -> Asked:
    """Validate, authorise and let policy decide. Not inside a transaction: policy may take its time."""
    found = _find(workflow, service, environment, by=by, emergency=emergency)
    if emergency is None:
        _require_room(by)
    sense.words(reason, not_before, not_after, emergency)
    window = times.window(not_before, not_after, repeats)
    sense.repeats(window, once=environment == CONTROL_ROOM or emergency is not None)
    draft = _draft(
        found, inputs, reason, key=_next_key(), requester=by.user, window=window, emergency=emergency
    )
    sense.once(draft)
    return _judge(draft, by=by)


def ask_again(
    change: Change,
    *,
    inputs: Mapping[str, Any],
    reason: str,
    by: Acting,
    window: Window | None = None,
) -> Asked:
    """The same for an edit: the active version of the workflow, a new decision, the old window unless given."""
    if C(change.state) not in EDITABLE:
        raise MoveNotAllowed(f"{change.key} is {state_word(change)}; it cannot be edited. Request it anew.")
    last = content_of(change)
    if change.rolls_back is not None:
        return _ask_rollback_again(change, change.rolls_back, last, inputs, reason, window=window, by=by)
    emergency = digests.emergency_of(bytes(last.document))  # an edit neither makes one nor ends one
    slugs = (change.workflow.slug, change.service.slug, change.environment.slug)
    found = _find(*slugs, by=by, emergency=emergency)
    window = window or window_of(last)
    sense.words(reason, window.not_before, window.not_after, emergency)
    sense.repeats(window, once=slugs[2] == CONTROL_ROOM or emergency is not None)
    draft = _draft(
        found, inputs, reason, key=change.key, requester=change.requester, window=window,
        authors=(by.user, *_editors(change)), change_id=change.pk, number=_next_number(change),
        emergency=emergency, recused=_recused(change),
    )  # fmt: skip
    draft = replace(draft, plans=change.plans.count())
    sense.once(draft)
    return _judge(draft, by=by)


def ask_planned(plan: Plan, found: Sequence[Mapping[str, Any]]) -> Asked:
    """The same once it is known what the plan steps found, in the name of whoever asked for it."""
    change, window = plan.change, Window(plan.not_before, plan.not_after)
    emergency = digests.emergency_of(bytes(plan.document))
    sense.words(plan.reason, window.not_before, window.not_after, emergency)
    draft = _draft(
        (plan.workflow_version, change.service, change.environment), plan.inputs, plan.reason, key=change.key,
        requester=change.requester, window=window, authors=(plan.author, *_editors(change)),
        change_id=change.pk, number=_next_number(change), emergency=emergency, recused=_recused(change),
    )  # fmt: skip
    auth: Literal["session", "token"] = "token" if plan.auth == "token" else "session"
    return _judge(replace(draft, found=tuple(found)), by=Acting(plan.author, auth))


def ask_rollback(change: Change, *, reason: str, by: Acting) -> Asked:
    """A change that undoes another, out of what was signed: nothing but the reason is said anew."""
    draft = _undoing(change, reason, key=_next_key(), requester=by.user, by=by)
    sense.words(reason, None, None, None)
    return _judge(draft, by=by)


def preview_rollback(change: Change, *, by: Acting) -> dict[str, Any]:
    """What policy would demand of it. Stores nothing."""
    return _previewed(_undoing(change, "", key="preview", requester=by.user, by=by))


def preview(
    *,
    workflow: str,
    service: str,
    environment: str,
    inputs: Mapping[str, Any],
    by: Acting,
    reason: str = "",
    window: Window = Window(),  # noqa: B008 - a tuple
    emergency: Emergency | None = None,
) -> dict[str, Any]:
    """What policy would demand, with the people who could agree. Stores nothing."""
    found = _find(workflow, service, environment, by=by, emergency=emergency)
    draft = _draft(
        found, inputs, reason, key="preview", requester=by.user, window=window, emergency=emergency
    )
    return _previewed(draft)


def _previewed(draft: Draft) -> dict[str, Any]:
    told = facts(draft)
    output = policy.preview(told)
    document = digests.document(draft.content(bundles.active().digest))
    would = parse(document)
    omitted = foreseen(would)
    named = [{**one, "people": demanded.people(one, draft)} for one in output["require"]]
    return {
        **output,
        "require": named,
        "allowed": not output["deny"],
        "facts": told,
        "steps": [
            {**step, "files": sorted(step["files"]), "omitted": step["key"] in omitted}
            for step in would["steps"]
        ],
        "digest_preview": digests.digest(document),
    }


def current_revision(change: Change) -> Revision:
    """What is asked for now."""
    if change.revision is None:
        raise MoveNotAllowed(f"{change.key} is still being planned; nobody is asked yet.")
    return change.revision


def content_of(change: Change) -> Revision | Plan:
    """What is asked for now: of a change that is being planned, what it is planned for."""
    plan, revision = change.plans.first(), change.revision
    if plan is None or (revision is not None and plan.revises <= revision.number):
        return current_revision(change)
    return plan


def window_of(revision: Revision | Plan) -> Window:
    """When a revision may start, by its bytes."""
    repeats = times.read(parse(bytes(revision.document)))
    return Window(revision.not_before, revision.not_after, repeats)


def inputs_schema(version: WorkflowVersion) -> dict[str, Any]:
    """The JSON Schema of a version's inputs."""
    return forms.schema(version.document)


def _find(workflow: str, service: str, environment: str, *, by: Acting, emergency: Emergency | None) -> Found:
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
        said = f"There is no service named {service}." if service else "Choose a service."
        problems.append({"pointer": "/service", "detail": said})
    if where is None or not permissions.may(by.user, "view", where):
        said = f"There is no environment named {environment}." if environment else "Choose an environment."
        problems.append({"pointer": "/environment", "detail": said})
    elif where.slug not in flow.active.environments:
        problems.append({"pointer": "/environment", "detail": f"{flow.title} does not run in {where.name}."})
    if problems or what is None or where is None:
        raise Invalid(f"Nothing was sent. {problems[0]['detail']}", errors=problems)
    if (what.slug == ITSELF) != (where.slug == CONTROL_ROOM):
        detail = "Countersign itself is changed in the control room, and nothing else is."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/service", "detail": detail}])
    permissions.require(by.user, "request", what)
    permissions.require(by.user, "request", where)
    emergencies.require(emergency, where, by=by)
    return flow.active, what, where


def _require_room(by: Acting) -> None:
    """Before policy is asked, so that a flood costs next to nothing; what is asked at the same moment may pass too."""
    open_now = Change.objects.filter(requester=by.user, state__in=EDITABLE)
    if open_now[: settings.OPEN_CHANGES].count() >= settings.OPEN_CHANGES:
        raise TooManyOpen(
            f"Nothing was sent: {settings.OPEN_CHANGES} changes of yours are open before their start, and more may"
            " not be. Withdraw what is not needed any more."
        )


def _ask_rollback_again(
    change: Change,
    undone: Change,
    last: Revision | Plan,
    inputs: Mapping[str, Any],
    reason: str,
    *,
    window: Window | None,
    by: Acting,
) -> Asked:
    """An edit of a rollback: of what it does nothing can be edited, for it comes from what was signed."""
    if dict(inputs) != last.inputs:
        detail = f"What a rollback does comes from {undone.key}; only its reason and its time can be edited."
        raise Invalid(f"Nothing was sent. {detail}", errors=[{"pointer": "/inputs", "detail": detail}])
    window = window or window_of(last)
    sense.words(reason, window.not_before, window.not_after, None)
    sense.repeats(window, once=True)
    draft = _undoing(
        undone, reason, key=change.key, requester=change.requester, by=by, window=window, but=change,
        authors=(by.user, *_editors(change)), change_id=change.pk, number=_next_number(change),
    )  # fmt: skip
    return _judge(draft, by=by)


def _undoing(
    change: Change,
    reason: str,
    *,
    key: str,
    requester: User,
    by: Acting,
    but: Change | None = None,
    **more: Any,
) -> Draft:
    """The draft of a rollback: the same version, service and environment, each with the right to request it."""
    workflow = access.get_workflow_or_404(by.user, change.workflow.slug, may="request")
    for one in (change.service, change.environment):
        permissions.require(by.user, "request", one)
    undo = undoing.of(change, but=but)
    versions = WorkflowVersion.objects.select_related("workflow__owner", "author")
    version = versions.get(workflow=workflow, digest=undo.document["workflow"]["digest"])
    found = (version, change.service, change.environment)
    return _draft(found, undo.document["inputs"], reason, key=key, requester=requester, undo=undo, **more)


def _draft(
    found: Found,
    inputs: Mapping[str, Any],
    reason: str,
    *,
    key: str,
    requester: User,
    window: Window = Window(),  # noqa: B008 - a tuple
    authors: tuple[User, ...] = (),
    change_id: UUID | None = None,
    number: int = 1,
    emergency: Emergency | None = None,
    recused: frozenset[UUID] = frozenset(),
    undo: Undo | None = None,
) -> Draft:
    version, service, environment = found
    draft = Draft(
        change_id=change_id or uuid7(),
        change_key=key,
        number=number,
        version=version,
        service=service,
        environment=environment,
        inputs=dict(undo.document["inputs"]) if undo else forms.fit(version.document, inputs),
        reason=reason.strip(),
        not_before=window.not_before,
        not_after=window.not_after,
        repeats=window.repeats,
        requester=requester,
        authors=(*authors, *User.objects.filter(pk__in=version.writers())),
        emergency=emergency,
        recused=recused,
        undo=undo,
    )
    steps = digests.steps(draft.content(""))
    sense.begins(draft, steps)
    concerned = User.objects.filter(pk__in=digests.concerned(steps))
    secrets = references.resolve(steps, version.workflow, service, environment)
    return replace(draft, authors=(*draft.authors, *concerned), secrets=secrets)


def _judge(draft: Draft, *, by: Acting) -> Asked:
    """Ask the policy and keep its answer; refuses when those whom it asks could not answer."""
    decision = policy.decide(facts(draft))
    for demand in decision.output["require"]:
        can = eligibility.votes(demanded.places(demand, draft))
        if can < demand["quorum"]:
            raise NobodyCanDecide(
                f"Nothing was sent. Rule {demand['why']['rule']} asks {demand['quorum']} for {demand['stage']}, but"
                f" only {can} may sign off {draft.service.name} in {draft.environment.name}. An admin can grant it."
            )
    sense.lasts(draft, decision)
    return Asked(draft, decision, by)


def _recused(change: Change) -> frozenset[UUID]:
    """Whoever said of any revision that they have a conflict of interest; also of a plan's."""
    return recusal.persons(change.revisions.values_list("chain", flat=True))


def _editors(change: Change) -> list[User]:
    """Whoever wrote what was, or is, asked for."""
    revised = [row.author for row in change.revisions.select_related("author")]
    return revised + [row.author for row in change.plans.select_related("author")]


def _next_number(change: Change) -> int:
    return change.revision.number + 1 if change.revision else 1


def _next_key() -> str:
    """Policy is told the key before there is a row; a gap in the numbers is a request that was refused."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('orchestration_change_number')")
        return f"CHG-{cursor.fetchone()[0]}"


def state_word(change: Change) -> str:
    return C(change.state).label.lower()
