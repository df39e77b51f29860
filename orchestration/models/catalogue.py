"""What may be requested, and where: workflows, services, environments."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Team, User
from audit.models import Coupled

CONTROL_ROOM = "control-room"  # the environment of governed acts: what changes who must agree
ITSELF = "countersign"  # and their service


class Environment(Coupled):
    """Where a change lands. A record with a tier and protections, never a free-text label."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    tier = models.PositiveSmallIntegerField(help_text="1 is the most critical")
    position = models.PositiveSmallIntegerField(help_text="order of promotion")
    protected = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        permissions = [
            ("request_environment", "Can request changes in this environment"),
            ("sign_off_environment", "Can sign off changes in this environment"),
            ("operate_environment", "Can stop and resolve runs in this environment"),
            ("break_glass_environment", "Can request emergency changes in this environment"),
        ]

    def __str__(self) -> str:
        return self.name


class Service(Coupled):
    """What is being changed; its owner team is asked first."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    tier = models.PositiveSmallIntegerField(help_text="1 is the most critical")
    owner = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="services")

    class Meta:
        ordering: ClassVar[list[str]] = ["slug"]
        permissions = [
            ("request_service", "Can request changes of this service"),
            ("sign_off_service", "Can sign off changes of this service"),
            ("operate_service", "Can stop and resolve runs of this service"),
        ]

    def __str__(self) -> str:
        return self.name


class Workflow(Coupled):
    """A definition as code, by name; its versions are immutable."""

    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=200)
    summary = models.TextField(blank=True)
    owner = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="workflows")
    active = models.ForeignKey(
        "WorkflowVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["slug"]
        permissions = [
            ("request_workflow", "Can request this workflow"),
            ("sign_off_workflow", "Can sign off changes of this workflow"),
            ("operate_workflow", "Can stop and resolve runs of this workflow"),
        ]

    def __str__(self) -> str:
        return self.title


class WorkflowVersion(Coupled):
    """One immutable version, named by the SHA-256 of its resolved bytes (definition and files)."""

    class State(models.TextChoices):
        WAITING = "waiting"
        ACTIVE = "active"
        RETIRED = "retired"
        REFUSED = "refused"

    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=71, unique=True)
    source = models.TextField(help_text="the YAML as its author wrote it")
    document = models.JSONField(help_text="the parsed definition")
    files = models.JSONField(
        default=dict, help_text="path -> text of the scripts beside it, part of the digest"
    )
    origin = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    co_authors = ArrayField(
        models.UUIDField(),
        default=list,
        help_text="accounts that wrote it too, as whoever stored it says: commit authors",
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_number_once"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "active", "retired", "refused"]),
                name="workflow_version_state_known",
            ),
        ]

    @property
    def steps(self) -> list[dict[str, Any]]:
        """In their author's order."""
        return list(self.document["spec"]["steps"])

    @property
    def authors(self) -> frozenset[UUID]:
        """The accounts that wrote this version."""
        return frozenset(self.co_authors) | ({self.author_id} if self.author_id else set())

    def writers(self) -> frozenset[UUID]:
        """The accounts that wrote what it consists of: with its authors those of each step and script that it keeps.

        Or a harmless edit by somebody else would free whoever wrote the rest to agree to it.
        """
        found, left = set(self.authors), self._parts()
        earlier = self.workflow.versions.filter(number__lt=self.number).order_by("-number")
        whose = dict.fromkeys(left, self.authors)
        for one in earlier.iterator(chunk_size=20):
            theirs = one._parts()
            left = {name: part for name, part in left.items() if theirs.get(name) == part}
            whose.update(dict.fromkeys(left, one.authors))
            if not left:
                break
        return frozenset(found.union(*whose.values()))

    def _parts(self) -> dict[str, Any]:
        steps = self.document.get("spec", {}).get("steps", [])
        return {
            **{f"step {one['key']}": one for one in steps},
            **{f"file {k}": v for k, v in self.files.items()},
        }

    @property
    def environments(self) -> list[str]:
        """Slugs of where it may land."""
        return list(self.document["spec"]["environments"])
