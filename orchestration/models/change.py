"""A change and its revisions: the request and its whole life."""

from functools import cached_property
from typing import Any, ClassVar

from django.db import models
from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, Subquery, Value

from accounts.models import User
from approvals.models import Chain, Recusal
from audit.canonical import parse, uuid7
from audit.models import Coupled
from orchestration.models.catalogue import Environment, Service, Workflow, WorkflowVersion
from orchestration.models.waiting import seats_of


def next_number(sequence: str) -> Func:
    """The next human number, from a PostgreSQL sequence."""
    return Func(Value(sequence), function="nextval", output_field=models.BigIntegerField())


class ChangeQuerySet(QuerySet["Change"]):
    """The questions that pages and doors ask about changes."""

    def waiting_on(self, user: User) -> "ChangeQuerySet":
        """Those whose open stage asks this person now, and who has not decided."""
        stages, conflicts = seats_of(user)
        mine = stages.filter(chain=OuterRef("revision__chain"))
        first = mine.order_by(F("due_at").asc(nulls_last=True))
        return self.filter(
            Exists(mine),
            ~Q(revision__chain__conflicted__overlap=sorted(conflicts)),
            ~Exists(Recusal.objects.filter(chain=OuterRef("revision__chain"), person__in=conflicts)),
            state=Change.State.WAITING,
        ).annotate(
            due_at=Subquery(first.values("due_at")[:1]), reminded_at=Subquery(first.values("reminded_at")[:1])
        )


class Change(Coupled):
    """One request to run one workflow version with given inputs in one environment."""

    class State(models.TextChoices):
        DRAFT = "draft"
        WAITING = "waiting"
        SENT_BACK = "sent_back"
        APPROVED = "approved"
        SCHEDULED = "scheduled"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        UNKNOWN = "unknown"
        REJECTED = "rejected"
        WITHDRAWN = "withdrawn"
        EXPIRED = "expired"
        SUPERSEDED = "superseded"

    class Kind(models.TextChoices):
        NORMAL = "normal"
        BREAK_GLASS = "break_glass"

    kind = models.CharField(
        max_length=12, choices=Kind, default=Kind.NORMAL, help_text="for lists; never for the gate"
    )
    number = models.BigIntegerField(unique=True, db_default=next_number("orchestration_change_number"))
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="changes")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="changes")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="changes")
    requester = models.ForeignKey(User, on_delete=models.PROTECT, related_name="changes")
    rolls_back = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="rolled_back_by"
    )
    title = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    revision = models.ForeignKey("Revision", on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    event_seq = models.PositiveIntegerField(default=0, help_text="newest hint number; never governed")
    objects = ChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "draft", "waiting", "sent_back", "approved", "scheduled", "running", "succeeded",
                        "failed", "cancelled", "unknown", "rejected", "withdrawn", "expired", "superseded",
                    ]
                ),
                name="change_state_known",
            ),
            models.CheckConstraint(condition=Q(kind__in=["normal", "break_glass"]), name="change_kind_known"),
            models.UniqueConstraint(
                fields=["rolls_back"],
                condition=~Q(
                    state__in=["withdrawn", "rejected", "expired", "superseded", "cancelled", "failed"]
                ),
                name="change_rolled_back_once",
            ),
        ]  # fmt: skip
        indexes = [models.Index(fields=["state", "-number"], name="change_by_state")]

    @property
    def key(self) -> str:
        return f"CHG-{self.number}"

    @property
    def approval_state(self) -> str:
        """The axis of approval: whatever was started had been approved."""
        before = {self.State.DRAFT, self.State.WAITING, self.State.SENT_BACK, self.State.REJECTED}
        ended = {self.State.WITHDRAWN, self.State.EXPIRED, self.State.SUPERSEDED}
        return self.state if self.state in before | ended else self.State.APPROVED

    @property
    def is_moving(self) -> bool:
        """Whether news may come without anybody deciding anything."""
        return self.state in {
            self.State.DRAFT, self.State.APPROVED, self.State.SCHEDULED, self.State.RUNNING,
        }  # fmt: skip

    @property
    def risk(self) -> str:
        """low, medium or high, from records alone: what is protected, and how critical both are."""
        if not self.environment.protected:
            return "low"
        return "high" if self.environment.tier == 1 and self.service.tier == 1 else "medium"


class Revision(models.Model):
    """A change's content at one moment; any edit makes a new one. Never updated."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="revisions")
    number = models.PositiveIntegerField()
    workflow_version = models.ForeignKey(WorkflowVersion, on_delete=models.PROTECT, related_name="revisions")
    inputs = models.JSONField()
    reason = models.TextField()
    not_before = models.DateTimeField(null=True, blank=True)
    not_after = models.DateTimeField(null=True, blank=True)
    document = models.BinaryField(help_text="canonical bytes of everything that can alter what happens")
    digest = models.CharField(max_length=71)
    chain = models.OneToOneField(Chain, on_delete=models.PROTECT, related_name="+")
    plan = models.ForeignKey(
        "Plan",
        on_delete=models.PROTECT,
        null=True,
        related_name="revisions",
        help_text="whose artifacts it names",
    )
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints = [models.UniqueConstraint(fields=["change", "number"], name="revision_number_once")]

    @cached_property
    def content(self) -> Any:
        """The document, read once; it is for reading only."""
        return parse(bytes(self.document))


class Comment(models.Model):
    """A remark on a change, a question to the requester, or the answer to one; it decides nothing."""

    class Kind(models.TextChoices):
        COMMENT = "comment"
        QUESTION = "question"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="comments")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.COMMENT)
    answers = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="answered_by")
    created_at = models.DateTimeField(auto_now_add=True)
