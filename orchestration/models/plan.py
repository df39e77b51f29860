"""What plan steps are to find out, and what they found. Never updated, but for what came of it."""

from functools import cached_property
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import User
from approvals.models import Decision
from audit.canonical import parse
from audit.models import Coupled
from orchestration.models.catalogue import WorkflowVersion
from orchestration.models.change import Change


class Plan(Coupled):
    """What was asked for before anybody can agree to it: what the plan steps find becomes part of what is signed."""

    class Outcome(models.TextChoices):
        OPEN = ""
        REVISED = "revised"  # its artifacts are in a revision
        SAME = "same"  # they are those of the revision that there is
        DENIED = "denied"  # policy does not allow what it found
        REFUSED = "refused"  # nobody could be asked, or the request does not stand any more
        MOOT = "moot"  # the change went on without it

    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="plans")
    number = models.PositiveIntegerField()
    workflow_version = models.ForeignKey(WorkflowVersion, on_delete=models.PROTECT, related_name="+")
    inputs = models.JSONField()
    reason = models.TextField()
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)
    document = models.BinaryField(help_text="canonical bytes of what was asked; its plan steps are what runs")
    digest = models.CharField(max_length=71)
    signature = models.TextField(help_text="of the door that asked: with SQL alone no plan step starts")
    decision = models.ForeignKey(
        Decision, on_delete=models.PROTECT, related_name="+", help_text="what policy said without the plan"
    )
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", help_text="whose content")
    auth = models.CharField(max_length=10, help_text="through what the author asked: session or token")
    again = models.BooleanField(default=False, help_text="the same content once more")
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN, blank=True)
    why = models.TextField(blank=True, help_text="why nothing came of it")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints = [
            models.UniqueConstraint(fields=["change", "number"], name="plan_number_once"),
            models.CheckConstraint(
                condition=Q(outcome__in=["", "revised", "same", "denied", "refused", "moot"]),
                name="plan_outcome_known",
            ),
        ]
        indexes = [models.Index(fields=["created_at"], condition=Q(outcome=""), name="plan_open")]

    @cached_property
    def content(self) -> Any:
        """The document, read once; it is for reading only."""
        return parse(bytes(self.document))

    @property
    def revises(self) -> int:
        """The number of the revision that it was first asked for."""
        return int(self.content["revision"])

    @property
    def key(self) -> str:
        """For people, within its change."""
        return f"{self.change.key}, plan {self.number}"


class Artifact(Coupled):
    """One file that a plan step left, as it was left."""

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="artifacts")
    step = models.CharField(max_length=100, help_text="key of the step that left it")
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=71)
    size = models.PositiveIntegerField()
    data = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["step", "name"]
        constraints = [models.UniqueConstraint(fields=["plan", "step", "name"], name="artifact_name_once")]
