"""What may be requested, and where: the only writer of environments, services, workflows and their versions.

A version is never edited. It becomes the active one after somebody else of the owner team has approved it.
"""

from collections.abc import Collection
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Max

from accounts.acting import Acting
from accounts.models import Team, User
from approvals import known
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.models import Coupled
from audit.refusals import (
    Invalid,
    MoveNotAllowed,
    NotAllowed,
    NotFound,
    Refusal,
    StaleVersion,
    WeakensProtection,
)
from orchestration import changes
from orchestration.definitions.workflow import Definition
from orchestration.models import CONTROL_ROOM, Environment, Service, Workflow, WorkflowVersion

Row = TypeVar("Row", Environment, Service)
V = WorkflowVersion.State


REMEMBERED = {"tier", "protected", "owner"}  # by workers: approvals/known.py


class NameTaken(Refusal):
    """Something of this kind has this name."""

    code = "name_taken"


class OwnVersion(NotAllowed):
    """An author does not approve their own version."""

    code = "own_version"


def create_environment(
    *, slug: str, name: str, tier: int, position: int, protected: bool = True, by: Actor
) -> Environment:
    """A place where changes land."""
    if slug == CONTROL_ROOM and not (protected and tier == 1):
        raise WeakensProtection(f"{slug} is protected and of tier 1; nothing was created.")
    given = {"slug": slug, "name": name, "tier": tier, "position": position, "protected": protected}
    environment = Environment(**given)
    _create(environment, "environment.created", by=by, told=given)
    return environment


def create_service(*, slug: str, name: str, tier: int, owner: Team, by: Actor) -> Service:
    """Something that is changed, with the team that is asked first."""
    given = {"slug": slug, "name": name, "tier": tier}
    service = Service(**given, owner=owner)
    _create(service, "service.created", by=by, told={**given, "owner": owner.slug})
    return service


def edit_environment(environment: Environment, *, by: Actor, **edited: Any) -> Environment:
    """Other facts about an environment; every change that was asked of it, and has not started, is sent back."""
    _check_not_weaker(environment, edited)
    if edited.get("protected") is False and environment.protected:
        raise WeakensProtection(
            f"{environment.name} stays protected: an edit alone cannot lift that. Request environment-unprotect."
        )
    with transaction.atomic():
        _edit(environment, "environment.edited", by=by, columns=edited, told=edited)
        changes.recall(environment=environment, by=by, why=f"{environment.name} was edited")
    return environment


def edit_service(service: Service, *, by: Actor, **edited: Any) -> Service:
    """Other facts about a service; the same holds."""
    told = {key: value.slug if isinstance(value, Team) else value for key, value in edited.items()}
    _check_not_weaker(service, edited)
    if edited.get("owner", service.owner) != service.owner:
        raise WeakensProtection(
            f"{service.name} stays with {service.owner.name}: others would be asked. Request service-owner."
        )
    with transaction.atomic():
        _edit(service, "service.edited", by=by, columns=edited, told=told)
        changes.recall(service=service, by=by, why=f"{service.name} was edited")
    return service


def edit_governed(row: Environment | Service, *, by: Actor, **edited: Any) -> None:
    """An edit that may weaken a protection: only a governed act, itself countersigned, comes here."""
    told = {key: value.slug if isinstance(value, Team) else value for key, value in edited.items()}
    about = {row._meta.model_name or "": row}
    with transaction.atomic():
        _edit(row, f"{row._meta.model_name}.edited", by=by, columns=edited, told=told)
        changes.recall(by=by, why=f"{row.name} was edited", **about)
        # Before the commit: workers that remember too little learn it at the next start; too much, and all is shut.
        known.allow(
            f"{row._meta.model_name}:{row.slug}", {name: told[name] for name in told if name in REMEMBERED}
        )


def add_version(
    definition: Definition, *, origin: str, by: Acting, authors: Collection[str] = ()
) -> WorkflowVersion:
    """Store a version, which waits for its approval; the same content is the same version.

    `authors` are usernames of whoever wrote it too: commit authors, where a machine stores what people wrote.
    """
    _check_author(definition, by)
    accounts = _accounts(authors)
    with transaction.atomic():
        workflow = _workflow(definition, by=by.actor)
        found = WorkflowVersion.objects.filter(digest=definition.digest).first()
        return found or _store(
            workflow, definition, origin=origin, author=by.user, co_authors=accounts, by=by.actor
        )


def approve_version(version: WorkflowVersion, *, by: Acting) -> Workflow:
    """Make a waiting version the active one; the one before it retires."""
    with transaction.atomic():
        workflow = Workflow.objects.select_for_update(no_key=True).get(pk=version.workflow_id)
        version = WorkflowVersion.objects.select_related("workflow__owner", "author").get(pk=version.pk)
        _check_approver(version, by)
        if version.state != V.WAITING:
            raise MoveNotAllowed(f"Version {version.number} is {version.state}; there is nothing to approve.")
        _replace(workflow, version, by=by.actor)
    return workflow


def may_approve(version: WorkflowVersion, *, by: Acting) -> bool:
    """Whether this person is one who decides about this version."""
    try:
        _check_approver(version, by)
    except NotAllowed:
        return False
    return True


def refuse_version(version: WorkflowVersion, *, reason: str, by: Acting) -> None:
    """Say no to a waiting version; it stays as history."""
    with transaction.atomic():
        Workflow.objects.select_for_update(no_key=True).get(pk=version.workflow_id)
        version = WorkflowVersion.objects.select_related("workflow__owner", "author").get(pk=version.pk)
        _check_approver(version, by)
        if version.state != V.WAITING:
            raise MoveNotAllowed(f"Version {version.number} is {version.state}; there is nothing to refuse.")
        _move_version(version, V.REFUSED, by=by.actor, reason=Erasable(reason))


def install(definition: Definition, *, origin: str, by: Actor, authors: Collection[str] = ()) -> Workflow:
    """A version that comes with the installation and is active at once: its entry names who installed it."""
    accounts = _accounts(authors)
    with transaction.atomic():
        workflow = _workflow(definition, by=by)
        found = WorkflowVersion.objects.filter(digest=definition.digest).first()
        if found is None:
            found = _store(workflow, definition, origin=origin, author=None, co_authors=accounts, by=by)
        if found.state == V.WAITING:
            _replace(workflow, found, by=by)
    return workflow


def _store(
    workflow: Workflow,
    definition: Definition,
    *,
    origin: str,
    author: User | None,
    co_authors: list[UUID],
    by: Actor,
) -> WorkflowVersion:
    newest = workflow.versions.aggregate(newest=Max("number"))["newest"] or 0
    version = WorkflowVersion.objects.create(
        workflow=workflow,
        number=newest + 1,
        digest=definition.digest,
        source=definition.text,
        document=definition.document,
        files=definition.files,
        origin=origin,
        author=author,
        co_authors=co_authors,
    )
    _record_version("workflow_version.created", version, by=by, origin=origin)
    return version


def _replace(workflow: Workflow, version: WorkflowVersion, *, by: Actor) -> None:
    """Retire the active version, activate this one."""
    if workflow.active is not None:
        _move_version(workflow.active, V.RETIRED, by=by)
    _move_version(version, V.ACTIVE, by=by)
    _activate(workflow, version, by=by)


def _check_not_weaker(row: Environment | Service, edited: dict[str, Any]) -> None:
    """A higher number is a less critical tier, of which policy asks less."""
    if edited.get("tier", row.tier) > row.tier:
        raise WeakensProtection(
            f"{row.name} stays at tier {row.tier}: an edit alone cannot make it less critical."
            f" Request {row._meta.model_name}-tier."
        )


def _check_author(definition: Definition, by: Acting) -> None:
    """Whoever writes for a team is in it."""
    owner = definition.document["metadata"]["owner"]
    if not by.user.memberships.filter(team__slug=owner, ended_at=None).exists():
        raise NotAllowed(f"Versions of this workflow come from the team {owner}; nothing was stored.")


def _accounts(usernames: Collection[str]) -> list[UUID]:
    """The accounts of these authors; a name that nobody has would leave an author free to agree."""
    known = dict(User.objects.filter(username__in=usernames).values_list("username", "pk"))
    if missing := sorted(set(usernames) - set(known)):
        detail = f"There is no account {missing[0][:150]!r}."
        raise Invalid(f"Nothing was stored. {detail}", errors=[{"pointer": "/authors", "detail": detail}])
    return sorted(known.values())


def _check_approver(version: WorkflowVersion, by: Acting) -> None:
    """A person in a session, of the owner team, who did not write it."""
    owner = version.workflow.owner
    if by.auth != "session" or by.actor.kind != "person":
        raise NotAllowed("A version is approved by a person in a browser; nothing was done.")
    if User.objects.filter(pk__in=version.authors, person=by.user.person_id).exists():
        raise OwnVersion(f"You wrote this version, so somebody else of {owner.name} must approve it.")
    if not owner.memberships.filter(user=by.user, ended_at=None).exists():
        raise NotAllowed(f"A version is approved by somebody of {owner.name}; nothing was done.")


def _workflow(definition: Definition, *, by: Actor) -> Workflow:
    """The workflow of this name, locked; made when it is new."""
    metadata = definition.document["metadata"]
    owner = Team.objects.filter(slug=metadata["owner"]).first()
    if owner is None:
        raise NotFound(f"The owner {metadata['owner']} is no team here; the version was not stored.")
    known = set(Environment.objects.values_list("slug", flat=True))
    if unknown := [slug for slug in definition.document["spec"]["environments"] if slug not in known]:
        raise Invalid(f"There is no environment {unknown[0]} here; the version was not stored.")
    workflow = Workflow.objects.select_for_update(no_key=True).filter(slug=definition.slug).first()
    if workflow is None:
        workflow = Workflow(slug=definition.slug, title=metadata["title"], owner=owner)
        workflow.summary = definition.document["spec"].get("description", "")
        told = {"slug": workflow.slug, "owner": owner.slug, "title": workflow.title}
        _create(workflow, "workflow.created", by=by, told=told)
    if workflow.owner_id != owner.pk:
        raise NotAllowed(f"{workflow.slug} belongs to {workflow.owner.name}; the version was not stored.")
    return workflow


def _activate(workflow: Workflow, version: WorkflowVersion, *, by: Actor) -> None:
    document = version.document
    columns = {
        "active": version,
        "title": document["metadata"]["title"],
        "summary": document["spec"].get("description", ""),
    }
    told = {"workflow": workflow.slug, "number": version.number, "digest": version.digest}
    _edit(workflow, "workflow.activated", by=by, columns=columns, told=told)


def _move_version(version: WorkflowVersion, to: V, *, by: Actor, **told: Any) -> None:
    """The guarded UPDATE of a version's state, and its entry."""
    seen = WorkflowVersion.objects.filter(pk=version.pk, state=version.state, version=version.version)
    if not seen.update(state=to, version=F("version") + 1):
        raise StaleVersion(f"Version {version.number} was decided meanwhile; nothing was done. Reload it.")
    was, version.state, version.version = version.state, to, version.version + 1
    _record_version(f"workflow_version.{to}", version, by=by, was=was, **told)


def _record_version(kind: str, version: WorkflowVersion, *, by: Actor, **told: Any) -> None:
    known: dict[str, Any] = {
        "workflow": version.workflow.slug,
        "number": version.number,
        "digest": version.digest,
    }
    author = str(version.author_id) if version.author_id else None
    record(
        kind,
        of=version,
        subject=f"workflow:{version.workflow.slug}",
        actor=by,
        author=author,
        co_authors=[str(one) for one in version.co_authors],
        **known,
        **told,
    )


def _create(row: Any, kind: str, *, by: Actor, told: dict[str, Any]) -> None:
    with transaction.atomic():
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise NameTaken(
                f"There is {row._meta.model_name} {row.slug} already; nothing was created."
            ) from error
        record(kind, of=row, subject=_subject(row), actor=by, **told)


def _edit(row: Any, kind: str, *, by: Actor, columns: dict[str, Any], told: dict[str, Any]) -> None:
    with transaction.atomic():
        seen = type(row).objects.filter(pk=row.pk, version=row.version)
        if not seen.update(**columns, version=F("version") + 1):
            raise StaleVersion(f"{row.slug} was changed meanwhile; nothing was done. Reload it.")
        row.refresh_from_db()
        record(kind, of=row, subject=_subject(row), actor=by, **told)


def _subject(row: Coupled) -> str:
    return f"{row._meta.model_name}:{getattr(row, 'slug', row.pk)}"
