"""Keys that people hold themselves: what they sign, neither the database nor the web server can."""

from django.db import models
from django.db.models import Q

from accounts.models import Person, User
from audit.models import Coupled


class Passkey(Coupled):
    """One authenticator of one person. Whoever holds the `trust` key has vouched for it, or it counts for nothing."""

    class State(models.TextChoices):
        ASKED = "asked"
        TRUSTED = "trusted"
        REVOKED = "revoked"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="passkeys")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="passkeys")
    credential_id = models.CharField(max_length=1400, unique=True, help_text="base64url, at most 1023 bytes")
    public_key = models.TextField(help_text="COSE, base64url")
    rp_id = models.CharField(max_length=253, help_text="the host name under which it was made")
    name = models.CharField(max_length=100)
    aaguid = models.UUIDField(help_text="the model of the authenticator, as it says itself")
    sign_count = models.BigIntegerField(help_text="when it was enrolled; informative")
    state = models.CharField(max_length=10, choices=State, default=State.ASKED)
    trust = models.TextField(
        blank=True, help_text="by the workers' key: SQL and the web server cannot enrol one"
    )
    created_at = models.DateTimeField()
    unsealed = ("name",)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["asked", "trusted", "revoked"]), name="passkey_state_known"
            ),
        ]
