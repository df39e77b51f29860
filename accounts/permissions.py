"""Who may do what with which object: grants to teams, deny by default.

A grant counts through an open membership, which is a governed row: a line in `auth_user_groups` alone gives nothing.
A superuser may look at everything and gets nothing else without a grant; above all no sign-off.
"""

from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, UUIDField
from django.db.models.functions import Cast
from guardian.models import GroupObjectPermission

from accounts.models import Membership, Team, User
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, NotAllowed, NotFound

VERBS = ("view", "request", "sign_off", "operate", "break_glass")
DOES = {
    "view": "see",
    "request": "request",
    "sign_off": "sign off",
    "operate": "operate",
    "break_glass": "break glass in",
}
LOG = {"codename": "view_entry", "content_type__app_label": "audit"}
Row = TypeVar("Row", bound=models.Model)
Anybody = User | AnonymousUser


def may(user: Anybody, verb: str, obj: models.Model) -> bool:
    """May this account do this with this object now? Whoever may do anything with it may see it."""
    if not isinstance(user, User) or not user.is_active:
        return False
    if verb == "view" and user.is_superuser:
        return True
    return _of(user, _grants(verb, type(obj))).filter(object_pk=str(obj.pk)).exists()


def visible(user: Anybody, queryset: QuerySet[Row], verb: str = "view") -> QuerySet[Row]:
    """The rows that this account may see (or `verb`): the base of every list, export and lookup. One query."""
    if not isinstance(user, User) or not user.is_active:
        return queryset.none()
    if verb == "view" and user.is_superuser:
        return queryset
    granted = _of(user, _grants(verb, queryset.model))
    return queryset.filter(pk__in=granted.values(key=Cast("object_pk", UUIDField())))


def require(user: Anybody, verb: str, obj: models.Model) -> None:
    """NotFound when even its existence is a secret; else NotAllowed, which names the teams that may."""
    if may(user, verb, obj):
        return
    if not may(user, "view", obj):
        raise NotFound("There is nothing here, or it is not yours to see.")
    teams = ", ".join(teams_that_may(verb, obj).values_list("name", flat=True)) or "no team yet"
    raise NotAllowed(f"You can see this but not {DOES[verb]} it. Who can: {teams}.")


def teams_that_may(verb: str, obj: models.Model) -> QuerySet[Team]:
    """The teams that hold this grant."""
    granted = _grants(verb, type(obj)).filter(object_pk=str(obj.pk))
    return Team.objects.filter(group__in=granted.values("group")).order_by("name")


def people_who_may(verb: str, obj: models.Model) -> QuerySet[User]:
    """Active accounts that hold this grant through a team: "who can approve X?"."""
    open_in = Q(memberships__team__in=teams_that_may(verb, obj), memberships__ended_at=None)
    return User.objects.filter(open_in, is_active=True).distinct().order_by("name")


def grant(team: Team, verb: str, obj: models.Model, *, by: Actor) -> None:
    """Let a team do this; the team's own history shows it. Granting twice changes nothing."""
    permission = _permission(verb, type(obj))
    with transaction.atomic():
        _lock(team)
        _, made = GroupObjectPermission.objects.get_or_create(
            group_id=team.group_id, permission=permission, **_named(obj)
        )
        if made:
            _record("permission.granted", team, verb, by, **_told(obj))


def revoke(team: Team, verb: str, obj: models.Model, *, by: Actor) -> None:
    """Take it back. Revoking what was never granted changes nothing."""
    permission = _permission(verb, type(obj))
    with transaction.atomic():
        _lock(team)
        gone, _ = GroupObjectPermission.objects.filter(
            group_id=team.group_id, permission=permission, **_named(obj)
        ).delete()
        if gone:
            _record("permission.revoked", team, verb, by, **_told(obj))


def open_log(team: Team, *, by: Actor) -> None:
    """Let a team read the audit log and the control tests: the one grant that is about no single record."""
    with transaction.atomic():
        _lock(team)
        if not team.group.permissions.filter(**LOG).exists():
            team.group.permissions.add(Permission.objects.get(**LOG))
            _record("permission.granted", team, "view", by, object="log", object_id="*")


def close_log(team: Team, *, by: Actor) -> None:
    """Take it back."""
    with transaction.atomic():
        _lock(team)
        if team.group.permissions.filter(**LOG).exists():
            team.group.permissions.remove(Permission.objects.get(**LOG))
            _record("permission.revoked", team, "view", by, object="log", object_id="*")


def strays() -> int:
    """Lines of `auth_user_groups` that no open membership explains: somebody wrote past `teams`. Must be 0."""
    through = User.groups.through.objects.filter(group__team__isnull=False)
    explained = Membership.objects.open().filter(user=OuterRef("user"), team__group=OuterRef("group"))
    return through.filter(~Exists(explained)).count()


def _grants(verb: str, model: type[models.Model]) -> QuerySet[GroupObjectPermission]:
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is no verb of {', '.join(VERBS)}")
    verbs = VERBS if verb == "view" else (verb,)
    return GroupObjectPermission.objects.filter(
        content_type=ContentType.objects.get_for_model(model),
        permission__codename__in=[f"{one}_{model._meta.model_name}" for one in verbs],
    )


def _of(user: User, grants: QuerySet[GroupObjectPermission]) -> QuerySet[GroupObjectPermission]:
    return grants.filter(group__team__memberships__user=user, group__team__memberships__ended_at=None)


def _permission(verb: str, model: type[models.Model]) -> Permission:
    found = Permission.objects.filter(
        content_type=ContentType.objects.get_for_model(model), codename=f"{verb}_{model._meta.model_name}"
    ).first()
    if found is None:
        raise Invalid(f"A {model._meta.verbose_name} knows no {verb!r}; nothing was granted or revoked.")
    return found


def _named(obj: models.Model) -> dict[str, Any]:
    return {"content_type": ContentType.objects.get_for_model(obj), "object_pk": str(obj.pk)}


def _lock(team: Team) -> None:
    """A grant does not depend on what the caller saw of the team, so it waits instead of refusing."""
    team.version = (
        Team.objects.select_for_update(no_key=True).values_list("version", flat=True).get(pk=team.pk)
    )


def _told(obj: models.Model) -> dict[str, str]:
    """How an entry names an object."""
    name = f"{obj._meta.model_name}:{getattr(obj, 'slug', obj.pk)}"
    return {"object": name, "object_id": str(obj.pk)}


def _record(kind: str, team: Team, verb: str, by: Actor, **about: str) -> None:
    Team.objects.filter(pk=team.pk, version=team.version).update(version=F("version") + 1)
    team.version += 1
    record(kind, of=team, subject=f"team:{team.slug}", actor=by, verb=verb, **about)
