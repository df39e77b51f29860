"""Destinations: the systems outside that are sent the entries of the ledger, and how far each has been served."""

from datetime import datetime
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from audit.models import Coupled
from orchestration.models.secret import Secret


class DestinationQuerySet(models.QuerySet["Destination"]):
    """Destinations by the question that is asked of them."""

    def standing(self) -> "DestinationQuerySet":
        """Those that were not ended."""
        return self.filter(ended_at=None)

    def paused(self) -> "DestinationQuerySet":
        """Dead letters: they were given up, and wait for a person."""
        return self.standing().exclude(paused_at=None)


class Destination(Coupled):
    """Where entries go. The ledger is the outbox: `position` is the index of the next entry to look at."""

    class Kind(models.TextChoices):
        WEBHOOK = "webhook", "CloudEvents by webhook"
        OTLP = "otlp", "OTLP logs"

    name = models.SlugField(max_length=63)
    kind = models.CharField(max_length=10, choices=Kind)
    url = models.CharField(max_length=500)
    kinds = ArrayField(
        models.CharField(max_length=64), help_text="of entries, as the search has them; * for all"
    )
    batch = models.PositiveSmallIntegerField(help_text="entries in one request, at most")
    names = models.BooleanField(
        help_text="whether the names of people go along, which can be erased here only"
    )
    secret = models.ForeignKey(Secret, on_delete=models.PROTECT, null=True, related_name="destinations")
    header = models.CharField(max_length=100, blank=True, help_text="that holds the secret, for OTLP")
    created_at = models.DateTimeField(auto_now_add=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    # How far it has been served; free columns, which no entry tells.
    position = models.BigIntegerField(default=0)
    until = models.BigIntegerField(
        null=True, help_text="behind the batch that is being sent, until it has arrived"
    )
    previous = models.BigIntegerField(null=True, help_text="the entry that was sent or skipped before")
    attempts = models.PositiveIntegerField(default=0, help_text="that failed in a row")
    failing_since = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    next_try_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)
    secret_version = models.CharField(max_length=100, blank=True, help_text="the one that was used last")
    lease = models.UUIDField(null=True, help_text="of the delivery under way")
    lease_until = models.DateTimeField(null=True)

    objects = DestinationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"], condition=Q(ended_at=None), name="destination_name_once"
            ),
            models.CheckConstraint(
                condition=Q(kind="otlp") | Q(secret__isnull=False), name="destination_webhook_is_signed"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        """What entries call it."""
        return f"destination:{self.name}"

    @property
    def stands(self) -> str:
        """In one word, for people and gauges."""
        if self.ended_at is not None:
            return "ended"
        if self.paused_at is not None:
            return "given_up"
        return "failing" if self.attempts else "active"

    def behind(self, size: int) -> int:
        """How many places of a log of this size are still to be looked at."""
        return max(0, size - self.position)

    @property
    def tries_again_at(self) -> datetime | None:
        """When the next attempt is due, while it fails."""
        return self.next_try_at if self.stands == "failing" else None
