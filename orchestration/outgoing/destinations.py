"""The only writer of destinations: what governed acts make of them, and what an admin may do to one that fails.

To send entries out of the house, to another place or to one place less is a governed act. An admin may ask for a test,
let it be tried again, and pass over what the other side does not take: each leaves an entry. It must never move a
destination back or forward otherwise.
"""

import re
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.acting import Acting
from accounts.models import User
from audit.access import may_read
from audit.ledger.entry import Actor, system
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound, Refusal, StaleVersion
from orchestration import notify
from orchestration.actions import egress
from orchestration.models import CONTROL_ROOM, ITSELF, Destination, Environment, Secret, Service, Workflow
from orchestration.models.destination import DestinationQuerySet
from orchestration.outgoing import batches

CREATES = "destination-create"  # the workflow of the governed act, which its secret has to be for
KINDS = re.compile(r"\*|[a-z_]+\.(\*|[a-z_]+)")
URL = re.compile(egress.BASE)  # without a query: what is secret goes into a header
MOST = 100  # entries in one request
SENDER = system("system:sender")
CALM: dict[str, Any] = {
    "attempts": 0,
    "failing_since": None,
    "next_try_at": Now(),
    "lease": None,
    "lease_until": None,
}


class DestinationExists(Refusal):
    """There is a destination of this name."""

    code = "destination_exists"


# --- who sees and who acts ----------------------------------------------------------------------------------------


def may_see(user: Any) -> bool:
    """An admin, or whoever may read the log that is sent."""
    return isinstance(user, User) and user.is_active and (user.is_superuser or may_read(user))


def may_act(user: Any) -> bool:
    return isinstance(user, User) and user.is_active and user.is_superuser


def visible(user: Any) -> DestinationQuerySet:
    """All of them, or none; the ended ones too."""
    found = Destination.objects.select_related("secret")
    return found if may_see(user) else found.none()


def get_or_404(user: Any, key: UUID) -> Destination:
    found = visible(user).filter(pk=key).first()
    if found is None:
        raise NotFound("There is nothing here, or it is not yours to see.")
    return found


# --- by governed act ----------------------------------------------------------------------------------------------


def faults(*, url: str, kinds: list[str], kind: str, secret: str, header: str) -> dict[str, str]:
    """What is wrong with where entries are to go, by argument."""
    found = {}
    try:
        egress.confidential(url)
    except egress.PlaceRefused as problem:
        found["url"] = str(problem)
    if not URL.fullmatch(url) or len(url) > 500:
        found["url"] = "An address is like https://siem.bank.example/events, without a query."
    if not kinds or not all(KINDS.fullmatch(one) for one in kinds):
        found["kinds"] = "Name kinds of entries such as change.approved or sign_off.*; * means all."
    if not secret and kind == Destination.Kind.WEBHOOK:
        found |= {"secret": "A webhook is signed: name the secret that holds its key."}
    if secret and not _is_lent(secret):
        found["secret"] = f"There is no secret of this path that {CREATES} may use in {CONTROL_ROOM}."
    if kind == Destination.Kind.OTLP and secret and not header:
        found["header"] = "Name the header that holds the secret."
    return found


def _is_lent(path: str) -> bool:
    secret = Secret.objects.filter(path=path).first()
    return secret is not None and secret.is_for(*place_of_secrets())


def place_of_secrets() -> tuple[Workflow, Service, Environment]:
    """Where a secret is used that a destination uses."""
    return (
        Workflow.objects.get(slug=CREATES),
        Service.objects.get(slug=ITSELF),
        Environment.objects.get(slug=CONTROL_ROOM),
    )


def create(*, name: str, kind: str, from_beginning: bool, by: Actor, **settings: Any) -> Destination:
    """From the first entry of the log, or from the next one that is sealed."""
    columns = _columns(kind=kind, **settings)
    position = 0 if from_beginning else batches.sealed()
    made = Destination(name=name, kind=kind, position=position, next_try_at=Now(), **columns)
    with transaction.atomic():
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError as error:
            raise DestinationExists(f"There is a destination {name} already; nothing was created.") from error
        record(
            "destination.created", of=made, subject=made.subject, actor=by, **_told(made), position=position
        )
    return made


def edit(row: Destination, *, by: Actor, **settings: Any) -> None:
    """What is under way goes by what held before, or again by what holds now."""
    columns = _columns(kind=row.kind, **settings)
    with transaction.atomic():
        _write(row, **columns, until=None, lease=None, lease_until=None)
        record("destination.edited", of=row, subject=row.subject, actor=by, **_told(row))


def end(row: Destination, *, by: Actor) -> None:
    """Nothing more leaves for it. Its row stays, and tells how far it got."""
    with transaction.atomic():
        _write(row, ended_at=Now(), lease=None, lease_until=None)
        record("destination.ended", of=row, subject=row.subject, actor=by, position=row.position)


def settings_of(row: Destination) -> dict[str, Any]:
    """What can be edited, as it is now."""
    path = row.secret.path if row.secret else ""
    kept = {name: getattr(row, name) for name in ("url", "kinds", "batch", "names", "header")}
    return {**kept, "secret": path}


def _columns(
    *, kind: str, url: str, kinds: list[str], batch: int, names: bool, secret: str, header: str
) -> dict[str, Any]:
    if wrong := faults(url=url, kinds=kinds, kind=kind, secret=secret, header=header):
        told = [{"pointer": f"/{name}", "detail": detail} for name, detail in wrong.items()]
        raise Invalid(f"Nothing was changed. {told[0]['detail']}", errors=told)
    kept = Secret.objects.get(path=secret) if secret else None
    return {
        "url": url, "kinds": sorted(set(kinds)), "batch": batch, "names": names, "secret": kept,
        "header": header if kind == Destination.Kind.OTLP else "",
    }  # fmt: skip


def _told(row: Destination) -> dict[str, Any]:
    return {"destination": row.name, "form": row.kind, **settings_of(row)}


# --- by the sender and by an admin --------------------------------------------------------------------------------


def pause(row: Destination, *, why: str) -> None:
    """It was given up; in the transaction of the attempt that failed."""
    _write(row, paused_at=Now())
    record(
        "destination.paused", of=row, subject=row.subject, actor=SENDER,
        destination=row.name, position=row.position, attempts=row.attempts, why=why,
    )  # fmt: skip
    notify.hint(notify.INBOX, 0)


def resume(row: Destination, *, reason: str, by: Acting) -> None:
    """Try it again now, whether it was given up or only waits."""
    _require(row, by, reason, failed=True)
    with transaction.atomic():
        _write(row, paused_at=None, **CALM)
        record("destination.resumed", of=row, subject=row.subject, actor=by.actor, reason=Erasable(reason))


def skip(row: Destination, *, reason: str, by: Acting) -> None:
    """Pass over the batch that does not arrive. Its entries stay in the log, and the other side is shown the gap."""
    _require(row, by, reason, failed=True)
    batch = batches.following(row, size=batches.sealed())
    if not batch.events:
        raise MoveNotAllowed(f"Nothing was skipped: nothing waits for {row.name}.")
    first, last = batch.events[0].index, batch.events[-1].index
    with transaction.atomic():
        passed: dict[str, Any] = {"position": batch.until, "previous": last, "until": None, "last_error": ""}
        _write(row, at=row.position, paused_at=None, **passed, **CALM)
        record(
            "destination.skipped", of=row, subject=row.subject, actor=by.actor,
            first=first, last=last, entries=len(batch.events), reason=Erasable(reason),
        )  # fmt: skip


def test(row: Destination, *, by: Acting) -> None:
    """A true entry, which takes the way of all others and arrives after those that wait."""
    _require(row, by, "a test", failed=False)
    with transaction.atomic():
        record("destination.tested", of=None, subject=row.subject, actor=by.actor, destination=row.name)


def _require(row: Destination, by: Acting, reason: str, *, failed: bool) -> None:
    if not may_act(by.user):
        raise NotAllowed("Nothing was done: destinations are looked after by admins.")
    if not reason.strip() or len(reason) > 2000:
        detail = "Say why, in at most 2000 characters."
        raise Invalid(f"Nothing was done. {detail}", errors=[{"pointer": "/reason", "detail": detail}])
    if row.ended_at is not None:
        raise MoveNotAllowed(f"Nothing was done: {row.name} was ended.")
    if failed and not (row.attempts or row.paused_at):
        raise MoveNotAllowed(f"Nothing was done: nothing failed for {row.name}.")
    if not failed and row.paused_at:
        raise MoveNotAllowed(f"Nothing was sent: {row.name} was given up. Let it be tried again first.")


def _write(row: Destination, *, at: int | None = None, **columns: Any) -> None:
    """The next version of the row, if it is still the one that was seen; with `at`, still at this position."""
    here = {} if at is None else {"position": at}
    seen = Destination.objects.standing().filter(pk=row.pk, version=row.version, **here)
    if not seen.update(**columns, version=F("version") + 1):
        raise StaleVersion(f"{row.name} was changed meanwhile; nothing was done. Reload it.")
    row.refresh_from_db()
