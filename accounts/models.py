"""People, their accounts, teams, tokens. An account is never deleted: entries point at its id for ever."""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from guardian.mixins import GuardianUserMixin

from audit.canonical import uuid7
from audit.models import Coupled

if TYPE_CHECKING:
    from accounts.sessions import SessionStore

DELEGATION_BOX = timedelta(days=90)  # whoever is away for longer is no member who decides


class Person(models.Model):
    """A natural person. Two accounts of one person count once in every quorum."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200)


class UserManager(BaseUserManager["User"]):
    """Makes accounts; `accounts/teams.py` and the demo are its callers."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(username=username)


class User(GuardianUserMixin, AbstractBaseUser, PermissionsMixin, Coupled):
    """An account: a person's own, or a service account that a person answers for.

    Governed: nobody becomes active, a superuser or another person without an entry.
    """

    class Kind(models.TextChoices):
        PERSON = "person"
        SERVICE = "service"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="accounts")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.PERSON)
    username = models.CharField(max_length=150, unique=True)
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    title = models.CharField(max_length=100, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    joined_at = models.DateTimeField(auto_now_add=True)
    ceiling = ArrayField(
        models.CharField(max_length=30),
        default=list,
        help_text="scopes that a machine's tokens may have at most",
    )

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    unsealed = erasable = ("username", "name", "email", "title")
    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=["person", "service"]), name="user_kind_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def initials(self) -> str:
        """Up to two letters for the round chip."""
        words = self.name.split()
        return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper() if words else "?"

    def within_ceiling(self, scopes: Iterable[str]) -> set[str]:
        """Those that its tokens may have: all for a person, up to its ceiling for a machine."""
        return set(scopes) if self.kind == User.Kind.PERSON else set(scopes) & set(self.ceiling)


class TeamQuerySet(models.QuerySet["Team"]):
    """Questions about teams."""

    def of(self, user: User) -> "TeamQuerySet":
        """The teams that this account is in now."""
        return self.filter(memberships__user=user, memberships__ended_at=None)


class Team(Coupled):
    """People who may be asked together. Its group carries the object permissions."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    group = models.OneToOneField(Group, on_delete=models.PROTECT, related_name="team")
    synced_at = models.DateTimeField(
        null=True, blank=True, help_text="when its directory last told who is in it; null: kept here"
    )
    members: "models.ManyToManyField[User, Membership]" = models.ManyToManyField(
        User, through="Membership", related_name="teams"
    )  # with those who left: ask `memberships.open()` who is in it now
    objects = TeamQuerySet.as_manager()

    def __str__(self) -> str:
        return self.name


class MembershipQuerySet(models.QuerySet["Membership"]):
    """Questions about memberships."""

    def open(self) -> "MembershipQuerySet":
        """Those that have not ended."""
        return self.filter(ended_at=None)


class Membership(Coupled):
    """One account in one team, since when; ended ones stay as history."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    lead = models.BooleanField(default=False)
    since = models.DateTimeField(db_default=Now(), editable=False)  # its age counts: no process dates it
    ended_at = models.DateTimeField(null=True, blank=True)
    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["team", "user"], condition=Q(ended_at=None), name="membership_open_once"
            )
        ]


class Engagement(Coupled):
    """An account that only reads, until a moment, and of which all that it opens is recorded: an external auditor's."""

    user = models.OneToOneField(User, on_delete=models.PROTECT, related_name="engagement")
    ends_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)


class DelegationQuerySet(models.QuerySet["Delegation"]):
    """Questions about delegations, by the database's clock."""

    def standing(self) -> "DelegationQuerySet":
        """Those that hold now or will."""
        return self.filter(ended_at=None, ends_at__gt=Now())

    def holding(self) -> "DelegationQuerySet":
        """Those that hold now."""
        return self.standing().filter(starts_at__lte=Now())


class Delegation(Coupled):
    """While somebody is away, somebody else decides in their place; never longer than the box.

    It lends a place in a chain, no grant and no place of the delegate's own: it is never passed on.
    """

    delegator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="delegations")
    delegate = models.ForeignKey(User, on_delete=models.PROTECT, related_name="delegations_held")
    team_ids = ArrayField(models.UUIDField(), default=list, help_text="for these teams; none: for all")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)
    unsealed = ("reason",)  # why somebody is away is nobody's business for ever
    objects = DelegationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="delegation_has_a_length"),
            models.CheckConstraint(
                condition=Q(ends_at__lte=F("starts_at") + DELEGATION_BOX), name="delegation_in_its_box"
            ),
            models.CheckConstraint(condition=~Q(delegator=F("delegate")), name="delegation_to_another"),
        ]


class AccessReview(Coupled):
    """Somebody looks at everybody in a team and says who stays. A team has one that is open."""

    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="access_reviews")
    opened_at = models.DateTimeField(db_default=Now(), editable=False)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["team"], condition=Q(completed_at=None), name="access_review_open_once"
            )
        ]


class AccessDecision(Coupled):
    """What one person decided about one account in a review; as long as it is open, the newest one counts."""

    class Decision(models.TextChoices):
        KEEP = "keep"
        REMOVE = "remove"

    review = models.ForeignKey(AccessReview, on_delete=models.PROTECT, related_name="decisions")
    account = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decision = models.CharField(max_length=6, choices=Decision)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["review", "account"], name="access_decision_once"),
            models.CheckConstraint(
                condition=Q(decision__in=["keep", "remove"]), name="access_decision_known"
            ),
        ]


class TokenQuerySet(models.QuerySet["Token"]):
    """Questions about tokens."""

    def answered_for_by(self, user: User) -> "TokenQuerySet":
        """One's own, and those of the service accounts of the same person."""
        machines = Q(user__person=user.person_id, user__kind=User.Kind.SERVICE)
        return self.filter(Q(user=user) | machines).select_related("user")


class Token(Coupled):
    """A machine's key: only its SHA-256 is kept. A token never signs off."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    sha256 = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    objects = TokenQuerySet.as_manager()

    @property
    def usable(self) -> set[str]:
        """The scopes that open something now: a ceiling that came down counts at once, whatever the row says."""
        return self.user.within_ceiling(self.scopes)


class UserSession(AbstractBaseSession):
    """A browser's session; knows its account, so that it can be listed and ended (accounts/sessions.py)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="sessions")

    @property
    def handle(self) -> str:
        """A name for it that opens nothing: the key itself is a credential and is never shown."""
        return hashlib.sha256(self.session_key.encode()).hexdigest()[:16]

    @classmethod
    def get_session_store_class(cls) -> "type[SessionStore]":
        from accounts.sessions import SessionStore

        return SessionStore


class Rate(models.Model):
    """How often something was tried in the current window (accounts/rates.py). Unlogged: losing it is harmless."""

    key = models.CharField(max_length=100, primary_key=True)
    until = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)


class IdempotencyKey(models.Model):
    """The first answer to a creating request, replayed to every repeat of it (accounts/once.py)."""

    user = models.ForeignKey(User, on_delete=models.PROTECT)
    route = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "route", "key"], name="idempotency_key_once")]
