"""Accounts, teams and who is in which: the only writer of these rows. Nothing here is ever deleted.

Who may call is the door's question; whoever calls is in the entry.
"""

from collections.abc import Iterable

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import sessions, tokens
from accounts.models import Membership, Person, Team, User
from audit.clock import database_time
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.models import ActorName, FormerName
from audit.refusals import Invalid, Refusal, StaleVersion

NAME_MAX = 200


class NameTaken(Refusal):
    """Another account or team has this name."""

    code = "name_taken"


class AlreadyMember(Refusal):
    """One open membership in a team is enough."""

    code = "already_member"


class NotMember(Refusal):
    """There is no open membership to end."""

    code = "not_member"


class AlreadyAdmin(Refusal):
    """The account is an admin, was switched off, or is a machine's."""

    code = "already_admin"


class AlreadyInactive(Refusal):
    """The account was switched off before."""

    code = "already_inactive"


def create_person(
    *,
    username: str,
    name: str,
    by: Actor,
    email: str = "",
    title: str = "",
    password: str | None = None,
    superuser: bool = False,
) -> User:
    """A natural person with one account. Without a password nobody can sign in to it."""
    with transaction.atomic():
        user = User(
            person=Person.objects.create(name=name),
            username=username,
            name=name,
            email=email,
            title=title,
            is_superuser=superuser,
        )
        user.set_password(password)
        return _create(user, by)


def create_service_account(
    *, username: str, name: str, person: Person, by: Actor, ceiling: Iterable[str] = tokens.READING
) -> User:
    """An account of a machine, for which a person answers: it conflicts with that person's sign-offs.

    Its tokens have no scope beyond the ceiling; whoever calls without being the root of trust leaves it at reading.
    """
    with transaction.atomic():
        user = User(
            person=person, kind=User.Kind.SERVICE, username=username, name=name, ceiling=sorted(set(ceiling))
        )
        user.set_unusable_password()
        return _create(user, by)


def create_team(*, slug: str, name: str, by: Actor) -> Team:
    """An empty team, with the group that carries its grants."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                team = Team.objects.create(slug=slug, name=name, group=Group.objects.create(name=slug))
        except IntegrityError as error:
            raise NameTaken(f"There is a team {slug} already; nothing was created.") from error
        record("team.created", of=team, subject=f"team:{slug}", actor=by, name=name)
        return team


def join(team: Team, user: User, *, by: Actor, lead: bool = False) -> Membership:
    """Start a membership. Its age counts: some policies want a day before the first sign-off."""
    with transaction.atomic():
        try:
            with transaction.atomic():
                membership = Membership.objects.create(team=team, user=user, lead=lead)
        except IntegrityError as error:
            raise AlreadyMember(f"{user.name} is in {team.name} already; nothing was changed.") from error
        user.groups.add(team.group_id)
        _record("membership.started", membership, team, user, by)
        return membership


def leave(team: Team, user: User, *, by: Actor) -> Membership:
    """End the open membership; the row stays as history."""
    with transaction.atomic():
        membership = Membership.objects.filter(team=team, user=user, ended_at=None).first()
        if membership is None:
            raise NotMember(f"{user.name} is not in {team.name}; nothing was changed.")
        row = Membership.objects.filter(pk=membership.pk, version=membership.version, ended_at=None)
        if not row.update(ended_at=Now(), version=F("version") + 1):
            raise StaleVersion("Somebody changed this membership meanwhile; nothing was done. Reload it.")
        membership.refresh_from_db()
        user.groups.remove(team.group_id)
        _record("membership.ended", membership, team, user, by)
        return membership


def synced(team: Team, *, by: Actor) -> None:
    """Its directory has just told who is in it; from now on it has to go on telling."""
    with transaction.atomic():
        row = Team.objects.filter(pk=team.pk, version=team.version)
        if not row.update(synced_at=Now(), version=F("version") + 1):
            raise StaleVersion("Somebody changed this team meanwhile; nothing was done. Reload it.")
        team.refresh_from_db()
        record("team.synced", of=team, subject=f"team:{team.slug}", actor=by)


def deactivate(user: User, *, by: Actor) -> None:
    """Switch an account off for good: its sessions, tokens and memberships end with it, its entries stay."""
    with transaction.atomic():
        seen = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        row = User.objects.filter(pk=user.pk, version=seen.version, is_active=True)
        if not row.update(is_active=False, version=F("version") + 1):
            raise AlreadyInactive(f"{user.name} is inactive already; nothing was changed.")
        user.is_active, user.version = False, seen.version + 1
        record("account.deactivated", of=user, subject=f"account:{user.pk}", actor=by)
        for token in user.tokens.filter(revoked_at=None):
            tokens.end(token, by=by)
        for team in Team.objects.of(user).order_by("pk"):
            leave(team, user, by=by)
        sessions.end_all(user, by=by)


def rename(user: User, *, name: str, by: Actor) -> None:
    """Call an account something else from now on. What happened before is shown with the name of its time, too."""
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise Invalid(f"Nothing was renamed: a name has 1 to {NAME_MAX} characters, on one line.")
    with transaction.atomic():
        seen = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if seen.name == name:
            return
        User.objects.filter(pk=user.pk).update(name=name, version=F("version") + 1)
        user.name, user.version = name, seen.version + 1
        if user.kind == User.Kind.PERSON:
            Person.objects.filter(pk=user.person_id).update(name=name)
        told = {"actor": str(user.pk), "name": seen.name, "handle": seen.username}
        FormerName.objects.create(**told, until=database_time())
        ActorName.objects.filter(actor=str(user.pk)).update(name=name)
        record("account.renamed", of=user, subject=f"account:{user.pk}", actor=by, name=Erasable(name))


def promote(user: User, *, by: Actor) -> None:
    """Make an account an admin: it sees everything, and still signs nothing off without a grant."""
    with transaction.atomic():
        seen = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        row = User.objects.filter(pk=user.pk, version=seen.version, kind=User.Kind.PERSON)
        if not row.filter(is_active=True, is_superuser=False).update(
            is_superuser=True, version=F("version") + 1
        ):
            raise AlreadyAdmin(
                f"{user.name} is an admin already, inactive or a machine, so nothing was changed."
            )
        user.is_superuser, user.version = True, seen.version + 1
        record("account.promoted", of=user, subject=f"account:{user.pk}", actor=by)


def _create(user: User, by: Actor) -> User:
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:
        raise NameTaken(f"There is an account {user.username} already; nothing was created.") from error
    ActorName.objects.create(actor=str(user.pk), name=user.name, handle=user.username)
    record(
        "account.created",
        of=user,
        subject=f"account:{user.pk}",
        actor=by,
        kind_of_account=str(user.kind),
        person=str(user.person_id),
        superuser=user.is_superuser,
        scopes=list(user.ceiling),
        name=Erasable(user.name),
        username=Erasable(user.username),
    )
    return user


def _record(kind: str, membership: Membership, team: Team, user: User, by: Actor) -> None:
    record(
        kind,
        of=membership,
        subject=f"team:{team.slug}",
        actor=by,
        account=str(user.pk),
        lead=membership.lead,
    )
