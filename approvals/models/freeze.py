"""When changes may not start, and when alone they may: two tables of one shape."""

from datetime import UTC, timedelta
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from approvals.calendar.schedule import Schedule
from approvals.calendar.words import words
from audit.models import Coupled


class WallTime(models.Field):  # type: ignore[type-arg]  # generic in the stubs only
    """What a clock on the wall reads: a time without a zone, which `zone` beside it gives."""

    def db_type(self, connection: Any) -> str:
        return "timestamp without time zone"


class Period(Coupled):
    """When and where something holds. `starts_at` and `ends_at` are the first instant and the last of all."""

    name = models.CharField(max_length=100)
    reason = models.TextField(blank=True)
    environments = ArrayField(models.SlugField(), help_text="slugs, or * for all")
    services = ArrayField(models.SlugField(), default=list, blank=True, help_text="slugs; none: all")
    workflows = ArrayField(models.SlugField(), default=list, blank=True, help_text="slugs; none: all")
    zone = models.CharField(max_length=64, default="UTC")
    first_start = WallTime(
        null=True, help_text="in the zone; none: starts_at, of a time before there were zones"
    )
    first_end = WallTime(null=True)
    rule = models.CharField(max_length=200, blank=True, default="", help_text="RRULE; empty: once")
    exceptions = ArrayField(
        models.DateField(), default=list, blank=True, help_text="days it does not start on"
    )
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    unsealed = erasable = ("reason",)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name

    @property
    def key(self) -> str:
        """What a governed act calls it: `Year end #9c3f21`."""
        return f"{self.name} #{self.pk.hex[-6:]}"

    @property
    def schedule(self) -> Schedule:
        """When it holds; the row's own instants where no wall's clock was asked for."""
        return Schedule(
            self.zone,
            self.first_start or self.starts_at.astimezone(UTC).replace(tzinfo=None),
            self.first_end or self.ends_at.astimezone(UTC).replace(tzinfo=None),
            self.rule,
            frozenset(self.exceptions),
        )

    @property
    def words(self) -> str:
        """`every Friday 16:00 to Monday 06:00, Europe/Zurich`."""
        return words(self.schedule)

    @property
    def where(self) -> str:
        """`production, staging; service ledger-core`."""
        said = "all environments" if "*" in self.environments else ", ".join(self.environments)
        for kind, slugs in (("service", self.services), ("workflow", self.workflows)):
            said += f"; {kind}{'s' if len(slugs) > 1 else ''} {', '.join(slugs)}" if slugs else ""
        return said


class Freeze(Period):
    """When changes may not start; judged by database time at every start."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="freeze_has_a_length")
        ]


class FreezeException(Coupled):
    """One content that may start through one freeze, for a while; named by its digest, so an edit ends it."""

    freeze = models.ForeignKey(Freeze, on_delete=models.PROTECT, related_name="excepted")
    subject = models.CharField(max_length=71, help_text="the digest that may start")
    named = models.CharField(max_length=40, help_text="what people call it: CHG-12/2")
    reason = models.TextField()
    granted_by = models.CharField(max_length=64, help_text="the governed act that granted it")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    unsealed: ClassVar[tuple[str, ...]] = ("reason",)
    erasable: ClassVar[tuple[str, ...]] = ("reason",)

    class Meta:
        ordering: ClassVar[list[str]] = ["ends_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"), ends_at__lte=F("starts_at") + timedelta(days=7)),
                name="freeze_exception_ends_within_a_week",
            )
        ]

    @property
    def change(self) -> str:
        """The key of the change, of which `named` adds the revision."""
        return self.named.partition("/")[0]


class Window(Period):
    """When changes may start: where windows stand, nothing starts outside all of them."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="window_has_a_length")
        ]
