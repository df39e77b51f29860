"""Kill switches: thrown by one person at once, lifted by a governed act alone. The gate looks at them at every start.

Break-glass does not open them. The control room, where they are lifted, is out of their reach. It must never stop a
run: that is for the floor above, after the switch stands.
"""

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet

from approvals.clock import database_time
from approvals.closed import GateClosed
from approvals.models import KillSwitch
from approvals.plans import CONTROL_ROOM, EVERYWHERE
from audit.ledger.entry import Actor
from audit.ledger.personal import Erasable
from audit.ledger.record import record
from audit.refusals import Invalid, NotFound, StaleVersion

ANY = "*"
GOVERN = "govern"  # lifts switches
REASON_MAX = 2000
# Starts hold it together until they commit, a throw alone: once thrown, no start that looked before can follow.
_LOCK = 0x6B696C6C
_HERE = """
    SELECT * FROM approvals_killswitch WHERE lifted_at IS NULL AND environment = ANY(%s) AND action = ANY(%s)
     ORDER BY thrown_at DESC LIMIT 1
"""
_STARTING = "SELECT pg_advisory_xact_lock_shared(%s)"
_THROWING = "SELECT pg_advisory_xact_lock(%s)"


class KillSwitchThrown(GateClosed):
    """A kill switch holds here, an emergency too; others have to agree that it is lifted."""

    code = "gate_kill_switch"


def standing() -> QuerySet[KillSwitch]:
    """Those that hold now, newest first."""
    return KillSwitch.objects.filter(lifted_at=None).order_by("-thrown_at")


def check(*, environment: str, action: str) -> None:
    """Refuse a start of this here, and let no switch be thrown until the caller's transaction has ended."""
    if environment == CONTROL_ROOM:
        return
    _hold(_STARTING)
    for thrown in KillSwitch.objects.raw(_HERE, [[environment, EVERYWHERE], [action, ANY]]):
        raise KillSwitchThrown(f"{thrown.words}, since a kill switch was thrown: {thrown.reason}")


def throw(*, environment: str, action: str, hard: bool, reason: str, by: Actor) -> KillSwitch:
    """From the moment that this has returned nothing of it starts. One that stands already is enough."""
    if environment == CONTROL_ROOM or action == GOVERN:
        raise Invalid(f"{CONTROL_ROOM} and {GOVERN} have no kill switch: switches are lifted there.")
    if not reason.strip() or len(reason) > REASON_MAX:
        raise Invalid(
            "The switch was not thrown: say why, in at most 2,000 characters.",
            errors=[{"pointer": "/reason", "detail": "1 to 2000 characters"}],
        )
    with transaction.atomic():
        _hold(_THROWING)
        same = standing().filter(environment=environment, action=action, hard=hard).first()
        if same is not None:
            return same
        made = KillSwitch.objects.create(
            environment=environment,
            action=action,
            hard=hard,
            reason=reason.strip(),
            thrown_by=by.id,
            thrown_at=database_time(),
        )
        _record(made, "kill_switch.thrown", by=by)
    return made


def by_key(key: str) -> KillSwitch:
    """The standing one that people call this."""
    found = [one for one in standing() if one.key == key]
    if len(found) != 1:
        raise NotFound(f"There is no kill switch {key!r} now.")
    return found[0]


@transaction.atomic
def lift(row: KillSwitch, *, by: Actor) -> KillSwitch:
    """The writer of the governed act `kill_switch.lift`: what waited may start again."""
    seen = KillSwitch.objects.filter(pk=row.pk, version=row.version, lifted_at=None)
    if not seen.update(lifted_at=database_time(), version=F("version") + 1):
        raise StaleVersion(f"{row.key} was lifted meanwhile; nothing was done.")
    row.refresh_from_db()
    _record(row, "kill_switch.lifted", by=by)
    return row


def visible(slugs: list[str]) -> Q:
    """Those of everywhere, and of the environments that one may see."""
    return Q(environment=EVERYWHERE) | Q(environment__in=slugs)


def _hold(lock: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(lock, [_LOCK])


def _record(row: KillSwitch, kind: str, *, by: Actor) -> None:
    told = {"environment": row.environment, "action": row.action, "reason": Erasable(row.reason)}
    record(kind, of=row, subject=row.key, actor=by, hard=row.hard, **told)
