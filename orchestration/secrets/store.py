"""The only writer of secrets and of their sealed versions. Values come in and never go out.

Whoever is in the owning team writes and destroys versions and narrows where a secret may be used; to widen that is a
governed act, and so is to name what another place keeps.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Now

from accounts.acting import Acting
from accounts.models import Team, User
from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Invalid, NotAllowed, NotFound, Refusal, StaleVersion, WeakensProtection
from orchestration.models import Environment, Secret, SecretVersion, Service, Workflow
from orchestration.secrets import envelope
from orchestration.secrets.provider import fault
from orchestration.secrets.providers import PROVIDERS, bound_to, sealed_of

PATH = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,5}")
SCOPE: Mapping[str, Any] = {"environments": Environment, "services": Service, "workflows": Workflow}
Scope = Mapping[str, Sequence[str]]


class SecretExists(Refusal):
    """There is a secret of this path."""

    code = "secret_exists"


class NoSealingKey(Refusal):
    """No worker has made the key for which a secret is sealed."""

    code = "no_sealing_key"


def visible(user: Any) -> QuerySet[Secret]:
    """Those of one's own teams; an administrator sees that the others exist."""
    found = Secret.objects.select_related("owner")
    if not isinstance(user, User) or not user.is_active:
        return found.none()
    return found if user.is_superuser else found.filter(owner__in=Team.objects.of(user))


def get_or_404(user: Any, key: UUID) -> Secret:
    secret = visible(user).filter(pk=key).first()
    if secret is None:
        raise NotFound("There is nothing here, or it is not yours to see.")
    return secret


def is_owner(secret: Secret, user: User) -> bool:
    """An administrator does not read over the shoulder of a team, nor writes in its place."""
    return secret.owner.memberships.filter(user=user, ended_at=None).exists()


def create(*, path: str, owner: Team, scope: Scope, by: Acting) -> Secret:
    """A name without a value yet, for the places that are named."""
    if not owner.memberships.filter(user=by.user, ended_at=None).exists():
        raise NotAllowed(f"Secrets of {owner.name} are made by its members; nothing was created.")
    return install(path=path, owner=owner, scope=scope, by=by.actor)


def install(
    *, path: str, owner: Team, scope: Scope, by: Actor, provider: str = "store", source: str = ""
) -> Secret:
    """The same at a terminal or by a governed act, which alone may name what another place keeps."""
    if problems := faults(path=path, scope=scope, provider=provider, source=source):
        raise Invalid(f"Nothing was created. {problems[0]['detail']}", errors=problems)
    secret = Secret(path=path, owner=owner, provider=provider, source=source, **_columns(scope))
    with transaction.atomic():
        try:
            with transaction.atomic():
                secret.save(force_insert=True)
        except IntegrityError as error:
            raise SecretExists(f"There is a secret {path} already; nothing was created.") from error
        _record("secret.created", secret, by=by, source=source)
    return secret


def faults(*, path: str, scope: Scope, provider: str = "store", source: str = "") -> list[dict[str, str]]:
    """What is wrong with a path, a scope and where it is kept, by pointer."""
    problems = []
    if not PROVIDERS[provider].source.fullmatch(source):
        detail = (
            "Say where it lies: payments/db-password in the folder, or payments/db#password in the Vault."
        )
        problems.append({"pointer": "/source", "detail": detail})
    if not PATH.fullmatch(path) or len(path) > 150:
        detail = "A path is like payments/db-password: small letters, digits, . _ - and up to five slashes."
        problems.append({"pointer": "/path", "detail": detail})
    return [*problems, *faults_of_scope(scope)]


def faults_of_scope(scope: Scope) -> list[dict[str, str]]:
    """What is wrong with where it may be used."""
    problems = []
    if not scope.get("environments"):
        problems.append({"pointer": "/environments", "detail": "Name the environments that it is for."})
    for name, model in SCOPE.items():
        known = set(model.objects.filter(slug__in=scope.get(name, ())).values_list("slug", flat=True))
        problems += [
            {"pointer": f"/{name}", "detail": f"There is no {name[:-1]} {slug}."}
            for slug in scope.get(name, ())
            if slug not in known
        ]
    return problems


def write(secret: Secret, value: str, *, by: Acting) -> SecretVersion:
    """A new version, sealed here and now; what is signed off already keeps the version it names."""
    if not is_owner(secret, by.user):
        raise NotAllowed(f"{secret.path} is written by {secret.owner.name}; nothing was stored.")
    return put(secret, value, author=by.user, by=by.actor)


def put(secret: Secret, value: str, *, author: User | None, by: Actor) -> SecretVersion:
    """The same at a terminal."""
    if problem := fault(value.encode(errors="surrogatepass")):
        raise Invalid(f"Nothing was stored. {problem}", errors=[{"pointer": "/value", "detail": problem}])
    if secret.provider != Secret.Provider.STORE:
        raise Invalid(f"{secret.path} is kept by {secret.get_provider_display()}; write it there.")
    with transaction.atomic():
        Secret.objects.select_for_update(no_key=True).get(pk=secret.pk)
        newest = secret.versions.aggregate(newest=Max("number"))["newest"] or 0
        version = SecretVersion(secret=secret, number=newest + 1, author=author)
        sealed = _seal(value, version)
        version.key_id = sealed.key_id
        version.wrapped, version.nonce, version.ciphertext = sealed.wrapped, sealed.nonce, sealed.ciphertext
        version.save(force_insert=True)
        _record_version("secret_version.created", version, by=by, digest=sealed.digest)
    return version


def destroy(secret: Secret, number: int, *, by: Acting) -> None:
    """Take the bytes of a version away for good; a change that was signed off with it will not start."""
    if not is_owner(secret, by.user):
        raise NotAllowed(f"{secret.path} is kept by {secret.owner.name}; nothing was destroyed.")
    with transaction.atomic():
        version = secret.versions.filter(number=number).first()
        if version is None or version.destroyed_at is not None:
            raise NotFound(f"{secret.path} has no version {number} that could be destroyed.")
        digest = sealed_of(version).digest
        seen = SecretVersion.objects.filter(pk=version.pk, version=version.version)
        if not seen.update(
            wrapped=b"", nonce=b"", ciphertext=b"", destroyed_at=Now(), version=F("version") + 1
        ):
            raise StaleVersion(f"{secret.path} was changed meanwhile; nothing was done. Reload it.")
        version.version += 1
        _record_version("secret_version.destroyed", version, by=by.actor, digest=digest)


def narrow(secret: Secret, scope: Scope, *, by: Acting) -> None:
    """Use it in fewer places, at once. More places take a governed act."""
    if not is_owner(secret, by.user):
        raise NotAllowed(f"{secret.path} is kept by {secret.owner.name}; nothing was changed.")
    if widens(secret, scope):
        raise WeakensProtection(f"{secret.path} would be used in more places. Ask for it: secret-scope.")
    edit_governed(secret, scope, by=by.actor)


def widens(secret: Secret, scope: Scope) -> bool:
    """Whether something may use it then that may not now; an empty list of services or workflows means the owner's."""
    columns = _columns(scope)
    if set(columns["environments"]) - set(secret.environments):
        return True
    return any(
        bool(set(columns[name]) - set(now)) or bool(not columns[name] and now)
        for name, now in (("services", secret.services), ("workflows", secret.workflows))
    )


def edit_governed(secret: Secret, scope: Scope, *, by: Actor) -> None:
    """Where it may be used from now on: a narrowing, or what a governed act was agreed to do."""
    if problems := faults_of_scope(scope):
        raise Invalid(f"Nothing was changed. {problems[0]['detail']}", errors=problems)
    columns = _columns(scope)
    with transaction.atomic():
        seen = Secret.objects.filter(pk=secret.pk, version=secret.version)
        if not seen.update(**columns, version=F("version") + 1):
            raise StaleVersion(f"{secret.path} was changed meanwhile; nothing was done. Reload it.")
        secret.refresh_from_db()
        _record("secret.edited", secret, by=by)


def scope_of(secret: Secret) -> dict[str, list[str]]:
    """Where it may be used now."""
    return {name: list(getattr(secret, name)) for name in SCOPE}


def used_by(secret: Secret) -> list[str]:
    """The workflows whose active version names it, whatever the service and the environment."""
    flows = Workflow.objects.filter(active__isnull=False).select_related("active").order_by("slug")
    return [
        one.slug for one in flows if one.active and any(_names(step, secret) for step in one.active.steps)
    ]


def _names(step: Mapping[str, Any], secret: Secret) -> bool:
    """Whether a step may mean it: a reference in a path stands for any slug."""
    for said in step.get("secrets", {}).values():
        path = said if isinstance(said, str) else said["path"]
        parts = (re.escape(part) for part in re.split(r"\{\{.*?\}\}", path))
        if re.fullmatch("[a-z0-9_-]+".join(parts), secret.path):
            return True
    return False


def _columns(scope: Scope) -> dict[str, list[str]]:
    return {name: sorted(set(scope.get(name, ()))) for name in SCOPE}


def _seal(value: str, version: SecretVersion) -> envelope.Sealed:
    if settings.SIGNS_AS != "web":  # a worker or a terminal: whoever may hold the key may make it
        envelope.make_key(settings.KEY_DIR)
    try:
        return envelope.seal(value.encode(), folder=settings.KEY_DIR, bound_to=bound_to(version))
    except FileNotFoundError:
        raise NoSealingKey(
            "Nothing was stored: no worker has made its key yet. Start one, and share its public folder."
        ) from None


def _record(kind: str, secret: Secret, *, by: Actor, **told: Any) -> None:
    record(
        kind, of=secret, subject=f"secret:{secret.path}", actor=by, path=secret.path,
        provider=str(secret.provider), owner=secret.owner.slug,
        **scope_of(secret), **told,
    )  # fmt: skip


def _record_version(kind: str, version: SecretVersion, *, by: Actor, digest: str) -> None:
    record(
        kind, of=version, subject=f"secret:{version.secret.path}", actor=by,
        path=version.secret.path, number=version.number, key=version.key_id, digest=digest,
    )  # fmt: skip
