"""Which machines may run steps, where, and with what labels."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from audit.models import Coupled


class Worker(Coupled):
    """A host that was enrolled: its public key, and what it may do, signed by a key that no database holds."""

    name = models.SlugField(max_length=63)
    public_key = models.CharField(max_length=64, unique=True, help_text="Ed25519, as hex")
    environments = ArrayField(models.CharField(max_length=50), help_text="slugs, or * for all")
    labels = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    signature = models.CharField(
        max_length=200, help_text="by the workers' key of trust, over all of the above"
    )
    enrolled_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name"], condition=Q(retired_at=None), name="worker_name_once")
        ]

    @property
    def document(self) -> dict[str, object]:
        """What the key of trust signs."""
        return {
            "name": self.name,
            "public_key": self.public_key,
            "environments": sorted(self.environments),
            "labels": sorted(self.labels),
        }
