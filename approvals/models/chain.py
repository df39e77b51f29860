"""Chains, their stages, sign-offs and permits. A chain knows a digest, never a change."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Count, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from accounts.models import Delegation, Membership, Person, User
from approvals.models.passkey import Passkey
from approvals.models.policy import Decision
from audit.canonical import uuid7
from audit.models import Coupled


class Chain(Coupled):
    """The ordered stages that one decision demands for one digest."""

    class State(models.TextChoices):
        OPEN = "open"
        COMPLETE = "complete"
        REJECTED = "rejected"
        VOID = "void"

    subject = models.CharField(max_length=71, help_text="the digest that is signed off")
    decision = models.ForeignKey(Decision, on_delete=models.PROTECT, related_name="chains")
    digest = models.CharField(max_length=71)
    signature = models.TextField(help_text="over what the digest covers: SQL alone cannot ask for less")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    conflicted = ArrayField(models.UUIDField(), help_text="persons who never count: requester, authors")
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    @property
    def barred(self) -> frozenset[UUID]:
        """Persons who never count: those in conflict, which is signed, and those who said since that they are."""
        return frozenset(self.conflicted) | set(self.recusals.values_list("person_id", flat=True))


class StageQuerySet(QuerySet["Stage"]):
    """The questions that the inbox and the clock ask about stages. Counts rows: the exact answer is the verdict's."""

    def unfinished(self) -> "StageQuerySet":
        """Those with fewer approvals than their quorum."""
        mine = SignOff.objects.counting().filter(stage=OuterRef("pk")).order_by().values("stage")
        given = Coalesce(Subquery(mine.annotate(given=Count("pk")).values("given")), 0)
        return self.annotate(given=given).filter(given__lt=F("quorum"))

    def opened(self) -> "StageQuerySet":
        """Those of an order that has come, in a chain that is open and has not expired."""
        earlier = Stage.objects.filter(chain=OuterRef("chain"), order__lt=OuterRef("order")).unfinished()
        return self.filter(~Exists(earlier), chain__state=Chain.State.OPEN, chain__expires_at__gt=Now())


class Stage(models.Model):
    """One step of a chain. Stages of one order are parallel; a later order opens after the earlier."""

    class Distinct(models.TextChoices):
        CHAIN = "chain"  # whoever signs here signs nowhere else
        STAGE = "stage"  # whoever signs here may sign other stages that say the same

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="stages")
    name = models.CharField(max_length=100)
    order = models.PositiveSmallIntegerField()
    quorum = models.PositiveSmallIntegerField()
    teams = ArrayField(models.SlugField(), help_text="slugs, resolved and pinned by id in team_ids")
    team_ids = ArrayField(models.UUIDField())
    user_ids = ArrayField(models.UUIDField(), default=list)
    signature = models.CharField(max_length=10, default="session")
    distinct = models.CharField(max_length=5, choices=Distinct, default=Distinct.CHAIN)
    member_for = models.PositiveIntegerField(
        default=0, help_text="seconds of membership before one may decide"
    )
    sealed = models.BooleanField(
        default=False,
        db_default=False,
        help_text="nothing is answered or started before it is in a signed checkpoint",
    )
    due_at = models.DateTimeField(null=True, blank=True)
    escalate_to = ArrayField(models.SlugField(), default=list, help_text="slugs, asked as well once past due")
    escalate_ids = ArrayField(models.UUIDField(), default=list)
    why = models.JSONField()
    reminders = models.PositiveSmallIntegerField(
        default=0, help_text="how often its people were told; no authority"
    )
    reminded_at = models.DateTimeField(null=True, blank=True)
    objects = StageQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["order", "name"]
        constraints = [
            models.CheckConstraint(condition=Q(quorum__gte=1), name="stage_quorum_at_least_one"),
            models.UniqueConstraint(fields=["chain", "name"], name="stage_name_once_per_chain"),
        ]

    def teams_asked(self, at: datetime) -> list[UUID]:
        """The teams whose people may decide at this moment: past due, those to whom policy escalates as well."""
        late = self.due_at is not None and at >= self.due_at
        return [*self.team_ids, *self.escalate_ids] if late else list(self.team_ids)


class SignOffQuerySet(QuerySet["SignOff"]):
    """The question that the inbox and the clock ask about sign-offs."""

    def counting(self) -> "SignOffQuerySet":
        """Approvals whose givers may still decide, as far as rows tell: the exact answer is the gate's."""
        agreeing = [SignOff.Kind.APPROVE, SignOff.Kind.APPROVE_WITH_CONDITION]
        lent = Q(delegation=None) | Q(delegation__in=Delegation.objects.holding())
        found = self.annotate(holder=Coalesce("delegation__delegator", "user"))
        active = User.objects.filter(pk=OuterRef("holder"), is_active=True)
        return found.filter(
            Q(stage__user_ids__contains=[F("holder")]) | Exists(_memberships()),
            lent,
            Exists(active),
            ~Exists(Recusal.objects.filter(chain=OuterRef("chain"), person=OuterRef("person"))),
            ~Exists(Recusal.objects.filter(chain=OuterRef("chain"), person=OuterRef("owner"))),
            user__is_active=True,
            withdrawn_at=None,
            decision__in=agreeing,
        )


def _memberships() -> QuerySet[Membership]:
    """Those behind a sign-off: in a team of its stage, from before it was given."""
    teams = {
        name: ExpressionWrapper(OuterRef(f"stage__{name}"), ArrayField(models.UUIDField()))
        for name in ("team_ids", "escalate_ids")
    }
    behind = Membership.objects.open().filter(user=OuterRef("holder"), since__lte=OuterRef("given_at"))
    asked = Q(team_ids__contains=[F("team_id")]) | Q(escalate_ids__contains=[F("team_id")])
    return behind.annotate(**teams).filter(asked)


class SignOff(Coupled):
    """One person's decision on one stage of one digest. Withdrawn ones stay as history."""

    class Kind(models.TextChoices):
        APPROVE = "approve"
        APPROVE_WITH_CONDITION = "approve_with_condition"
        SEND_BACK = "send_back"
        REJECT = "reject"

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="sign_offs")
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="sign_offs")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="sign_offs")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="sign_offs")
    owner = models.ForeignKey(
        Person,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="whose place it was given from, where it is somebody else's",
    )
    delegation = models.ForeignKey(
        Delegation, on_delete=models.PROTECT, null=True, related_name="sign_offs", help_text="what lent it"
    )
    decision = models.CharField(max_length=24, choices=Kind)
    subject = models.CharField(max_length=71, help_text="the digest the person saw")
    chain_digest = models.CharField(max_length=71)
    comment = models.TextField(blank=True)
    comment_salt = models.BinaryField(
        null=True, max_length=32, help_text="what is signed is a commitment to the comment, made with it"
    )
    condition = models.TextField(blank=True)
    signature = models.TextField(
        help_text="made with a key outside the database, so SQL alone cannot mint one"
    )
    passkey = models.ForeignKey(Passkey, on_delete=models.PROTECT, null=True, related_name="sign_offs")
    assertion = models.JSONField(null=True, help_text="what the passkey signed: approvals/passkeys.py")
    given_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    unsealed = ("comment", "comment_salt", "condition")
    erasable = ("comment", "comment_salt")
    objects = SignOffQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stage", "person"],
                condition=Q(withdrawn_at=None),
                name="sign_off_one_per_person_and_stage",
            ),
            models.UniqueConstraint(
                "stage",
                Coalesce("owner", "person"),
                condition=Q(withdrawn_at=None),
                name="sign_off_one_per_place_and_stage",
            ),
            models.CheckConstraint(
                condition=Q(owner=None, delegation=None) | Q(owner__isnull=False, delegation__isnull=False),
                name="sign_off_owner_iff_delegation",
            ),
        ]

    @property
    def on_behalf_of(self) -> str:
        """The name of whose place it was given from; empty when it was their own."""
        return self.delegation.delegator.name if self.delegation else ""

    @property
    def approves(self) -> bool:
        return self.decision in {self.Kind.APPROVE, self.Kind.APPROVE_WITH_CONDITION}


class Recusal(Coupled):
    """Said once and never taken back: whoever doubts themselves once stays out, of later revisions as well."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="recusals")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    at = models.DateTimeField()
    unsealed = erasable = ("reason",)  # a friendship or a share is nobody's business for ever

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "person"], name="recusal_once_per_person")]


class Permit(Coupled):
    """The signed record, written by the gate at a run's first start, of why it may run."""

    class Purpose(models.TextChoices):
        APPLY = "apply"  # what was signed off
        PLAN = "plan"  # what only reads, so that there is something to sign off

    run_id = models.UUIDField(unique=True)
    purpose = models.CharField(max_length=5, choices=Purpose, default=Purpose.APPLY)
    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, null=True, related_name="permits")
    subject = models.CharField(max_length=71)
    document = models.BinaryField(help_text="canonical bytes of what is permitted and why")
    signature = models.TextField()
    key_id = models.CharField(max_length=64)
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(purpose="apply", chain__isnull=False) | Q(purpose="plan", chain=None),
                name="permit_of_a_chain_or_for_a_plan",
            )
        ]
