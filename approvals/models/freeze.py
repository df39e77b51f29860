"""When changes may not start."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from audit.models import Coupled


class Freeze(Coupled):
    """When changes may not start; judged by database time at every start."""

    name = models.CharField(max_length=100)
    reason = models.TextField(blank=True)
    environments = ArrayField(models.SlugField(), help_text="slugs")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="freeze_has_a_length")
        ]
