"""Obligations: what is still to be done about something that was agreed to."""

from typing import ClassVar

from django.db import models
from django.db.models import Q, QuerySet

from accounts.models import User
from approvals.models.chain import Chain, SignOff
from audit.models import Coupled


class ObligationQuerySet(QuerySet["Obligation"]):
    """The question that the gate, the pages and the inbox ask."""

    def owed(self) -> "ObligationQuerySet":
        """Those that nobody has closed, of a chain that still stands, set by nobody who took it back."""
        alive = Q(chain__state__in=[Chain.State.OPEN, Chain.State.COMPLETE])
        return self.filter(alive, closed_at=None, sign_off__withdrawn_at=None)


class Obligation(Coupled):
    """A condition that a reviewer wrote, or what policy wants done; owed by those who asked, until a person closes it.

    It stops no run. Of a chain that ended, or of a sign-off that was withdrawn, it is owed no longer.
    """

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="obligations")
    sign_off = models.OneToOneField(SignOff, on_delete=models.PROTECT, null=True, related_name="obligation")
    rule = models.CharField(max_length=200, blank=True, help_text="file and line, where policy set it")
    text = models.TextField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    note = models.TextField(blank=True, help_text="what was done, in the words of whoever closed it")
    unsealed: ClassVar[tuple[str, ...]] = ("text", "note")
    erasable: ClassVar[tuple[str, ...]] = ("note",)
    objects = ObligationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["opened_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(closed_at=None, closed_by=None)
                | Q(closed_at__isnull=False, closed_by__isnull=False),
                name="obligation_closed_by_somebody",
            )
        ]

    @property
    def set_by(self) -> str:
        """The name of the reviewer who wrote it, or nothing: policy did."""
        return self.sign_off.user.name if self.sign_off is not None else ""

    @property
    def state(self) -> str:
        """open, closed, or void when nobody owes it any more."""
        if self.closed_at is not None:
            return "closed"
        taken_back = self.sign_off is not None and self.sign_off.withdrawn_at is not None
        alive = self.chain.state in {Chain.State.OPEN, Chain.State.COMPLETE}
        return "open" if alive and not taken_back else "void"
