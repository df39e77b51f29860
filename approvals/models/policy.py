"""Policy bundles and what they decided."""

from django.db import models
from django.db.models import Q

from audit.canonical import uuid7
from audit.models import Coupled


class Bundle(Coupled):
    """An immutable set of Rego files, named by its digest. Serials only rise; one is active.

    A set that is taken up again gets a row and a serial of its own.
    """

    digest = models.CharField(max_length=71, db_index=True)
    serial = models.PositiveIntegerField(unique=True)
    sources = models.JSONField(help_text="path -> text, tests included")
    rules = models.JSONField(
        help_text="id, title, description, answers, place (file:line) of each rule that answers"
    )
    tests = models.JSONField(
        help_text="name, file, line of each test; all passed, or the bundle would not be here"
    )
    source = models.CharField(
        max_length=200, help_text="where it came from: a commit, an upload, the starter pack"
    )
    signature = models.TextField()
    active = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["active"], condition=Q(active=True), name="bundle_one_active")
        ]


class Decision(models.Model):
    """A recorded evaluation, complete enough to be repeated: bundle, input, output, time."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="decisions")
    input = models.JSONField()
    output = models.JSONField()
    input_digest = models.CharField(max_length=71)
    output_digest = models.CharField(max_length=71)
    decided_at = models.DateTimeField(auto_now_add=True)
    took_microseconds = models.PositiveIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["bundle", "decided_at"], name="decision_by_bundle"),
            models.Index(fields=["decided_at", "id"], name="decision_by_time"),
        ]
