"""Another key for the workers: what was sealed for an older one is wrapped anew, so that the older can be destroyed.

Only the key of each value is wrapped anew; its sealed bytes, and so their digest in what was signed off, stay as they
are, and no value is opened. It may be ended at any moment and goes on when it is run again.
"""

from collections import Counter
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet

from audit.ledger.entry import Actor
from audit.ledger.record import record
from audit.refusals import Refusal
from orchestration.models import SecretVersion
from orchestration.secrets import envelope
from orchestration.secrets.provider import Gone
from orchestration.secrets.providers import sealed_of


class KeyNotHeld(Refusal):
    """Whoever rotates holds the workers' keys: a terminal of the web server does not."""

    code = "secrets_key_not_held"


@dataclass(frozen=True)
class Rotated:
    """What came of it: the key that counts now, how many values were wrapped for it, and which could not be."""

    key: str
    wrapped: int
    left: list[str]


def prepare(*, by: Actor) -> str:
    """The next key, which nothing is sealed for yet: other hosts have to hold it before anything is."""
    _require_keys()
    waiting = _waiting()
    if waiting:
        return waiting[-1]
    name = envelope.make_next_key(settings.KEY_DIR)
    _record("secrets_key.made", name, by=by)
    return name


def rotate(*, by: Actor) -> Rotated:
    """Go on with what was begun, or begin: publish the next key and wrap every value for it."""
    _require_keys()
    if not _older().exists() or _waiting():
        key = prepare(by=by)
        envelope.publish(settings.KEY_DIR, key)
        _record("secrets_key.published", key, by=by)
    wrapped, left = 0, []
    for version in _older().select_related("secret").order_by("pk"):
        try:
            wrapped += _wrap(version, by=by)
        except Gone as gone:
            left.append(f"{version.secret.path} version {version.number}: {gone}")
    return Rotated(_newest(), wrapped, left)


def listed() -> list[tuple[str, bool, int]]:
    """Each key, the newest last: its id, whether it is held here, and how many values are sealed for it."""
    counts = Counter(_standing().values_list("key_id", flat=True))
    held = envelope.held(settings.KEY_DIR)
    names = [*envelope.published(settings.KEY_DIR)]
    names += [name for name in (*counts, *held) if name not in names]
    return [(name, name in held, counts[name]) for name in dict.fromkeys(names)]


@transaction.atomic
def _wrap(seen: SecretVersion, *, by: Actor) -> int:
    """One value, if it is still there and still for an older key; 0 when it was destroyed or done meanwhile."""
    version = _older().select_for_update(no_key=True, of=("self",)).filter(pk=seen.pk).first()
    if version is None:
        return 0
    anew = envelope.wrap_anew(sealed_of(version), folder=settings.KEY_DIR)
    SecretVersion.objects.filter(pk=version.pk, version=version.version).update(
        key_id=anew.key_id, wrapped=anew.wrapped, version=F("version") + 1
    )
    was, version.version = version.key_id, version.version + 1
    record(
        "secret_version.wrapped", of=version, subject=f"secret:{seen.secret.path}", actor=by,
        path=seen.secret.path, number=version.number, was=was, key=anew.key_id, digest=anew.digest,
    )  # fmt: skip
    return 1


def _standing() -> QuerySet[SecretVersion]:
    return SecretVersion.objects.filter(destroyed_at=None)


def _older() -> QuerySet[SecretVersion]:
    return _standing().exclude(key_id=_newest())


def _newest() -> str:
    return envelope.published(settings.KEY_DIR)[-1]


def _waiting() -> list[str]:
    """Keys that were made for a rotation and are not published yet."""
    known = envelope.published(settings.KEY_DIR)
    return [name for name in envelope.held(settings.KEY_DIR) if name not in known]


def _require_keys() -> None:
    if settings.SIGNS_AS == "web":
        raise KeyNotHeld(
            "Nothing was done: a web server holds no key of the workers. Do it where a worker runs."
        )
    envelope.make_key(settings.KEY_DIR)
    if _newest() not in envelope.held(settings.KEY_DIR):
        raise KeyNotHeld(
            f"Nothing was done: the newest key {_newest()} is not held here. Do it where the workers' keys lie."
        )


@transaction.atomic
def _record(kind: str, name: str, *, by: Actor) -> None:
    record(kind, of=None, subject=f"secrets-key:{name}", actor=by, key=name)
