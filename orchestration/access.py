"""Who may see and do what with a change or a run: grants on its workflow, service and environment, deny by default.

Every door fetches through here, so that what may not be seen is not found.
"""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from accounts import permissions, recent
from accounts.models import Membership, User
from audit.refusals import NotAllowed, NotFound
from orchestration import reviews
from orchestration.actions.manual import ANYONE
from orchestration.models import (
    CONTROL_ROOM,
    ITSELF,
    Change,
    Environment,
    Run,
    Service,
    Step,
    Workflow,
    WorkflowVersion,
)

SECRET = "There is nothing here, or it is not yours to see."  # noqa: S105 - a sentence
# Whole policies, which nobody who looks at a change reads.
HEAVY = [f"revision__chain__decision__bundle__{name}" for name in ("sources", "rules", "tests")]
ON_CHANGE = {"edit", "withdraw"}  # what only the requester may do


def visible_changes(user: Any) -> QuerySet[Change]:
    """Changes whose workflow, service and environment this account may all see, and its own."""
    seen = Q(
        workflow__in=permissions.visible(user, Workflow.objects.all()),
        service__in=permissions.visible(user, Service.objects.all()),
        environment__in=permissions.visible(user, Environment.objects.all()),
    )
    own = Q(requester=user) if isinstance(user, User) else Q(pk__in=[])
    return Change.objects.filter(seen | own)


def visible_runs(user: Any) -> QuerySet[Run]:
    return Run.objects.filter(change__in=visible_changes(user))


def get_change_or_404(user: Any, key: str, *, may: str = "view") -> Change:
    """The change by id or key (`CHG-12`); NotFound when its existence is a secret, NotAllowed otherwise."""
    found = visible_changes(user).select_related(
        "workflow__active", "service__owner", "environment", "requester", "rolls_back",
        "revision__chain__decision__bundle", "revision__workflow_version__workflow", "revision__author",
    ).defer(*HEAVY)  # fmt: skip
    change: Change = _by_key(found, key, "CHG-")
    if may in ON_CHANGE and change.requester_id != user.pk:
        raise NotAllowed(
            f"Only {change.requester.name}, who requested it, can {may} this change. Nothing was done."
        )
    if may == "operate":
        require_operate(user, change)
    return change


def get_run_or_404(user: Any, key: str) -> Run:
    """The run by id or key (`RUN-3`)."""
    found = visible_runs(user).select_related(
        "change__workflow", "change__service", "change__environment", "change__requester", "change__revision",
        "change__rolls_back", "revision__workflow_version__workflow", "revision__chain",
        "plan__workflow_version__workflow", "permit",
    )  # fmt: skip
    run: Run = _by_key(found, key, "RUN-")
    return run


def get_workflow_or_404(user: Any, slug: str, *, may: str = "view") -> Workflow:
    """The workflow by slug, with its active version."""
    workflow = Workflow.objects.select_related("owner", "active").filter(slug=slug).first()
    if workflow is None:
        raise NotFound(SECRET)
    permissions.require(user, may, workflow)
    return workflow


def visible_workflows(user: Any, verb: str = "view") -> QuerySet[Workflow]:
    return permissions.visible(user, Workflow.objects.all(), verb)


def visible_services(user: Any, verb: str = "view") -> QuerySet[Service]:
    return permissions.visible(user, Service.objects.all(), verb)


def visible_environments(user: Any, verb: str = "view") -> QuerySet[Environment]:
    return permissions.visible(user, Environment.objects.all(), verb)


def requestable_environments(user: Any, version: WorkflowVersion | None) -> QuerySet[Environment]:
    """Where this account may ask for this version to run."""
    named = version.environments if version else []
    return visible_environments(user, "request").filter(slug__in=named)


def requestable_services(user: Any, version: WorkflowVersion | None) -> QuerySet[Service]:
    """What this account may ask it for: Countersign itself where it lands in the control room, else never."""
    itself = version is not None and version.environments == [CONTROL_ROOM]
    found = visible_services(user, "request")
    return found.filter(slug=ITSELF) if itself else found.exclude(slug=ITSELF)


def may_operate(user: Any, change: Change) -> bool:
    """Stop: a grant on the workflow, the service and the environment, or one's own change."""
    return change.requester_id == user.pk or _operates(user, change)


def _operates(user: Any, change: Change) -> bool:
    return all(
        permissions.may(user, "operate", one) for one in (change.workflow, change.service, change.environment)
    )


def may_request(user: Any, change: Change) -> bool:
    """Ask for something like it: a grant on the workflow, the service and the environment."""
    return all(
        permissions.may(user, "request", one) for one in (change.workflow, change.service, change.environment)
    )


def require_operate(user: Any, change: Change) -> None:
    if not may_operate(user, change):
        raise NotAllowed("You can see this run but not stop it. Those who operate its service can.")


def may_answer(user: Any, run: Run) -> bool:
    """Say what became of a step, or tick one off: whoever operates it, and neither asked for it nor wrote it."""
    return _operates(user, run.change) and user.person_id not in run.conflicted


def may_tick_off(user: Any, run: Run, step: Step) -> bool:
    """Say that a step of a person is done: of the team that it names, or whoever operates the service."""
    return isinstance(user, User) and (_in_team(user, step) if _team(step) else _operates(user, run.change))


def require_tick_off(user: Any, run: Run, step: Step) -> None:
    """The team or the grant; that nobody vouches for themselves is the writer's own rule."""
    if not may_tick_off(user, run, step):
        who = f"People of {_team(step)}" if _team(step) else "Those who operate its service"
        raise NotAllowed(f"You can see this run but not do this step. {who} can.")


def may_do(user: Any, run: Run, step: Step) -> bool:
    """The same for oneself: unless the step says that anyone may, whoever asked or wrote is not asked."""
    by_others = step.spec["with"].get("by") != ANYONE
    return may_tick_off(user, run, step) and not (by_others and user.person_id in run.conflicted)


def steps_for(user: User) -> list[Step]:
    """The steps that wait for this person to do them, the oldest first."""
    waiting = Step.objects.filter(state=Step.State.ASKING, run__in=visible_runs(user)).select_related(
        "run__revision__chain", "run__change__workflow", "run__change__service", "run__change__environment"
    )
    return [step for step in waiting.order_by("started_at") if may_do(user, step.run, step)]


def _team(step: Step) -> str:
    return str(step.spec["with"].get("team", ""))


def _in_team(user: User, step: Step) -> bool:
    return (
        user.is_active
        and Membership.objects.filter(user=user, team__slug=_team(step), ended_at=None).exists()
    )


def who_may_answer(run: Run) -> list[str]:
    """Their names."""
    change = run.change
    about = (change.workflow, change.service, change.environment)
    granted = [permissions.people_who_may("operate", one) for one in about]
    people = granted[0].filter(pk__in=granted[1]).filter(pk__in=granted[2])
    return [one.name for one in people.exclude(person__in=run.conflicted).order_by("name")]


def require_answer(user: Any, run: Run) -> None:
    """The grant; that nobody vouches for themselves is the writer's own rule."""
    if not _operates(user, run.change):
        raise NotAllowed("You can see this run but not answer for it. Those who operate its service can.")


def may_plan(user: Any, change: Change) -> bool:
    """Let its plan steps look again: whoever may edit it, or holds the grants to decide."""
    return change.requester_id == user.pk or (isinstance(user, User) and may_sign_off(user, change))


def require_plan(user: Any, change: Change) -> None:
    if not may_plan(user, change):
        raise NotAllowed(
            "You can see this change but not plan it again. Its requester and its reviewers can."
        )


def require_sign_off(user: Any, change: Change) -> None:
    """The object permission; who may decide a stage is the chain's own question.

    Somebody in conflict passes: the chain has the better answer, that nobody approves what is their own.
    """
    if change.revision is not None and user.person_id in change.revision.chain.conflicted:
        return
    for one in (change.workflow, change.service, change.environment):
        permissions.require(user, "sign_off", one)


def may_sign_off(user: User, change: Change) -> bool:
    """Whether this account holds the grants; whether a stage asks it is the chain's own question."""
    return user.pk in who_may_sign_off(change)


def may_review(user: User, change: Change) -> bool:
    """An emergency: whoever holds the grants and took no part."""
    return may_sign_off(user, change) and user.person_id not in reviews.took_part(change)


def who_may_sign_off(change: Change) -> set[UUID]:
    """The accounts that hold the grants on all that the change is about."""
    about = (change.workflow, change.service, change.environment)
    granted = [permissions.people_who_may("sign_off", one).values_list("pk", flat=True) for one in about]
    return set.intersection(*(set(one) for one in granted))


def require_recent(request: HttpRequest, change: Change) -> None:
    """A decision about a protected environment needs somebody who proved lately who they are."""
    if change.environment.protected:
        recent.require(request, at=datetime.now(UTC))


def waiting_for(user: User) -> QuerySet[Change]:
    """Changes whose open stage asks this account now: the inbox, most urgent first."""
    waiting = Change.objects.waiting_on(user).filter(pk__in=visible_changes(user).values("pk"))
    known = waiting.select_related("service", "environment", "requester", "workflow", "revision__chain")
    return known.order_by(Coalesce("due_at", "revision__chain__expires_at"), "number")


def may_view_topic(user: Any, kind: str, key: UUID) -> bool:
    """Whether a socket of this account may hear of a change or a run."""
    if kind == "change":
        return visible_changes(user).filter(pk=key).exists()
    return kind == "run" and visible_runs(user).filter(pk=key).exists()


def _by_key(found: QuerySet[Any], key: str, prefix: str) -> Any:
    """By human key or UUID; anything else is not found."""
    number = key.upper().removeprefix(prefix)
    if number != key.upper() and number.isdecimal() and len(number) < 18:
        row = found.filter(number=int(number)).first()
    else:
        try:
            row = found.filter(pk=UUID(key)).first()
        except ValueError:
            row = None
    if row is None:
        raise NotFound(SECRET)
    return row
