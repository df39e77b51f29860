"""Exceptions: deviations that were agreed to, each with an owner and an end."""

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.models import User
from audit.models import Coupled
from orchestration.models.catalogue import Environment, Service

LONGEST = timedelta(days=366)  # a year, and the rest of its last day


class WaiverQuerySet(QuerySet["Waiver"]):
    """The questions of the register."""

    def standing(self) -> "WaiverQuerySet":
        return self.filter(ended_at=None, ends_at__gt=Now())

    def ending_within(self, span: timedelta) -> "WaiverQuerySet":
        return self.standing().filter(ends_at__lte=Now() + span)


class Waiver(Coupled):
    """One exception to a control test or a policy rule, for one service, environment or person.

    It explains a finding. It opens nothing: neither policy nor the gate reads it.
    """

    rule = models.CharField(max_length=200, help_text="a control test (CT-03) or a rule of the policy")
    service = models.ForeignKey(Service, on_delete=models.PROTECT, null=True, related_name="waivers")
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, null=True, related_name="waivers")
    account = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField()
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="waivers")
    granted_by = models.CharField(max_length=64, help_text="the governed act that granted it")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.TextField(blank=True)
    unsealed: ClassVar[tuple[str, ...]] = ("reason", "ended_reason")
    erasable: ClassVar[tuple[str, ...]] = ("reason", "ended_reason")
    objects = WaiverQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["ends_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"), ends_at__lte=F("starts_at") + LONGEST),
                name="waiver_has_an_end_within_a_year",
            ),
            models.CheckConstraint(
                condition=Q(service__isnull=False, environment=None, account=None)
                | Q(service=None, environment__isnull=False, account=None)
                | Q(service=None, environment=None, account__isnull=False),
                name="waiver_for_exactly_one",
            ),
        ]

    @property
    def scope(self) -> str:
        """`service web-bank`."""
        if self.service is not None:
            return f"service {self.service.slug}"
        if self.environment is not None:
            return f"environment {self.environment.slug}"
        return f"person {self.account.username}" if self.account is not None else ""
