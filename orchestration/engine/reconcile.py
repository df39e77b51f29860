"""Heals whatever a crash, a lost message or the passing of time left behind. Computes; never trusts a message.

One process does it at a time, under an advisory lock. Each finding is dealt with in a transaction of its own,
by a guarded UPDATE: what moved on meanwhile is left alone. It must never start a step.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from approvals import chain as chains
from approvals import due, lapse
from approvals.models import Stage
from audit.alone import alone
from audit.ledger.entry import system
from audit.refusals import MoveNotAllowed, StaleVersion
from orchestration import lifecycle, notify, reviews
from orchestration.engine import answers, cancel, dispatch, halt, invariants, queue, runs
from orchestration.engine.advance import advance
from orchestration.engine.complete import lost
from orchestration.engine.failpoints import failpoint
from orchestration.engine.rows import lock_change, lock_run, steps_of
from orchestration.models import Change, Run, Step

BATCH = 200
LOCK = 0x436F756E74  # advisory lock of the reconciler
REAP_AFTER = timedelta(seconds=5)  # past the lease: whoever holds it has fenced itself by then
REDISPATCH_AFTER = timedelta(seconds=30)
RECONCILER = system("system:reconciler")
TURNS = (F("run__turn_at").asc(nulls_first=True), "not_before")  # whose turn it is
S, R, C = Step.State, Run.State, Change.State
BEFORE_START = (C.WAITING, C.APPROVED, C.SCHEDULED)

log = logging.getLogger(__name__)


def reconcile() -> dict[str, int]:
    """One round; what was found, counted by kind. Empty when another process is at it."""
    with alone(LOCK) as mine:
        if not mine:
            return {}
        return {
            "dispatched": redispatch(),
            "reaped": _each(overdue(), reap),
            "advanced": _each(stale_runs(), heal),
            "called": queue.call_all(),
            "lapsed": _each(lapsed_changes(), ask_again),
            "missed": _each(missed_runs(), miss),
            "expired": _each(expired_changes(), expire),
            "halted": halt.halt_all(by=RECONCILER),
            "overdue_runs": _each(overdue_runs(), stop),
            "unanswered": _each(answers.overdue(), unanswered),
            "overdue_stages": _each(due.overdue(), remind),
            **invariants.violations(),
        }


def redispatch() -> int:
    """Wake workers for steps that nobody took: the message was lost, or never sent."""
    stale = Q(dispatched_at=None) | Q(dispatched_at__lt=Now() - REDISPATCH_AFTER)
    due = Step.objects.filter(
        stale, state=S.READY, not_before__lte=Now(), run__state__in=[R.READY, R.RUNNING], run__paused_at=None
    )
    with transaction.atomic():
        ids = due.order_by(*TURNS).select_for_update(no_key=True, skip_locked=True, of=("self",))
        chosen = list(ids.values_list("pk", flat=True)[:BATCH])
        Step.objects.filter(pk__in=chosen).update(dispatched_at=Now())
        for step_id in chosen:
            dispatch.wake(step_id)
    return len(chosen)


def overdue() -> QuerySet[Step]:
    """Steps whose lease has lapsed."""
    return Step.objects.filter(state=S.RUNNING, lease_until__lt=Now() - REAP_AFTER).defer("spec", "outputs")


def reap(seen: Step) -> None:
    """Take a step from a worker that is gone; the guard holds to the very lease that was seen to lapse."""
    run = lock_run(seen.run_id)
    seen.run = run
    lost(run, seen, by=RECONCILER)
    for step_id in advance(run, steps_of(run), by=RECONCILER):
        dispatch.wake(step_id)


def stale_runs() -> QuerySet[Run]:
    """Runs under way with nothing under way: what follows was not written, or they have ended."""
    under_way = Step.objects.filter(run=OuterRef("pk"), state__in=[S.READY, S.RUNNING, S.ASKING, S.UNKNOWN])
    asked = Q(cancel_requested_at__isnull=False) & ~Exists(under_way.filter(state__in=[S.RUNNING, S.UNKNOWN]))
    return Run.objects.filter(asked | ~Exists(under_way), state__in=[R.RUNNING, R.UNKNOWN])


def heal(seen: Run) -> None:
    run = lock_run(seen.pk)
    for step_id in advance(run, steps_of(run), by=RECONCILER):
        dispatch.wake(step_id)


def missed_runs() -> QuerySet[Run]:
    """Runs of changes that come back whose time went by before they could start."""
    return Run.objects.filter(state=R.READY, start_by__lt=Now())


def miss(seen: Run) -> None:
    """That time is over; the next one is awaited. After the last the change expires."""
    change = lock_change(seen.change_id)
    if change.state in BEFORE_START and Run.objects.filter(pk=seen.pk, state=R.READY).exists():
        runs.void(change, by=RECONCILER, reason="its time went by")
        if change.state != C.WAITING:
            runs.follow(change, by=RECONCILER)


def expired_changes() -> QuerySet[Change]:
    """Changes that did not start before their sign-offs or their window ended."""
    past = Q(revision__chain__expires_at__lt=Now()) | Q(revision__not_after__lt=Now())
    return Change.objects.filter(past, state__in=BEFORE_START)


def expire(seen: Change) -> None:
    change = lock_change(seen.pk)
    if change.version != seen.version:  # edited, decided or started since
        return
    runs.void(change, by=RECONCILER, reason="expired")
    if change.revision is not None:
        chains.void(change.revision.chain, by=RECONCILER, why="expired")
    lifecycle.move(change, C.EXPIRED, by=RECONCILER)
    reviews.open_for(change, by=RECONCILER)


def remind(seen: Stage) -> None:
    """The people of a stage past due are told, and those to whom policy escalates it find it in their inbox."""
    if due.remind(seen, by=RECONCILER):
        asking = Change.objects.filter(revision__chain=seen.chain_id).first()
        if asking is not None:
            notify.hint(notify.change_topic(asking.pk), 0)
        notify.hint(notify.INBOX, 0)


def lapsed_changes() -> QuerySet[Change]:
    """Approved changes in which somebody's approval may count no more: they left, or no longer stand in."""
    approved = Change.objects.filter(state__in=[C.APPROVED, C.SCHEDULED])
    suspect = lapse.suspects(list(approved.values_list("revision__chain", flat=True)))
    return approved.filter(revision__chain__in=suspect)


def ask_again(seen: Change) -> None:
    """Somebody else has to approve; the run waits for that."""
    change = lock_change(seen.pk)
    if change.state not in {C.APPROVED, C.SCHEDULED} or change.revision is None:
        return
    if lapse.reopen(change.revision.chain, by=RECONCILER):
        lifecycle.move(change, C.WAITING, by=RECONCILER, why="an approval counts no more")


def overdue_runs() -> QuerySet[Run]:
    """Runs past their deadline, or with steps left to start and no permit to start them any more."""
    idle = ~Exists(Step.objects.filter(run=OuterRef("pk"), state__in=[S.RUNNING, S.ASKING]))
    past = Q(deadline_at__lt=Now()) | (Q(permit__expires_at__lt=Now()) & idle)
    return Run.objects.filter(past, state=R.RUNNING, cancel_requested_at=None)


def stop(seen: Run) -> None:
    cancel.request(lock_run(seen.pk), by=RECONCILER, reason="its deadline or its permit has passed")


def unanswered(seen: Step) -> None:
    answers.lapse(seen, by=RECONCILER)


def _each(found: QuerySet, deal: Callable) -> int:  # type: ignore[type-arg]
    """Deal with each in a transaction of its own; one that moved on meanwhile is left alone."""
    count = 0
    for one in list(found[:BATCH]):
        failpoint("reconcile.found")
        try:
            with transaction.atomic():
                deal(one)
            count += 1
        except (StaleVersion, MoveNotAllowed) as moved_on:
            log.info("%s", moved_on)
    return count
