"""What must not start at all, until others agree that it may again."""

from django.db import models

from audit.models import Coupled


class KillSwitch(Coupled):
    """Nothing of this starts: in one environment or in all, of one action or of any."""

    environment = models.CharField(max_length=50, help_text="a slug, or * for all but the control room")
    action = models.CharField(max_length=50, help_text="what a step uses, or * for any")
    hard = models.BooleanField(help_text="what ran was asked to stop as well")
    reason = models.TextField()
    thrown_by = models.CharField(max_length=64, help_text="the actor")
    thrown_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    unsealed = erasable = ("reason",)

    @property
    def key(self) -> str:
        """What the governed act calls it: `production #9c3f21`."""
        return f"{self.about} #{self.pk.hex[-6:]}"

    @property
    def words(self) -> str:
        """`No http step starts in production`."""
        what = "step" if self.action == "*" else f"{self.action} step"
        return f"No {what} starts {'anywhere' if self.environment == '*' else 'in ' + self.environment}"

    @property
    def about(self) -> str:
        """`http in production`."""
        where = "all environments" if self.environment == "*" else self.environment
        return where if self.action == "*" else f"{self.action} in {where}"
