"""Whether a change can be rolled back, and with what: read from what was signed and from what ran.

A rollback is a change of its own, with its own digest, policy decision and chain. It must never start by itself.
"""

from approvals import permit as permits
from audit.canonical import parse
from audit.refusals import Refusal
from orchestration.definitions import digest as digests
from orchestration.definitions import undo
from orchestration.definitions.undo import Undo
from orchestration.models import Change, Run, Step

C, S = Change.State, Step.State
ENDED = {C.SUCCEEDED, C.FAILED, C.CANCELLED}
RAN = (S.SUCCEEDED, S.FAILED, S.TIMED_OUT, S.CANCELLED)  # or began to
OVER = (
    C.WITHDRAWN,
    C.REJECTED,
    C.EXPIRED,
    C.SUPERSEDED,
    C.CANCELLED,
    C.FAILED,
)  # did not roll back after all


class NoRollback(Refusal):
    """The change cannot be rolled back: it has not ended, nothing of it can be undone, or somebody is at it."""

    code = "no_rollback"


def of(change: Change, *, but: Change | None = None) -> Undo:
    """What would roll this change back; NoRollback says why nothing would. `but` is a rollback that is edited."""
    if change.rolls_back is not None:
        raise NoRollback(
            f"{change.key} is itself the rollback of {change.rolls_back.key}, and a rollback is not rolled back. "
            "Request what should be, as a change of its own."
        )
    if change.state == C.UNKNOWN:
        raise NoRollback(f"Say first what became of each step of {change.key}; then it can be rolled back.")
    if change.state not in ENDED:
        word = C(change.state).label.lower()
        raise NoRollback(f"{change.key} is {word}; only what ran and has ended can be rolled back.")
    check_free(change, but=but)
    return _of_run(change)


def check_free(change: Change, *, but: Change | None = None) -> None:
    """Nobody is rolling it back, nor has done so."""
    others = change.rolled_back_by.exclude(state__in=OVER)
    mine = [but.pk] if but is not None else []
    other = others.exclude(pk__in=mine).order_by("number").first()
    if other is not None:
        done = "has rolled" if other.state == C.SUCCEEDED else "is there to roll"
        raise NoRollback(f"{other.key} {done} {change.key} back already; nothing was sent.")


def _of_run(change: Change) -> Undo:
    run = (
        change.runs.applying()
        .exclude(permit=None)
        .select_related("permit", "revision__workflow_version")
        .order_by("-number")
        .first()
    )
    if run is None:
        raise NoRollback(f"Nothing of {change.key} was started, so there is nothing to roll back.")
    document = parse(_signed(change, run))
    ran = run.steps.filter(state__in=RAN, attempt__gt=0).values_list("key", flat=True)
    steps = undo.steps(document, frozenset(ran))
    if not steps:
        raise NoRollback(
            f"No step of {change.key} that ran says how it is undone, so it cannot be rolled back."
        )
    return Undo(change.pk, change.key, change.title, run.digest, document, steps)


def _signed(change: Change, run: Run) -> bytes:
    """The very bytes that the permit of the run names; another text in the row is not believed."""
    data = bytes(run.revision.document) if run.revision else b""
    named = permits.read(run.permit) if run.permit else None
    if named is None or named["digest"] != digests.digest(data):
        raise NoRollback(
            f"What {change.key} ran is not what its permit names; nothing was sent. Ask an auditor."
        )
    return data
