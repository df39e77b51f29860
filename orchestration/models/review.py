"""The review of an emergency: open from its end until two people who took no part have said what they found."""

from typing import ClassVar

from django.db import models
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from accounts.models import Person, User
from audit.canonical import uuid7
from audit.models import Coupled
from orchestration.models.change import Change


class ReviewQuerySet(QuerySet["Review"]):
    """The questions that pages and gauges ask."""

    def open(self) -> "ReviewQuerySet":
        return self.filter(closed_at=None)

    def overdue(self) -> "ReviewQuerySet":
        return self.open().filter(due_at__lt=Now())

    def without(self, user: User) -> "ReviewQuerySet":
        """Those in which this person has not spoken yet."""
        said = Conclusion.objects.filter(review=OuterRef("pk"), person=user.person_id)
        return self.filter(~Exists(said))


class Review(Coupled):
    """What an emergency leaves behind, one for each change. It holds nothing back, and it is never forgotten."""

    change = models.OneToOneField(Change, on_delete=models.PROTECT, related_name="review")
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    objects = ReviewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(due_at__gt=F("opened_at")), name="review_due_after_it_opened")
        ]


class Conclusion(models.Model):
    """What one reviewer found. Never updated."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    review = models.ForeignKey(Review, on_delete=models.PROTECT, related_name="conclusions")
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    given_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["given_at"]
        constraints = [models.UniqueConstraint(fields=["review", "person"], name="conclusion_once_a_person")]
