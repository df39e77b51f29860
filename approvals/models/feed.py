"""Addresses at which a calendar program reads what a person may see."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import User
from audit.models import Coupled


class Feed(Coupled):
    """One person's address: only the SHA-256 of its secret is kept. It opens nothing but the calendar."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="feeds")
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["user"], condition=Q(revoked_at=None), name="feed_one_per_person")
        ]
