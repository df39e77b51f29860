"""One execution of an approved revision, or of a plan: run, steps, attempts, log chunks, events, workers."""

from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, QuerySet

from approvals.models import Permit
from audit.canonical import uuid7
from audit.models import Coupled
from orchestration.models.change import Change, Revision, next_number
from orchestration.models.plan import Plan
from orchestration.models.worker import Worker


class RunQuerySet(QuerySet["Run"]):
    """The questions that pages and writers ask about runs."""

    def applying(self) -> "RunQuerySet":
        """Those that do what was agreed to; a plan only looks."""
        return self.filter(plan=None)

    def planning(self) -> "RunQuerySet":
        return self.exclude(plan=None)


class Run(Coupled):
    """One execution. Its row lock orders approve, reject, edit, cancel, start and complete."""

    class State(models.TextChoices):
        READY = "ready"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"
        UNKNOWN = "unknown"

    number = models.BigIntegerField(unique=True, db_default=next_number("orchestration_run_number"))
    change = models.ForeignKey(Change, on_delete=models.PROTECT, related_name="runs")
    revision = models.ForeignKey(Revision, on_delete=models.PROTECT, null=True, related_name="runs")
    plan = models.OneToOneField(
        Plan, on_delete=models.PROTECT, null=True, related_name="run", help_text="instead of a revision"
    )
    digest = models.CharField(max_length=71)
    state = models.CharField(max_length=10, choices=State, default=State.READY)
    permit = models.OneToOneField(Permit, on_delete=models.PROTECT, null=True, related_name="+")
    occurs_at = models.DateTimeField(null=True, blank=True, help_text="which time of what comes back")
    start_by = models.DateTimeField(null=True, blank=True, help_text="the end of that time")
    lock = models.CharField(max_length=200, blank=True, db_default="", help_text="under which it runs alone")
    pool = ArrayField(
        models.CharField(max_length=50), default=list, db_default=[], help_text="labels of who may take it"
    )
    runner = models.PositiveSmallIntegerField(
        default=1, db_default=1, help_text="the lowest that understands it"
    )
    turn_at = models.DateTimeField(null=True, blank=True, help_text="the earlier goes first; by its priority")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True, help_text="no further step starts")
    deadline_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="why it ended as it did, where there is more to say")
    event_seq = models.PositiveIntegerField(default=0, help_text="number of the newest event; never governed")
    unsealed: ClassVar[tuple[str, ...]] = ("reason",)  # of one who stopped it
    erasable: ClassVar[tuple[str, ...]] = ("reason",)
    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(revision__isnull=False, plan=None) | Q(revision=None, plan__isnull=False),
                name="run_of_a_revision_or_a_plan",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["ready", "running", "succeeded", "failed", "cancelled", "unknown"]),
                name="run_state_known",
            ),
            models.UniqueConstraint(
                fields=["revision"], condition=Q(occurs_at=None), name="run_once_per_revision"
            ),
            models.UniqueConstraint(fields=["revision", "occurs_at"], name="run_once_per_occurrence"),
            models.UniqueConstraint(
                fields=["lock"],
                condition=~Q(lock="") & Q(state__in=["running", "unknown"]),
                name="run_alone_under_its_lock",
            ),
        ]
        indexes = [models.Index(fields=["state", "-number"], name="run_by_state")]

    @property
    def key(self) -> str:
        return f"RUN-{self.number}"

    @property
    def purpose(self) -> str:
        """What its permit lets it do: apply what was agreed to, or plan."""
        return str(Permit.Purpose.PLAN if self.plan_id else Permit.Purpose.APPLY)

    @property
    def source(self) -> Revision | Plan:
        """What it executes: the bytes of one or the other."""
        source = self.plan or self.revision
        if source is None:
            raise RuntimeError(f"{self.key} is of nothing")  # the table's own constraint forbids it
        return source

    @property
    def conflicted(self) -> frozenset[UUID]:
        """Persons who never vouch for it: whoever asked, and whoever wrote what it runs."""
        if self.revision is None:  # a plan: nobody has been asked yet
            return frozenset({self.change.requester.person_id})
        return frozenset(self.revision.chain.conflicted)


class Step(Coupled):
    """A node of the run's DAG; `attempt` is the fencing token."""

    class State(models.TextChoices):
        BLOCKED = "blocked"
        READY = "ready"
        RUNNING = "running"
        ASKING = "asking"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        TIMED_OUT = "timed_out"
        CANCELLED = "cancelled"
        SKIPPED = "skipped"
        OMITTED = "omitted"
        UNKNOWN = "unknown"

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="steps")
    key = models.CharField(max_length=100)
    position = models.PositiveSmallIntegerField()
    uses = models.CharField(max_length=50)
    title = models.CharField(max_length=200, blank=True)
    spec = models.JSONField(help_text="the step as resolved before the digest: with, timeout, retries, files")
    needs = models.JSONField(default=list, help_text="keys of the steps that come before")
    effect = models.CharField(max_length=20, default="at_most_once")
    state = models.CharField(max_length=10, choices=State, default=State.BLOCKED)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=1)
    lease_owner = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True, blank=True)
    held_reason = models.TextField(blank=True, help_text="why the gate last said no; never governed")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outputs = models.JSONField(default=dict)
    reason = models.TextField(blank=True, help_text="why it never started, where it never did")

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "key"], name="step_key_once_per_run"),
            models.CheckConstraint(
                condition=Q(state="running", lease_owner__isnull=False)
                | (~Q(state="running") & Q(lease_owner__isnull=True)),
                name="step_running_iff_leased",
            ),
            models.CheckConstraint(condition=Q(attempt__lte=F("max_attempts")), name="step_attempts_bounded"),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        "blocked", "ready", "running", "asking", "succeeded", "failed", "timed_out", "cancelled",
                        "skipped", "omitted", "unknown",
                    ]
                ),
                name="step_state_known",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["not_before"], condition=Q(state="ready"), name="step_ready"),
            models.Index(fields=["lease_until"], condition=Q(state="running"), name="step_running"),
        ]


class StepAttempt(models.Model):
    """One try at a step."""

    class Answer(models.TextChoices):
        """What a person said about a try whose end nobody saw."""

        DONE = "done"
        RETRY = "retry"
        FAIL = "fail"
        CHECK = "check"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    worker_boot_id = models.UUIDField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, blank=True)
    reason = models.TextField(blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    answer = models.CharField(max_length=5, choices=Answer, blank=True)
    last_seq = models.PositiveIntegerField(default=0)
    dropped_bytes = models.BigIntegerField(default=0)
    log_lost = models.BigIntegerField(
        default=0, db_default=0, help_text="of the bytes left out, those the database did not take"
    )
    log_lines = models.BigIntegerField(
        default=0, db_default=0, help_text="of the step's log, when this attempt's ended"
    )
    log_bytes = models.BigIntegerField(
        default=0, db_default=0, help_text="of the step's log, when this attempt's ended"
    )
    log_open = models.BooleanField(default=False, db_default=False, help_text="the last line has no end")
    log_root = models.CharField(
        max_length=71, blank=True, default="", db_default="", help_text="end of the chain of chunks"
    )
    log_moved_at = models.DateTimeField(null=True, blank=True, help_text="to the storage of logs")
    log_removed_at = models.DateTimeField(null=True, blank=True, help_text="its time was over")

    class Meta:
        ordering: ClassVar[list[str]] = ["number"]
        constraints = [models.UniqueConstraint(fields=["step", "number"], name="attempt_number_once")]
        indexes = [
            models.Index(
                fields=["ended_at"],
                condition=Q(log_moved_at=None, log_removed_at=None, last_seq__gt=0),
                name="attempt_log_here",
            )
        ]


class LogChunk(models.Model):
    """A piece of one attempt's output, in the order it was read, and its place in the text of the step's log."""

    id = models.BigAutoField(primary_key=True)
    attempt = models.ForeignKey(StepAttempt, on_delete=models.PROTECT, related_name="chunks")
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="chunks", db_index=False)
    seq = models.PositiveIntegerField()
    stream = models.CharField(max_length=6)
    data = models.BinaryField(null=True, help_text="null: it lies in the storage of logs")
    part = models.PositiveIntegerField(
        null=True, help_text="in which object there: the seq of its first chunk"
    )
    dropped_bytes = models.BigIntegerField(default=0, help_text="bytes left out right before this chunk")
    first_line = models.BigIntegerField(help_text="of the step's log: the line of the first byte")
    offset = models.BigIntegerField(help_text="of the first byte, in the text of the step's log")
    breaks = models.BooleanField(default=False, help_text="it ends the line before it, which had no end")
    digest = models.BinaryField(help_text="of this chunk and the digest before it")
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["seq"]
        constraints = [models.UniqueConstraint(fields=["attempt", "seq"], name="log_chunk_seq_once")]
        indexes = [
            models.Index(fields=["step", "first_line"], name="log_chunk_by_line"),
            models.Index(fields=["step", "offset"], name="log_chunk_by_offset"),
        ]


class RunEvent(models.Model):
    """What the live page replays; gap-free by (run, seq)."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=50)
    payload = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="run_event_seq_once")]


class WorkerNode(models.Model):
    """One worker process from its start to its end; a new id every start, never the host name."""

    boot_id = models.UUIDField(primary_key=True)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    draining = models.BooleanField(default=False)
    clock_offset_ms = models.IntegerField(default=0, help_text="this clock less the database's, as last seen")
    heard_at = models.DateTimeField(
        null=True, blank=True, help_text="when the broker last brought it anything"
    )
    release = models.CharField(max_length=50)
    runner = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="what it understands")
    worker = models.ForeignKey(Worker, on_delete=models.PROTECT, null=True, related_name="nodes")
    signature = models.CharField(max_length=200, blank=True, db_default="", help_text="by its host's key")
    refused_at = models.DateTimeField(null=True, help_text="when it was told that it is not known")
