"""What was decided, judged again by a candidate. Numbers and rows to look at: none of it decides anything."""

from django.conf import settings
from django.db import models
from django.db.models import Q

from approvals.models.policy import Decision
from audit.canonical import uuid7
from audit.models import Coupled


class Replay(models.Model):
    """One candidate over the decisions of some days, or over each new one; how far it is, and what it found."""

    class State(models.TextChoices):
        QUEUED = "queued"  # waits for a worker, or for the next new decision
        RUNNING = "running"
        DONE = "done"
        CANCELLED = "cancelled"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="replays")
    name = models.CharField(max_length=200, help_text="the candidate in words")
    digest = models.CharField(max_length=71)
    sources = models.JSONField(help_text="path -> text, tests included")
    days = models.PositiveSmallIntegerField()
    since = models.DateTimeField()
    until = models.DateTimeField(null=True, help_text="empty: follows each new decision, as a shadow does")
    subjects = models.JSONField(
        null=True, help_text="the changes that whoever asked could see; empty: every one"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    turn = models.PositiveIntegerField(default=0, help_text="rises with each worker that takes it up")
    lost = models.PositiveSmallIntegerField(default=0, help_text="workers that fell silent over it")
    seen_at = models.DateTimeField(help_text="when it last moved")
    cursor = models.ForeignKey(Decision, on_delete=models.PROTECT, null=True, related_name="+")
    total = models.PositiveIntegerField(default=0)
    kinds = models.JSONField(default=dict, help_text="kind -> number")
    load = models.JSONField(default=dict, help_text="team -> sign-offs, more or less")
    problem = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-pk"]

    @property
    def judged(self) -> int:
        return sum(self.kinds.values())

    @property
    def differs(self) -> int:
        return self.judged - int(self.kinds.get("same", 0))

    @property
    def under_way(self) -> bool:
        return self.state in {self.State.QUEUED, self.State.RUNNING}


class Difference(models.Model):
    """A decision that would be otherwise, and the candidate's answer to it."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="rows")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="+")
    subject = models.CharField(max_length=64, help_text="CHG-12")
    kind = models.CharField(max_length=24)
    words = models.TextField()
    after = models.JSONField(null=True, help_text="empty: no usable answer")
    reason = models.TextField(blank=True)

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["replay", "kind", "id"], name="difference_by_kind")]


class Shadow(Coupled):
    """The candidate that is asked of each new decision beside the policy that judges. At most one stands."""

    replay = models.OneToOneField(Replay, on_delete=models.PROTECT, related_name="shadow")
    digest = models.CharField(max_length=71)
    stands = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["stands"], condition=Q(stands=True), name="shadow_one_stands")
        ]
