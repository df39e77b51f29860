"""Replays: asked for by a person, done by a worker in short turns, cancelled at any time.

A batch's numbers, its rows and how far it is are written together, and only while the turn is the writer's own: a
worker that is killed, slow or late adds nothing twice. It must never decide anything, nor show anybody a decision
about something that they may not see.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from accounts.acting import Acting
from accounts.models import User
from approvals.clock import database_time
from approvals.models import Decision, Difference, Replay
from approvals.policy import bundles, candidates, replay
from approvals.policy.bundles import Candidate
from approvals.policy.engine import PolicyUnavailable
from audit import calls
from audit.access import may_read
from audit.refusals import Invalid, MoveNotAllowed, NotAllowed, NotFound, Refusal

TASK = "approvals.replay"
call = partial(calls.send, TASK)
DAYS = (7, 30, 90)
TURN = 10.0  # seconds; then the worker is free for a run, and the next turn goes on
SILENT = timedelta(seconds=90)  # longer than any batch: whoever had it is gone
LOST = 3  # workers; a candidate that takes more of them with it is not tried again
SETTLED = timedelta(seconds=5)  # what was decided just now may not be committed yet
KEPT = timedelta(days=90)
UNDER_WAY = (Replay.State.QUEUED, Replay.State.RUNNING)
Seen = Callable[[Any], Collection[str]]  # the changes (CHG-12) that an account may see: the floor above knows


class ReplayUnderWay(Refusal):
    """One at a time for each person."""

    code = "replay_under_way"


def start(candidate: Candidate, *, days: int, seen: Seen, by: Acting) -> Replay:
    """Ask for a replay of what one may see; auditors and admins see all that was decided."""
    if days not in DAYS:
        detail = "Choose 7, 30 or 90 days."
        raise Invalid(f"Nothing was replayed. {detail}", errors=[{"pointer": "/days", "detail": detail}])
    subjects = None if may_read(by.user) else sorted(seen(by.user))
    now = database_time()
    with transaction.atomic():
        User.objects.select_for_update().get(pk=by.user.pk)
        if Replay.objects.filter(user=by.user, state__in=UNDER_WAY, shadow=None).exists():
            raise ReplayUnderWay(
                "One of your replays is under way, so this was not started. Wait for it, or cancel it."
            )
        made = Replay.objects.create(
            **told_of(candidate), user=by.user, days=days, since=now - timedelta(days=days), until=now,
            subjects=subjects, seen_at=now,
        )  # fmt: skip
        Replay.objects.filter(pk=made.pk).update(total=decisions(made).count())
        transaction.on_commit(partial(call, made.pk), robust=True)
    made.refresh_from_db()
    return made


def told_of(candidate: Candidate) -> dict[str, Any]:
    """A candidate as a replay keeps it."""
    return {
        "name": candidates.name(candidate),
        "digest": candidate.digest,
        "sources": dict(candidate.sources),
    }


def visible(user: Any) -> QuerySet[Replay]:
    """One's own; auditors and admins see each. One over all decisions is for them alone."""
    if may_read(user):
        return Replay.objects.all()
    return Replay.objects.filter(user=user, subjects__isnull=False)


def get(key: UUID, *, user: Any) -> Replay:
    found = visible(user).select_related("user").filter(pk=key).first()
    if found is None:
        raise NotFound("There is no such replay, or it is not yours to see.")
    return found


def rows(found: Replay, *, user: Any, seen: Seen) -> QuerySet[Difference]:
    """What differs, of what this account may see today."""
    listed = found.rows.select_related("decision__bundle")
    return listed if may_read(user) else listed.filter(subject__in=seen(user))


def alike(found: Replay, *, user: Any, seen: Seen) -> QuerySet[Decision]:
    """What it answered alike, of what this account may see today; nothing where not every difference was kept."""
    if found.cursor is None or found.differs > replay.ROWS:
        return Decision.objects.none()
    at, pk = found.cursor.decided_at, found.cursor.pk
    judged = Decision.objects.filter(Q(decided_at__lt=at) | Q(decided_at=at, pk__lte=pk))
    judged = judged.filter(decided_at__gte=found.since).exclude(pk__in=found.rows.values("decision"))
    if found.subjects is not None:
        judged = judged.filter(input__change__id__in=found.subjects)
    if not may_read(user):
        judged = judged.filter(input__change__id__in=seen(user))
    return judged.select_related("bundle").order_by("decided_at", "pk")


def risky(listed: QuerySet[Difference]) -> int:
    """How many of these are newly allowed in a protected environment."""
    return listed.filter(kind=replay.Kind.NEWLY_ALLOWED, decision__input__environment__protected=True).count()


def cancel(key: UUID, *, by: Acting) -> Replay:
    """Stop it; the batch that is being judged is thrown away."""
    found = get(key, user=by.user)
    if found.user_id != by.user.pk and not by.user.is_superuser:
        raise NotAllowed(f"Only {found.user.name} or an admin cancels this replay; it goes on.")
    if found.until is None:
        raise MoveNotAllowed("A shadow is not cancelled: an admin ends it.")
    if not end(found, Replay.State.CANCELLED):
        raise MoveNotAllowed("This replay has ended already; nothing was cancelled.")
    return get(key, user=by.user)


def end(found: Replay, state: Replay.State, problem: str = "") -> bool:
    """Whether it was under way until now."""
    ended = Replay.objects.filter(pk=found.pk, state__in=UNDER_WAY)
    return bool(ended.update(state=state, problem=problem, ended_at=Now(), seen_at=Now()))


def work(key: UUID, *, seconds: float = TURN) -> None:
    """One turn. Nothing where another worker has it, or where it has ended."""
    with transaction.atomic(durable=True):
        mine = _take(key)
    if mine is None:
        return
    try:
        finished = _judge(mine, until=time.monotonic() + seconds)
    except PolicyUnavailable:
        return  # no process of the engine was free: taken up again like one whose worker is gone
    except Refusal as refused:
        end(mine, Replay.State.FAILED, str(refused))
        return
    if not finished:
        return
    if mine.until is None:
        _turn(mine).update(state=Replay.State.QUEUED, seen_at=Now(), lost=0)
    else:
        _turn(mine).update(state=Replay.State.DONE, ended_at=Now(), seen_at=Now())


def sweep() -> list[UUID]:
    """What waits for a worker, or lost one; and what is old is forgotten."""
    Replay.objects.filter(created_at__lt=Now() - KEPT, shadow=None).exclude(state__in=UNDER_WAY).delete()
    quiet = Replay.objects.filter(state=Replay.State.RUNNING, seen_at__lt=Now() - SILENT)
    for one in quiet.filter(lost__gte=LOST - 1):
        end(one, Replay.State.FAILED, f"{LOST} workers ended over it. What is shown was judged before.")
    waits = Replay.objects.filter(state=Replay.State.QUEUED)
    return list((waits | quiet).order_by("created_at").values_list("pk", flat=True))


def decisions(found: Replay) -> QuerySet[Decision]:
    """What is still to be judged, oldest first."""
    until = Now() - SETTLED if found.until is None else found.until
    left = Decision.objects.filter(decided_at__gte=found.since, decided_at__lt=until)
    if found.subjects is not None:
        left = left.filter(input__change__id__in=found.subjects)
    if found.cursor is not None:
        at, pk = found.cursor.decided_at, found.cursor.pk
        left = left.filter(Q(decided_at__gt=at) | Q(decided_at=at, pk__gt=pk))
    return left.order_by("decided_at", "pk")


def _take(key: UUID) -> Replay | None:
    found = Replay.objects.filter(pk=key)
    waits = found.filter(state=Replay.State.QUEUED)
    moved = {"state": Replay.State.RUNNING, "turn": F("turn") + 1, "seen_at": Now()}
    if not waits.update(**moved):
        silent = found.filter(state=Replay.State.RUNNING, seen_at__lt=Now() - SILENT, lost__lt=LOST - 1)
        if not silent.update(**moved, lost=F("lost") + 1):
            return None
    return Replay.objects.select_related("cursor").get(pk=key)


def _judge(mine: Replay, *, until: float) -> bool:
    """Whether all is judged; False as well when it is no longer this worker's."""
    left = decisions(mine)
    if mine.until is None and not left.exists():
        return True  # a shadow that has nothing new: nothing is compiled
    candidate = bundles.examine(mine.sources)
    for batch in replay.replay(candidate, left.iterator(replay.BATCH)):
        if not _keep(mine, batch):
            return False
        if time.monotonic() > until:
            if _turn(mine).update(state=Replay.State.QUEUED, seen_at=Now()):
                with suppress(OSError):
                    call(mine.pk)
            return False
    return True


def _keep(mine: Replay, batch: Sequence[replay.Judged]) -> bool:
    """A batch in one transaction; False when the replay was cancelled or taken over."""
    tally = replay.Tally(kinds=Counter(mine.kinds), load=Counter(mine.load))
    room = replay.ROWS - tally.differs
    for one in batch:
        tally.add(one)
    mine.kinds, mine.load = dict(tally.kinds), {team: more for team, more in tally.load.items() if more}
    differing = [one for one in batch if one.kind != replay.Kind.SAME][: max(room, 0)]
    with transaction.atomic():
        kept = _turn(mine).update(
            kinds=mine.kinds, load=mine.load, cursor=UUID(batch[-1].decision), seen_at=Now()
        )
        if kept:
            Difference.objects.bulk_create(_row(mine, one) for one in differing)
    return bool(kept)


def _row(mine: Replay, one: replay.Judged) -> Difference:
    return Difference(
        replay=mine, decision_id=UUID(one.decision), subject=one.subject[:64], kind=one.kind,
        words=replay.words(one), after=one.after, reason=one.reason,
    )  # fmt: skip


def _turn(mine: Replay) -> QuerySet[Replay]:
    return Replay.objects.filter(pk=mine.pk, state=Replay.State.RUNNING, turn=mine.turn)
