"""Notes among reviewers: who is looking at a stage now, and who passed it on to whom. Without any authority."""

from typing import ClassVar

from django.db import models

from accounts.models import User
from approvals.models.chain import Stage
from audit.canonical import uuid7


class Claim(models.Model):
    """Somebody is reviewing a stage for the next half hour. A hint, never a lock: others may still decide."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="claims")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    until = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["until"]
        constraints = [
            models.UniqueConstraint(fields=["stage", "user"], name="claim_once_per_person_and_stage")
        ]


class HandOver(models.Model):
    """Somebody asked a colleague, who may decide as well, to do it. Both may still decide."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="hand_overs")
    giver = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    taker = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)
    at = models.DateTimeField()
